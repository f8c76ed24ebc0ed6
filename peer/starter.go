package peer

import "context"

// A Starter is a Conn that can be asked without a goroutine for each request, and for many keys
// in one message.
type Starter interface {
	Conn
	// Connect makes it likely that Start can ask, and may wait for that, but no longer than
	// ctx lasts.
	Connect(ctx context.Context)
	// Start asks for the first n of r's keys, as many as it can take now, and returns
	// without waiting. r's Waiter gets exactly one answer for each of them. If r has one key,
	// sent is what it was asked by. full says that there was no room for the rest.
	Start(r *Request) (n int, sent Sent, full bool)
	// Full reports whether there is no room for one more request.
	Full() bool
	// GetLarge does what Get does, for a value that does not come in answer to Start
	// (ErrLarge).
	GetLarge(ctx context.Context, q *Query) (Answer, error)
}

// Request is what a Starter is asked for. It belongs to the Starter until all answers have come.
type Request struct {
	// Query is what is asked for each of the keys. Its Key, and its Digest where there are
	// many keys, are empty.
	Query
	Keys []string
	// Digests are those of many keys, or nil.
	Digests []string
	Waiter  Waiter
}

// A Waiter gets the answers to a Request.
type Waiter interface {
	// Answer is called with the answer for the i-th key: with what Conn.Get would have
	// returned, or with ErrLarge. It must not block.
	Answer(i int, a Answer, err error)
}

// Sent is a request for one key that is in flight.
type Sent struct {
	By interface{ Cancel(id uint64) bool }
	ID uint64
}

// Cancel withdraws the request. It reports whether there was no answer so far, and then there
// will be none.
func (s Sent) Cancel() bool { return s.By.Cancel(s.ID) }
