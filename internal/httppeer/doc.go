// Package httppeer is the transport between peers over HTTP.
//
// A peer is asked in one of two ways. On a stream (package stream), which begins as an upgrade of
// an HTTP/1.1 connection, many requests share the connection. By the plain way, each question is
// an HTTP request of its own. The plain way serves peers that do not know the stream, such as
// those of golang/groupcache, and messages that would hold up others on a stream: large values
// and long lists.
//
// On the side that asks, Transport (transport.go) makes a conn (conn.go) for each peer. A conn asks
// on its link (link.go), or by the plain way (plain.go), which sends requests (request.go).
// keepalive.go detects a peer that hangs while requests wait for it. failure.go decides which
// errors open the peer's breaker.
//
// On the side that answers, Server (server.go) is the http.Handler. upgrade.go turns a request into
// a stream; body.go reads the bodies of plain requests and answer.go writes the answers, both
// within a budget of memory; origin.go refuses what a browser may send for a web page of somebody
// else.
//
// protocol.go has what both sides agree on: paths, headers and statuses.
package httppeer
