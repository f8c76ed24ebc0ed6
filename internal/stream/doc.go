// Package stream is one connection between two peers on which many requests are
// in flight at once. One peer asks, through a Link; the other answers, through a
// Server. What travels are the frames of pb/peercache.proto.
//
// What is asked and answered are the Query and the Answer of package peer. A Link gives
// a peer.Waiter what the peer answered, errors included, and a Server answers with what
// a peer.Handler returns.
//
// A request costs no goroutine on the asking side: its answer is handed to a
// peer.Waiter by the goroutine that reads the connection. On the answering side hits
// are answered by the goroutine that reads; only what has to be loaded gets a
// goroutine of its own, so that a slow load holds up nobody.
//
// Frames are gathered while others are being written, and go out in one system
// call. Nothing waits to be gathered: on an idle connection a frame is sent at
// once.
//
// What is in flight and what is queued is bounded on both sides. The answering
// peer says in its Hello what it takes, so that it never has to stop reading: a
// peer that does not read cannot answer a ping either, and would be taken for
// dead.
package stream
