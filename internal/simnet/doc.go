// Package simnet is a network in memory that cluster tests use in place of TCP.
//
// Time in it is the time of package time, so that inside a testing/synctest
// bubble it is virtual: a link of 80 ms costs 80 ms on the bubble's clock and
// nothing on the wall's. A Network belongs to the bubble in which New was
// called. It has no goroutines of its own, every wait in it is a durable one in
// the sense of synctest, and Close ends them all.
//
//	synctest.Test(t, func(t *testing.T) {
//		network := simnet.New(seed)
//		defer network.Close()
//		network.SetLatency(1*time.Millisecond, 5*time.Millisecond)
//		stop, err := simnet.Serve(network.Host("10.0.0.1"), "10.0.0.1:8001", handler)
//		…
//		client := &http.Client{Transport: network.Host("10.0.0.2").Transport()}
//		network.Cut("10.0.0.1", "10.0.0.2")
//	})
//
// # What is simulated
//
// Connections with the semantics of TCP as a Go program sees them: bytes in
// order, a bounded window that blocks a writer whose reader does not read,
// deadlines, half-close, ECONNREFUSED, ECONNRESET and EPIPE inside *net.OpError,
// a handshake of one round trip, a bounded backlog, the reset that answers bytes
// sent to a closed end. Links with latency, jitter, bandwidth, segment size and
// loss (as the delay of a retransmission). Cuts, partitions, frozen, crashed and
// powered-off hosts, connections cut after so many bytes.
//
// # What is not
//
// No name is looked up: the host part of an address is the name of a Host. TCP
// never gives up: a connection over a cut link is silent until the link heals,
// however long that takes; there are no keep-alives. Acknowledgements return at
// once (but not over a cut link), so a window does not bound the throughput of a
// long link as it does in reality. There is no congestion control and no
// processor time: code takes no virtual time. Freeze stops what a host sends and
// receives, not its goroutines and timers. Clocks of all hosts are one clock.
//
// # What is deterministic
//
// Everything random is drawn from the seed: the delays of the n-th segment of
// the k-th connection from a to b are a function of the seed, a, b, k and n.
// Which goroutine runs first, of several that can run at one instant, is Go's
// choice, and it decides which write, or which dial of a pair, is the n-th. So a
// program whose goroutines each wait at instants of their own is replayed
// exactly; others are replayed nearly, more so with jitter on (instants rarely
// coincide) and with GOMAXPROCS=1.
package simnet
