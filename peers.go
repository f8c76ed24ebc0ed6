package peercache

import "context"

// A Peer is another process of the cluster, as a Group sees it. Peers are
// compared and are keys of maps: a PeerPicker returns the same Peer, one that is
// comparable, for the same process. Its methods return when their ctx ends.
type Peer interface {
	// Name returns the peer's base URL, or what else names it on the ring.
	Name() string
	// Get asks the peer for a key of a group. The peer answers by itself: it
	// does not ask others (P2). The Item's Value is the caller's to keep; its
	// TTL is what the value had left when the peer answered.
	//
	// An error that is, or wraps, a *PeerError says that the peer could not be
	// reached. Every other error is the peer's answer (P6).
	Get(ctx context.Context, group, key string) (Item, error)
	// Remove makes the peer drop its values of keys and taint its loads of them.
	Remove(ctx context.Context, group string, keys []string) error
}

// A PeerPicker knows who the peers are. It is the seam between a Group and any
// transport; HTTPPool is one. Its methods are called concurrently.
type PeerPicker interface {
	// Register tells the picker of a group that is to answer the peers, before
	// the group's first Get. It answers them with ServeGet and ServeRemove. An
	// error is NewGroup's: a second group of one name, for instance.
	Register(g *Group) error
	// Pick returns the n-th peer for key in the ring's order, 0 being its
	// owner. It returns nil where that is this process itself, and where there
	// are no more than n peers.
	Pick(key string, n int) Peer
	// Peers returns all peers but this process.
	Peers() []Peer
}

// linkedPeer is a Peer that can be asked without a goroutine for each request.
type linkedPeer interface {
	Peer
	// connect makes it likely that start can ask, and may wait for that, but no
	// longer than ctx lasts.
	connect(ctx context.Context)
	// start asks for the first n of r's keys, as many as it can take now, and
	// returns without waiting. r's waiter gets exactly one answer for each of
	// them. If there is one key, sent is what it was asked by.
	start(r *request) (n int, sent sent)
}

// request is what a linkedPeer is asked for. It belongs to the peer until all
// answers have come.
type request struct {
	group  string
	keys   []string
	waiter waiter

	// The rest is the peer's to set.
	peer     *httpPeer
	maxValue int // bytes
}

// A waiter gets the answers to a request, by their place in its keys: what Peer.Get
// would have returned. answer must not block.
type waiter interface {
	answer(i int, item Item, err error)
}
