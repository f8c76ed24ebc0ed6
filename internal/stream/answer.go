package stream

import (
	"context"
	"time"
	"unsafe"
)

// Query is what a peer is asked for one key. Its fields are those of GetRequest in
// pb/peercache.proto.
type Query struct {
	Group, Key string
	Lease      time.Duration
	Digest     string
	CachedOnly bool
	Nested     uint32
	Context    string
	// Digests are those of the keys of a batch, to AskBatch alone; or nil.
	Digests []string
	// More says, to Hit alone, that more keys of the same batch follow.
	More bool
	// Limit is not sent. It is for how long an answer is waited for, by the Link's ticks; 0:
	// as long as the peer gives signs of life.
	Limit time.Duration
}

// Answer is a peer's answer for one key: a value, or an error.
type Answer struct {
	// Value is the value. The one who gets an answer owns its memory; the one who
	// gives it leaves it unchanged, and it is not copied.
	Value string
	// TTL is what the value has left to live. Zero: without end. Negative: it is
	// for those who wait for it and not to be kept. Of an error: for how long it may
	// be remembered; zero: not at all.
	TTL time.Duration
	// Err is set if there is no value to give.
	Err *Error
	// Plain says that the value is too large for the stream: ask by the plain way.
	Plain bool
	// Noted says that the one who answers has taken note of the query's lease.
	Noted bool
	// Unchanged says that the value is the one whose digest was in the query, in
	// place of the value.
	Unchanged bool
}

// Error is an answer that is not a value. It is no failure of the connection.
type Error struct {
	Kind    int32 // a number of pb.Error_Kind
	Message string
}

// Error returns the text of the error.
func (e *Error) Error() string { return e.Message }

// The kinds of the errors that a Server makes itself, as in pb.Error_Kind.
const (
	kindUnknown  = 0
	kindCanceled = 3
	kindInvalid  = 5
	kindRefused  = 6 // no answer of the key: another peer may have one
)

// A Waiter waits for the answers of one request.
type Waiter interface {
	// Answer is called exactly once for each key of the request, or once for a
	// change, with the key's place in the request. The answer to a change is in
	// the Answer's Value, a ChangeResponse. If err is not nil, the
	// connection failed before there was an answer, or the request is overdue
	// (ErrOverdue); err says how.
	//
	// It is called by the goroutine that reads the connection, or by one that
	// watches or ends it. It must not block, nor ask anything of the Link but Cancel, Stats
	// and new requests.
	Answer(index int, a Answer, err error)
}

// Waits says what a change may wait for.
type Waits int

const (
	ForNobody Waits = iota
	ForSender       // that the one who sent it answers a change that waits ForNobody
	ForOthers       // that other peers answer changes that do not wait ForOthers
)

// A Handler answers a peer's requests. Its methods are called concurrently.
type Handler interface {
	// Hit returns the answer for a key that is cached. It must not block: it is
	// called by the goroutine that reads the connection. The memory of the query's
	// strings is reused after it returns.
	Hit(q Query) (Answer, bool)
	// Load returns the answer for a key that was not cached. If the query is for what is
	// cached alone, it must not block, as Hit. ctx ends when the
	// peer cancels the request, and with the connection; Load should return soon
	// after.
	Load(ctx context.Context, q Query) Answer
	// LoadBatch gives an answer for each of the keys of one batch that were not
	// cached, as they come, by their place in keys; q is all but its Key; a second answer for a key is
	// dropped. Those not answered when it returns are errors for the peer. It may
	// call answer concurrently, but not after it has returned. answer blocks while
	// too much waits to be written.
	LoadBatch(ctx context.Context, q Query, keys []string, answer func(i int, a Answer))
	// ChangeWaits returns what that may wait for which request, a ChangeRequest, says. It
	// must not block.
	ChangeWaits(request []byte) Waits
	// Change does what request, a ChangeRequest, says and returns a ChangeResponse.
	Change(ctx context.Context, request []byte) []byte
}

// bytesOf returns the bytes of s for callees that only read them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf returns a string of b itself, which nobody may write to any more.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
