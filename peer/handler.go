package peer

import "context"

// A Process is the process that a transport's server answers for. peercache.Pool is one. Its
// methods may be called concurrently.
type Process interface {
	// Identity returns what the process says of itself with each response.
	Identity() Identity
	// Accept returns the Handler for a connection, or for one request, from the process from.
	// to is the name of the peer that from wants to reach, or empty if it does not say. An
	// error, which is or wraps ErrWrongPeer, says why the request is refused.
	Accept(from Identity, to string) (Handler, error)
}

// A Handler answers the requests of one peer that come by one connection. Its methods may be called
// concurrently, but Hit by one goroutine at a time.
//
// The errors are for EncodeError.
type Handler interface {
	// Hit answers for a key that is cached. The error is ErrNotCached if it is not. Hit does
	// not block. It may change q, and keeps neither q nor its strings, which the caller may use
	// again. The Value in the Answer must not be changed.
	Hit(q *Query) (Answer, error)
	// Load answers for a key that was not cached. It does not block if the query is CachedOnly.
	// It may keep the strings of q.
	Load(ctx context.Context, q *Query) (Answer, error)
	// LoadBatch answers for keys of one batch that were not cached. It calls answer for each
	// key with its place in keys, as the values come. q has everything but the Key. LoadBatch
	// may keep keys and the strings of q. It may call answer concurrently. If it answers a key
	// twice, the first answer counts. It must not call answer after it has returned: the asker
	// gets an error for each key that is left without an answer.
	LoadBatch(ctx context.Context, q *Query, keys []string, answer func(i int, a Answer, err error))
	// Change does what c says. The Changed is sent even with an error. Change may keep what c
	// has.
	Change(ctx context.Context, c *Change) (Changed, error)
}
