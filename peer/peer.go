package peer

import (
	"context"
	"time"
)

// A Peer is another process of the cluster, as a Group sees it. Its methods are called
// concurrently, and return when their ctx ends. Peers are compared and are keys of maps: a
// PeerPicker returns the same Peer, which is comparable, for the same process.
//
// An error that is, or wraps, a *PeerError says that the peer could not be reached. Every other
// error is the peer's answer (P6).
//
// A transport does not implement Peer. The pool makes a Peer from each Conn.
type Peer interface {
	// Name returns the name of the peer on the ring: with HTTP, its base URL.
	Name() string
	// Get asks the peer for a key of a group. The peer answers by itself: it does not ask other
	// peers (P2). The Value in the Answer belongs to the caller.
	Get(ctx context.Context, q Query) (Answer, error)
	// Change tells the peer of a change, and returns the holders of copies that the peer could
	// not tell in time.
	Change(ctx context.Context, c Change) ([]Holder, error)
}

// Query asks a peer for the value of a key. Keys may have any bytes, and need not be valid UTF-8.
//
// A new field that is sent has its place in pb (GetRequest, GetBatchRequest), in internal/stream
// (encode.go, decode.go, link.go), in internal/httppeer (plain.go, server.go), in peertest (conn.go,
// and carries.go, which checks that it arrives), and where the asking group sets it (ask.go; handoff.go
// has a Query of its own).
type Query struct {
	Group, Key string
	// From is the name of the peer that asks, or empty if it is not known. It is not sent: a
	// transport's server gives the name to Process.Accept, and the Handler sets From.
	From string
	// Lease is how long the asking peer will use the answer for later callers, counted from
	// when it asks. The peer that answers records it, and tells the asking peer of changes
	// meanwhile. Zero means not at all.
	Lease time.Duration
	// Digest is a hash of the value that the asking peer has already. Empty means that it has
	// none.
	Digest string
	// CachedOnly asks for a cached value only. If there is none, the answer is ErrNotCached.
	CachedOnly bool
	// Nested says whether the question comes from inside a load.
	Nested Nesting
	// Context has the values of the caller's context that travel: see
	// peercache.WithContextCodec. It may have any bytes.
	Context string
	// Trace is the span that the question is part of: see JoinTrace. What a peer sends need not
	// be one: see SplitTrace.
	Trace string

	// The fields below are not sent.

	// MaxBytes is the size of the largest value that the caller accepts. A transport need not
	// read more than that and MaxOverhead: a larger value is an error that is ErrValueSize, the
	// peer's answer. Zero means MaxValueBytes.
	MaxBytes int
	// Timeout is how long the caller waits for a peer that gives signs of life. Zero means as
	// long as the context lasts.
	Timeout time.Duration
	// More is for Handler.Hit: it says that a query for another key of the same batch follows.
	// For the last key it is false.
	More bool
}

// Answer is a peer's answer to a Query.
type Answer struct {
	// Item is the value. Its TTL is the time that the value had left when the peer answered, as
	// in a getter's Item. With an error that is ErrNotFound, the TTL says how long the caller
	// may remember that there is no value; zero means not at all.
	Item
	// Noted says that the peer has recorded the lease, and will tell of a change of the key as
	// long as the lease lasts.
	Noted bool
	// Unchanged says that the value is the one that Query.Digest is of. Then the Value is not
	// sent.
	Unchanged bool
}

// Holder is a peer that could not be told of a change.
type Holder struct {
	Peer   string        // its name
	Left   time.Duration // how long it may still use its copy
	Reason string        // why it could not be told, any text
}

// Item is a loaded value.
type Item struct {
	Value []byte
	// TTL is how long the value may be served, counted from when the getter returned it. Zero
	// means the TTL of the group (peercache.WithTTL), and math.MaxInt64 means without end. A
	// value with a negative TTL is given to the callers who wait for it, and not cached.
	TTL time.Duration
}

// Nesting says whether a Get comes from inside a load. A getter may Get other keys, which are
// loaded while its own load goes on. So the outer load waits for the inner one, and the inner one
// must never wait for something that outer loads hold:
//
//   - a slot (peercache.WithMaxLoads): a load that a load with a slot waits for needs no slot of its own;
//   - a goroutine of the bounded number that a peer has for loads: a load from inside a load gets one
//     in addition.
//
// A transport that bounds its own goroutines or connections must follow the same rule: it must not
// make a request that is not TopLevel wait for others.
//
// The context that a getter gives to Get tells which load is inside which. Nested tells it to other
// peers. A load may begin outside of any other, and a load with a slot may wait for it later. Then
// it is urged (singleflight.Group.Urge): it stops to wait for a slot, and urges the loads that it
// waits for.
type Nesting uint32

const (
	TopLevel Nesting = iota // not inside a load
	InLoad                  // inside a load
	InSlot                  // inside a load that holds a slot, or that a load with a slot waits for
)
