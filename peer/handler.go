package peer

import "context"

// A Process is what a transport's server serves: peercache.Pool is one.
type Process interface {
	// Identity returns what the process says of itself with each response.
	Identity() Identity
	// Accept returns the Handler for a connection, or a request, of the process from, which
	// takes this one for the process of the name to; empty, if it does not say. The error, an
	// ErrWrongPeer, says why it is refused.
	Accept(from Identity, to string) (Handler, error)
}

// A Handler answers the requests of one peer that come by one connection, or one by one. Its
// methods are called concurrently, but for Hit.
type Handler interface {
	// Hit answers for a key that is cached; the error is ErrNotCached if it is not. It does
	// not block. The query and its strings are used again after it has returned; it may
	// change the query. The Value in the Answer must not be changed.
	Hit(q *Query) (Answer, error)
	// Load answers for a key that was not cached. If the query is for what is cached alone
	// (CachedOnly), it does not block. It may keep the query's strings.
	Load(ctx context.Context, q *Query) (Answer, error)
	// LoadBatch calls answer for each of the keys of one batch that were not cached, as they
	// come, with their place in keys, which it may keep; q is all but its Key. It may call answer concurrently,
	// and more than once for a key, but not after it has returned. Those not answered then
	// are errors for the peer.
	LoadBatch(ctx context.Context, q *Query, keys []string, answer func(i int, a Answer, err error))
	// Change does what c says. The Changed is to be sent with the error.
	Change(ctx context.Context, c *Change) (Changed, error)
}
