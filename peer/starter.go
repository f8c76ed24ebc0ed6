package peer

import "context"

// A Starter is a Conn that can be asked without a goroutine for each request, and for many keys in
// one message. A Conn need not be one.
type Starter interface {
	Conn
	// Connect prepares the Conn, so that Start can probably ask. It may wait for that until ctx
	// ends.
	Connect(ctx context.Context)
	// Start asks for the first n keys of r, as many as it can now, and returns at once. The
	// Waiter of r gets exactly one answer for each of the n keys. If r has one key, sent is the
	// request for it. full says that there was no room for the other keys. If n is zero and
	// full is false, the connection cannot be used now: the caller uses Get.
	Start(r *Request) (n int, sent Sent, full bool)
	// Full reports whether there is no room for one more request.
	Full() bool
	// GetLarge does what Get does, for a value that is too large to be an answer to Start
	// (ErrLarge).
	GetLarge(ctx context.Context, q *Query) (Answer, error)
}

// Request is a request to a Starter. It belongs to the Starter until all answers have come.
type Request struct {
	// Query is what is asked for each key. Its Key is empty. If there are several keys, its
	// Digest is empty and CachedOnly is false.
	Query
	Keys []string
	// Digests has the Query.Digest of each key if there are several keys, or is nil.
	Digests []string
	Waiter  Waiter
}

// A Waiter gets the answers to a Request.
type Waiter interface {
	// Answer is called with the answer for the key at place i of Request.Keys: what Conn.Get
	// would return, or ErrLarge. It must not block. Values of one Request may share pieces of memory
	// of at most 16 KiB.
	Answer(i int, a Answer, err error)
}

// Sent is a request for one key that was sent. The zero value is no request.
type Sent struct {
	By interface{ Cancel(id uint64) bool }
	ID uint64
}

// Cancel withdraws the request. It reports whether there was no answer yet. If so, there will be
// none.
func (s Sent) Cancel() bool { return s.By.Cancel(s.ID) }
