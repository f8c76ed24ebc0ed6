// Package resp is a front door for Redis clients: it serves read-through groups by RESP, the
// protocol of Redis, in its versions 2 and 3.
//
//	s, err := resp.New([]door.Cache{scores}, resp.WithPassword(secret))
//	go s.Serve(listener)
//
// The key scores:Tom is then the key Tom of the group scores. GET, MGET, TTL and the like get
// values, through the group: a miss is loaded. SET, DEL and FLUSHDB are Set, Remove and Clear.
// CLIENT TRACKING makes a client that caches what it gets an exact one: it is told of each change
// of a key, wherever in the cluster it was made. docs/resp.md has the table of commands.
//
// How a command goes: conn.go reads (codec.Requests cuts the bytes into commands), dispatch.go looks
// the command up (table.go) and checks it, its function writes the reply (reply.go), and output.go
// sends what a pipeline was answered in one write. tracking.go knows which clients have which keys;
// invalidate.go tells them. sweep.go ends what takes too long: one goroutine for all clients.
package resp
