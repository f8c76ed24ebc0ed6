package peer

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Identity says who a process is. It goes with each request and with each response.
type Identity struct {
	// Name is the name by which the peers know the process: with HTTP, its base URL. Empty
	// means that it does not say.
	Name string
	// Process is a random number. It tells the process from others that were at its address
	// before it, or are there beside it. Zero means that it does not say.
	Process uint32
	// Cluster is the name of the cluster, or empty if it has none: see peercache.WithCluster.
	Cluster string
	// Trust is what the server of a transport has verified of the sender of a request. It is not
	// sent.
	Trust Trust
}

// Trust is what is known of the sender of a request, apart from what it says.
type Trust uint8

const (
	// Claimed: nothing was verified. The name is what the sender says.
	Claimed Trust = iota
	// Named: the sender may call itself by its name. It may be a process of another service: a pool
	// looks whether it is on the list.
	Named
	// Vouched: the sender is a process of the cluster. It has something that only these have, such
	// as a secret. It may not be the one that it says.
	Vouched
)

// A Transport carries the questions of this process to its peers. Its methods are called
// concurrently.
type Transport interface {
	// Check returns nil if name can be the name of a peer. Otherwise the error says why not,
	// and what would be right. A name has MinPeerName to MaxPeerName bytes in any case.
	Check(name string) error
	// Dial returns a Conn to the peer of that name, for the process behind l. It does not wait:
	// a Conn connects when it is asked. It is called once for each peer that comes into the
	// view.
	Dial(l Local, name string) Conn
}

// A Stateless is a Transport to peers that may say nothing of themselves, such as those of
// golang/groupcache. If Stateless returns true, a pool tells them of no views, hands nothing
// over to them, and asks them for nothing but keys and Changes. Promises that depend on these
// do not hold then.
type Stateless interface {
	Transport
	Stateless() bool
}

// A Conn asks one peer. Its methods are called concurrently, and return when ctx ends.
//
// An error that is, or wraps, a *PeerError says that the peer could not be reached, or that another
// process answered in its place. Every other error, except ctx's, is the peer's answer. When ctx
// has ended, the error of Get is ctx's and no *PeerError: the peer has not failed.
type Conn interface {
	// Get asks for one key. The Value in the Answer belongs to the caller. The Answer counts
	// even with an error that is the peer's answer: see Item.TTL and Answer.Noted.
	Get(ctx context.Context, q *Query) (Answer, error)
	// Change tells the peer of a change, or asks it about itself. The Changed counts even with
	// an error that is the peer's answer.
	Change(ctx context.Context, c *Change) (Changed, error)
	// Ping asks who answers at the peer's address. It uses a new connection, and does not call
	// Local.Answered.
	Ping(ctx context.Context) (Identity, error)
	// Wake says that the peer is known to be alive. A Conn that waits after a failure tries
	// again at once.
	Wake()
	// Replaced says that the process with that number (Identity.Process) now answers at the
	// peer's address. The Conn closes its connections to other processes when the requests on
	// them are answered: those processes may have ended, and are told of no more changes.
	Replaced(process uint32)
	// Close closes the connections when the requests on them are answered, or when ctx ends.
	// The Conn can be asked even after Close: then each request takes a connection of its own.
	Close(ctx context.Context)
}

// Local is the process that asks, as a Conn to one peer sees it. The pool implements it. Its
// methods may be called concurrently, and do not block.
type Local interface {
	// Identity returns what the process says of itself with each request.
	Identity() Identity
	// Answered says that the process by has answered a request that was sent at that time (Now,
	// before the request). An error, which is or wraps ErrWrongPeer, says that it is not the
	// peer. Then its answer must not count: the Conn returns the error in a *PeerError.
	// Answered may call Replaced before it returns, so the Conn holds no lock.
	Answered(by Identity, sent Instant) error
	// Misconfigured reports that the configuration of the peer is wrong, as far as the
	// transport can see. A transport need not find such problems.
	Misconfigured(kind ConfigProblem, err error)
	// Degraded reports that the peer can be asked, but not as well as it should. The pool logs
	// it once in a while.
	Degraded(what string, err error)
	// Counts reports whether the peer is in the view and this process is not leaving. If not,
	// it is no problem if the peer cannot be reached.
	Counts() bool
}

// Instant is a moment on this process's clock: see peercache.Instant.
type Instant = clock.Instant

// Now returns the present Instant.
func Now() Instant { return clock.Now() }

// Patience is how much longer than the load timeout a caller waits for a peer that is alive. The
// peer's loads end within that timeout, and then it answers.
const Patience = 2 * time.Second
