package peer

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Identity is who a process says that it is, with each request and with each response.
type Identity struct {
	// Name is the name of the process among its peers: its base URL. Empty: it does not say.
	Name string
	// Process is a random number, which tells it from others at its address, before it or
	// beside it.
	Process uint32
	// Cluster is the name of its cluster, if it has one: see peercache.WithCluster.
	Cluster string
}

// A Transport carries what this process asks its peers.
type Transport interface {
	// Check returns why name cannot be that of a peer, and what would be right; nil, if it
	// can.
	Check(name string) error
	// Dial returns the way from the process of l to the peer of that name. It does not wait:
	// a Conn connects when it is asked.
	Dial(l Local, name string) Conn
}

// A Conn is the way to one peer. Its methods are called concurrently, and return when ctx ends.
//
// An error that is, or wraps, a *PeerError says that the peer could not be reached, or is not
// the peer that was asked for. Every other error, but ctx's, is the peer's answer (P6). When ctx
// has ended, the error of Get is ctx's and no *PeerError: the peer has not failed.
type Conn interface {
	// Get asks for one key. The Value in the Answer is the caller's to keep.
	Get(ctx context.Context, q *Query) (Answer, error)
	// Change tells the peer of a change, or asks it about itself. The Changed counts also
	// with an error that is the peer's answer.
	Change(ctx context.Context, c *Change) (Changed, error)
	// Ping asks who answers at the peer's address, by a connection of its own.
	Ping(ctx context.Context) (Identity, error)
	// Wake says that the peer is known to be there. A Conn that holds back after failures
	// tries again at once.
	Wake()
	// Replaced says that another process has come to the peer's address. Connections to
	// others are closed when what is in flight on them is answered: their processes may have
	// ended, and hear of no changes.
	Replaced(process uint32)
	// Close closes the connections when what is in flight on them is answered, or ctx has
	// ended. What is asked of a closed Conn takes a connection of its own.
	Close(ctx context.Context)
}

// A Starter is a Conn that can be asked without a goroutine for each request, and for many keys
// in one message.
type Starter interface {
	Conn
	// Connect makes it likely that Start can ask, and may wait for that, but no longer than
	// ctx lasts.
	Connect(ctx context.Context)
	// Start asks for the first n of r's keys, as many as it can take now, and returns
	// without waiting. r's Waiter gets exactly one answer for each of them. If r has one key,
	// sent is what it was asked by. full says that there was no room for the rest. It may take
	// none, where nothing is connected: Get is asked then.
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
	// many keys, are empty. CachedOnly is not asked for many keys.
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

// Local is the process that a Conn asks for, as far as that one peer is concerned.
type Local interface {
	// Identity returns what the process says of itself with each request.
	Identity() Identity
	// Answered tells who has answered a request, which was sent at that instant. The error, an
	// ErrWrongPeer, says that it is not the peer: then what it answered must not count.
	Answered(by Identity, sent Instant) error
	// Misconfigured tells what is wrong with the configuration of the peer, as far as the
	// transport sees it.
	Misconfigured(kind ConfigProblem, err error)
	// Degraded warns, once in a while, that the way to the peer works, but not as it should.
	Degraded(what string, err error)
	// Counts reports whether the peer is in the view, and this process is not about to end. Else
	// it is nothing to warn of if the peer is away.
	Counts() bool
}

// A Process is what a transport's server serves: peercache.Pool is one.
type Process interface {
	// Identity returns what the process says of itself with each response.
	Identity() Identity
	// Accept returns the Handler for a connection, or a request, of the process from, which
	// takes this one for the process of the name to; empty, if it does not say. The error, an
	// ErrWrongPeer, says why it is refused.
	Accept(from Identity, to string) (Handler, error)
}

// Instant is a moment on this process's clock: see peercache.Instant.
type Instant = clock.Instant

// Now returns the present Instant.
func Now() Instant { return clock.Now() }

// Stats are the figures of what one peer was asked by a Conn that has a method Stats.
type Stats struct {
	// Transport is how the peer is asked now: "stream", "plain", or another name.
	Transport string
	Requests  int64 // of all kinds
	Plain     int64 // those of them that took a request of their own
	Keys      int64 // that were asked for
	Batches   int64 // requests for many keys
	Changes   int64 // requests that are changes
	BytesIn   int64
	BytesOut  int64
	InFlight  int   // requests now
	Opened    int64 // connections
	Latency   Histogram
	// Failing says that the peer is not asked because it failed, and Trying that an attempt
	// to reach it is in progress. Failures is how often it failed.
	Failing, Trying bool
	Failures        int64
}

// Patience is how much longer than for a load a peer is waited for that gives signs of life: its
// loads end within the load timeout, and it answers then.
const Patience = 2 * time.Second
