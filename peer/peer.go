package peer

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
	// From is the name of the peer that asks. The Handler of the peer that answers sets it:
	// a transport gives the name to Process.Accept. Empty: it is not known.
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
	// Context is what travels of the caller's context: see peercache.WithContextCodec.
	Context string

	// What follows is not sent.

	// MaxBytes is the largest value that the one who asks takes. A transport need not read
	// more than that, and what else a message has (MaxOverhead): a larger value is an error
	// that is ErrValueSize, the peer's answer. Zero is MaxValueBytes.
	MaxBytes int
	// Timeout is for how long a peer is waited for that gives signs of life. Zero is as long
	// as the context says.
	Timeout time.Duration
	// More says, to Handler.Hit alone, that more keys of the same batch follow.
	More bool
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
