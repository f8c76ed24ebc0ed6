package peercache

import (
	"context"
	"time"
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

// Item is a loaded value.
type Item struct {
	Value []byte
	// TTL is how long the value may be served, counted from the moment the
	// getter returned it. Zero means as the group says (WithTTL), math.MaxInt64
	// without end. A value with a negative TTL is given to those who wait for it
	// and not kept.
	TTL time.Duration
}

// Nesting says what a Get is made inside of. A getter may Get other keys, and those are
// loaded while its own load goes on. So the outer load waits for the inner one, and the inner
// one must never wait for something that outer loads hold:
//
//   - a slot (WithMaxLoads): what a load waits for that holds one runs inside of that slot;
//   - a goroutine of those that a peer has for loads: what is asked inside of a load has its own.
//
// Which load is inside of which is known from the context that the getter gives to Get. It is
// carried over to other peers. A load that began outside of any, and is waited for by one that
// holds a slot from later on, is urged (singleflight.Group.Urge): it stops waiting for a slot,
// and urges what it waits for itself.
type Nesting uint32

const (
	TopLevel Nesting = iota // nothing that counts
	InLoad                  // a load
	InSlot                  // a load that holds a slot, or that such a load waits for
)
