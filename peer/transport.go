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
// the peer that was asked for. Every other error, but ctx's, is the peer's answer (P6).
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

// Instant is a moment on this process's clock: see peercache.Instant.
type Instant = clock.Instant

// Now returns the present Instant.
func Now() Instant { return clock.Now() }

// Patience is how much longer than for a load a peer is waited for that gives signs of life: its
// loads end within the load timeout, and it answers then.
const Patience = 2 * time.Second
