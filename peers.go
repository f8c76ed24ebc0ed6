package peercache

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// A Peer is another process of the cluster, as a Group sees it. Peers are
// compared and are keys of maps: a PeerPicker returns the same Peer, one that is
// comparable, for the same process. Its methods return when their ctx ends.
//
// An error that is, or wraps, a *PeerError says that the peer could not be reached.
// Every other error is the peer's answer (P6).
type Peer interface {
	// Name returns the peer's base URL, or what else names it on the ring.
	Name() string
	// Get asks the peer for a key of a group. The peer answers by itself: it
	// does not ask others (P2). The Value in the Answer is the caller's to keep.
	Get(ctx context.Context, q Query) (Answer, error)
	// Change tells the peer of a change, and returns the holders of copies that it
	// could not tell in time.
	Change(ctx context.Context, c Change) ([]Holder, error)
}

// Query is what a peer is asked for.
type Query struct {
	Group, Key string
	// From is the name of the peer that asks. The transport of the peer that
	// answers sets it; empty, it is not known.
	From string
	// Lease is for how long, from now on, the one who asks will use the answer for
	// callers to come. The peer that answers records it.
	Lease time.Duration
	// Digest stands for the value that is there already; empty if there is none.
	Digest string
	// CachedOnly asks for what is cached and for no load.
	CachedOnly bool
	// Nested says what the one who asks does it inside of.
	Nested Nesting
	// Context is what travels of the caller's context: see WithContextCodec.
	Context string
}

// Answer is a peer's answer to a Query.
type Answer struct {
	// Item is the value. Its TTL is what the value had left when the peer answered,
	// as in a getter's Item. With an error that is ErrNotFound, it is for how long
	// that may be remembered, zero being not at all.
	Item
	// Noted says that the peer will tell of a change of the key as long as the lease
	// lasts.
	Noted bool
	// Unchanged says that the value is the one of the Query's Digest, and not sent.
	Unchanged bool
}

// Change tells a peer that values are not valid any more, whether they are cached, or
// being loaded or fetched.
type Change struct {
	Group string
	Keys  []string
	All   bool // all keys of the group
	// Item, if not nil, is the new value of the one key there is. It is for the
	// peer that owns it.
	Item *Item
	// From is as in Query.
	From string
	// Holders asks the peer to tell all who may hold copies that they got from it,
	// but for the one who asks, and to answer when they have answered or their
	// leases are over.
	Holders bool
	// Wait is how long the answer may take because of that.
	Wait time.Duration
	// Announced tells that the peer which sends it has just begun to have its view.
	Announced bool
}

// Holder is a peer that could not be told of a change.
type Holder struct {
	Peer   string        // its name
	Left   time.Duration // for how long it may still use its copy
	Reason string        // why it could not be told
}

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
