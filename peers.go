package peercache

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// What peers say to each other is defined in package peer, for those who write a transport.
type (
	// A Peer is another process of the cluster, as a Group sees it.
	Peer = peer.Peer
	// Query is what a peer is asked for.
	Query = peer.Query
	// Answer is a peer's answer to a Query.
	Answer = peer.Answer
	// Change tells a peer that values are not valid any more.
	Change = peer.Change
	// Holder is a peer that could not be told of a change.
	Holder = peer.Holder
	// Nesting says what a Get is made inside of.
	Nesting = peer.Nesting
)

// The Nestings.
const (
	TopLevel = peer.TopLevel // nothing that counts
	InLoad   = peer.InLoad   // a load
	InSlot   = peer.InSlot   // a load that holds a slot, or that such a load waits for
)

// A PeerPicker knows who the peers are. It is the seam between a Group and any
// transport; HTTPPool is one. Its methods are called concurrently, and must not panic, as
// those of a Cache.
type PeerPicker interface {
	// Register tells the picker of a group that is to answer the peers, before
	// the group's first Get. It answers them with ServeGet and ServeChange. An
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
	// them. If there is one key, sent is what it was asked by. crowded says that
	// there was no room for the rest.
	start(r *request) (n int, sent sent, crowded bool)
	// crowded reports whether there is no room for one more request.
	crowded() bool
	// getLarge does what Get does, for a value that is known to take the plain way.
	getLarge(ctx context.Context, q *Query) (Answer, error)
}

// request is what a linkedPeer is asked for. It belongs to the peer until all
// answers have come.
type request struct {
	group  string
	keys   []string
	lease  time.Duration
	digest string // see Query; where there are many keys, empty: see waiter
	waiter waiter
	nested Nesting
	// context is what travels of the caller's, see Query.
	context string

	// The rest is the peer's to set.
	maxValue int32 // bytes
	peer     *httpPeer
}

// query returns what is asked for the i-th key.
func (r *request) query(i int) Query {
	q := Query{Group: r.group, Key: r.keys[i], Lease: r.lease, Digest: r.digest, Nested: r.nested, Context: r.context}
	if digests := r.waiter.digests(); digests != nil {
		q.Digest = digests[i]
	}
	return q
}

// A waiter gets the answers to a request, by their place in its keys: what Peer.Get
// would have returned, or that its value takes the plain way. Both must not block.
type waiter interface {
	answer(i int, a Answer, err error)
	plain(i int)
	// limit returns for how long an answer is waited for.
	limit() time.Duration
	// digests returns those of many keys, or nil.
	digests() []string
}

// viewer is a PeerPicker that knows whether its peers have the view that it has.
type viewer interface {
	// knows reports whether a peer of that name is in the view.
	knows(name string) bool
	// settled returns when the peers that can be reached have heard of the view,
	// or ctx has ended.
	settled(ctx context.Context) error
	// agreement returns how far the peers agree now.
	agreement() agreement
	// doubtful returns since when a peer has been known to have another view; zero, if
	// none has.
	doubtful() clock.Instant
	// reconcile asks a peer that had another view which it has now, and returns what the
	// difference is, for people to read; empty, if there is none or it is not known.
	reconcile(ctx context.Context, peer string) (difference string)
	// lapsed reports whether the peers may have a view without this process.
	lapsed() bool
	// before returns the peer that owned key until the view changed, and when that
	// was: nil, if it is this process or not known.
	before(key string) (Peer, clock.Instant)
}
