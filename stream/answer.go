package stream

import (
	"context"
	"time"
	"unsafe"
)

// Answer is a peer's answer for one key: a value, or an error.
type Answer struct {
	// Value is the value. The one who gets an answer owns its memory; the one who
	// gives it leaves it unchanged, and it is not copied.
	Value string
	// TTL is what the value has left to live. Zero: without end. Negative: it is
	// for those who wait for it and not to be kept.
	TTL time.Duration
	// Err is set if there is no value to give.
	Err *Error
	// Plain says that the value is too large for the stream: ask by the plain way.
	Plain bool
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
)

// A Waiter waits for the answers of one request.
type Waiter interface {
	// Answer is called exactly once for each key of the request, or once for a
	// remove, with the key's place in the request. If err is not nil, the
	// connection failed before there was an answer; err says how.
	//
	// It is called by the goroutine that reads the connection, or by the one that
	// ends it. It must not block, nor ask anything of the Link but Cancel, Stats
	// and new requests.
	Answer(index int, a Answer, err error)
}

// A Handler answers a peer's requests. Its methods are called concurrently.
type Handler interface {
	// Hit returns the answer for a key that is cached. It must not block: it is
	// called by the goroutine that reads the connection. The memory of group and
	// key is reused after it returns.
	Hit(group, key []byte) (Answer, bool)
	// Load returns the answer for a key that was not cached. ctx ends when the
	// peer cancels the request, and with the connection; Load should return soon
	// after.
	Load(ctx context.Context, group, key string) Answer
	// LoadBatch gives an answer for each of the keys of one batch that were not
	// cached, as they come, by their place in keys; a second answer for a key is
	// dropped. Those not answered when it returns are errors for the peer. It may
	// call answer concurrently, but not after it has returned. answer blocks while
	// too much waits to be written.
	LoadBatch(ctx context.Context, group string, keys []string, answer func(i int, a Answer))
	// Remove drops the keys. It returns nil if all are dropped.
	Remove(ctx context.Context, group string, keys []string) *Error
}

// bytesOf returns the bytes of s for callees that only read them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf returns a string of b itself, which nobody may write to any more.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
