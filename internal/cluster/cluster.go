package cluster

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// Group is what a cluster needs of a group of this process. Its methods are called
// concurrently.
type Group interface {
	Name() string
	// Pick returns the n-th peer for key, as the group sees it.
	Pick(key string, n int) peer.Peer
	// DropAll drops all values that are cached, and those that are being loaded or fetched.
	DropAll()
	// Consistent reports whether the group caches nothing while this process has lapsed.
	Consistent() bool
	// ViewChanged is called after each change of the view. If the ring has changed with it, at that
	// instant, it limits how long values are served that this process has not owned since. It
	// returns those that can be handed over. Else moved is false.
	ViewChanged(at clock.Instant, moved bool) []Moved
	// ServeChange does what a peer's Change says. It returns the holders of copies that it
	// could not tell. late reports whether another change of the same peer has overtaken this
	// one, see changeOrder. Then its Item is not kept.
	ServeChange(ctx context.Context, change peer.Change, late func() bool) []peer.Holder
	// LeaseAll gives a peer a lease on all keys for a time, or renews that of the given id. It returns
	// for how long, and the id; zero, if the peer gets none.
	LeaseAll(peer string, d time.Duration, id, epoch uint64) (granted time.Duration, given uint64)
	// OutOfTouch says that peers may change values and not tell this process, until it has new leases
	// on all keys, or forever.
	OutOfTouch(forever bool)
	// TakeOver asks a peer for a value that it offers, unless there is one here. The peer left
	// the view at that instant. Zero means that it is in the view.
	TakeOver(ctx context.Context, key string, from peer.Peer, left clock.Instant)
	// Drain returns when no load and no fetch is in progress, or ctx has ended.
	Drain(ctx context.Context) error
	// HasSnapshot reports whether the group has a WithSnapshot. The methods below are for
	// those.
	HasSnapshot() bool
	// Restored returns a channel that is closed when all is restored that may be used.
	Restored() <-chan struct{}
	// Save writes the snapshot, with the record of the departure for the next process.
	Save(departure uint64, record func() ([]byte, error)) error
	// OutdateSnapshot removes the snapshot, because it lacks a change.
	OutdateSnapshot() error
}

// Config is how a cluster behaves. Name, Filters and Discovery may be empty.
type Config struct {
	Name           string // see WithCluster; may be empty
	Detection      time.Duration
	MaxPeers       int
	Filters        []func(name string) error
	MaxUnproven    int // requests without a proof that wait for others at the same time
	ViewChangeRate int // a second
	ChangeRate     int // changes of values a second, of one peer; 0: any number
	HandoverBytes  int64
	HandoverTime   time.Duration
	Discovery      discovery.Discovery // nil: Set gives the lists
	Pace           *breaker.Pace
	Log            *slog.Logger
	Audit          *audit.Log // nil: nobody asks, and Log has it
	// RelayFrom is of how many peers a view has a coordinator, at least; 0: the default.
	RelayFrom int
	// Ring makes a ring of the names of peers.
	Ring func(names []string) (*consistenthash.Ring, error)
	// OwnsNothing says that this process is to be listed as one that owns nothing.
	OwnsNothing bool
	// Stateless says that peers send no peer state, such as golang/groupcache's.
	Stateless bool
	// Handler returns what answers the requests of a peer.
	Handler func(from peer.Identity) peer.Handler
}

// Cluster knows the peers of this process, and whether they agree on who they are. It does what
// has to be done when that changes.
type Cluster struct {
	self      string
	name      string // see WithCluster; may be empty
	transport peer.Transport
	stateless bool
	// ownsNothing says as what this process wants to be listed. What it is follows from the list.
	ownsNothing bool
	detection   time.Duration
	relayFrom   int // see Config
	planted     failpoint.Bug
	ring        func(names []string) (*consistenthash.Ring, error)
	handler     func(from peer.Identity) peer.Handler

	maxPeers      int
	filters       []func(name string) error
	warnedOfReach atomic.Bool

	// view is immutable, and replaced as a whole. Readers take no lock.
	view      atomic.Pointer[view]
	agreement viewAgreement
	secret    [32]byte // tokens are made of it

	unproven      *semaphore.Weighted // requests without a proof that may wait for others
	questionSlots *semaphore.Weighted // questions to peers, see questionsAtOnce
	takeOverSlots *semaphore.Weighted // offers that are taken over, see offersAtOnce
	logSlots      chan struct{}       // filled by answers with a change log, see logsAtOnce

	order      changeOrder
	changeRate changeRate
	passing    passing

	own      *ownAddress
	problems problems
	traffic  traffic
	watch    *configWatch

	// groups are by name. The map is never written to, but replaced as a whole.
	groups   atomic.Pointer[map[string]Group]
	groupsID atomic.Uint64 // of their names, see groupsID

	// Locks are taken in this order, each row after those above it:
	//
	//	mu
	//	agreement.mu
	//	watch.mu, own.mu
	//	the mu of each answerer, problems.mu, logs.mu, order.mu, passing.mu, the mu of each relay, traffic.mu,
	//	that of audit
	//
	// Nobody holds two of one row. Under these locks no request is sent, and no callback of the
	// user is called but the handler of the logger, which must not use the pool.

	// mu guards the fields below, up to earlier. It is also held to change view, groups,
	// leaving and closed, which may be read without it.
	mu        sync.Mutex
	leaving   atomic.Bool              // set by Leave first: the view is without this process
	closed    atomic.Bool              // set by Leave at its end: no Gets are answered, and Set fails
	listed    []string                 // see doc.go; this process is among them
	nonOwners map[string]bool          // those of them that own nothing; never written to
	absent    map[string]*absentMember // by name; all are listed, or are removed with the next view
	lingering map[string]*lingering    // by name; departed members whose connections are kept
	viewRate  viewRate
	causes    viewCauses
	questions map[string]*question     // by name; those in progress
	asked     map[string]clock.Instant // by name; when the last question was sent
	departure ownDeparture
	earlier   earlierDeparture

	// background is work that follows a change of the view: connections to departed peers are
	// closed, the others are told, values are handed over. Shutdown waits for it.
	background sync.WaitGroup
	// life ends when Leave does. Work that is of no use afterwards has this context.
	life       context.Context
	cancelLife context.CancelFunc
	handover   struct {
		bytes int64 // for one change of the view
		time  time.Duration
	}

	pace       *breaker.Pace // of the attempts to reach peers that are away
	logs       changeLogs
	membership *membership // nil: there is no discovery, and Set gives the lists
	// viewed is closed when Set has given a list, or the discovery a view of which nothing is
	// wrong.
	viewed     chan struct{}
	markViewed func() // closes viewed, once
	ready      atomic.Bool
	log        *slog.Logger
	audit      *audit.Log
}

// New makes a cluster of this process alone. Its peers know it by the name self.
func New(self string, t peer.Transport, cfg Config) (*Cluster, error) {
	c := &Cluster{
		self: self, name: cfg.Name, transport: t, stateless: cfg.Stateless, detection: cfg.Detection, ring: cfg.Ring, handler: cfg.Handler,
		ownsNothing: cfg.OwnsNothing, relayFrom: cmp.Or(cfg.RelayFrom, int(relayTests.from.Load()), defaultRelayFrom), planted: failpoint.Planted(),
		maxPeers: cfg.MaxPeers, filters: cfg.Filters,
		viewed:        make(chan struct{}),
		absent:        make(map[string]*absentMember),
		lingering:     make(map[string]*lingering),
		viewRate:      viewRate{perSecond: cfg.ViewChangeRate},
		order:         changeOrder{seed: maphash.MakeSeed(), planted: failpoint.Planted()},
		causes:        make(viewCauses),
		unproven:      semaphore.NewWeighted(int64(cfg.MaxUnproven)),
		changeRate:    changeRate{perSecond: cfg.ChangeRate},
		questionSlots: semaphore.NewWeighted(questionsAtOnce),
		takeOverSlots: semaphore.NewWeighted(offersAtOnce),
		logSlots:      make(chan struct{}, logsAtOnce),
		questions:     make(map[string]*question),
		asked:         make(map[string]clock.Instant),
		logs:          newChangeLogs(),
		problems:      newProblems(self, cfg.Log),
		pace:          cfg.Pace,
		log:           cfg.Log,
		audit:         cmp.Or(cfg.Audit, audit.New(cfg.Log)),
	}
	c.markViewed = sync.OnceFunc(func() { close(c.viewed) })
	crand.Read(c.secret[:])
	c.agreement.process, c.agreement.observed = max(1, rand.Uint32()), make(map[string]observation)
	c.agreement.byID = make(map[uint64]string)
	c.agreement.tokens, c.agreement.departed = make(map[string]token), make(map[*Member]clock.Instant)
	c.life, c.cancelLife = context.WithCancel(context.Background())
	c.handover.bytes, c.handover.time = cfg.HandoverBytes, cfg.HandoverTime
	c.groups.Store(&map[string]Group{})
	c.groupsID.Store(groupsID(nil))
	if cfg.Discovery != nil {
		c.membership = newMembership(c, cfg.Discovery)
	}
	c.own, c.watch = newOwnAddress(c), newConfigWatch(c)
	if err := c.setPeers([]string{c.ownText()}, false); err != nil {
		return nil, err
	}
	return c, nil
}

// Set replaces the list of peers. It fails on a cluster with a discovery, and if the list has this
// process as what it is not.
func (c *Cluster) Set(peers []string) error {
	if c.membership != nil {
		return errors.New("peercache: Set on a pool that has a WithDiscovery: its views come from there, see Join")
	}
	if _, nonOwners, _ := splitList(peers); c.isIn(peers) {
		if err := c.checkOwnership(nonOwners); err != nil {
			return fmt.Errorf("peercache: %w", err)
		}
	}
	if err := c.setPeers(peers, false); err != nil {
		return err
	}
	c.own.lookAgain()
	c.markViewed()
	return nil
}

// Register adds a group, unless accepts returns an error for the groups that are there already.
func (c *Cluster) Register(g Group, accepts func(all map[string]Group) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := accepts(*c.groups.Load()); err != nil {
		return err
	}
	groups := maps.Clone(*c.groups.Load())
	groups[g.Name()] = g
	c.groups.Store(&groups)
	c.groupsID.Store(groupsID(groups))
	c.watch.begin()
	return nil
}

// Groups returns the groups by their names. The map must not be changed.
func (c *Cluster) Groups() map[string]Group { return *c.groups.Load() }

// detectionTime returns how long a caller waits for a peer that is silent.
func (c *Cluster) detectionTime() time.Duration { return c.detection }

// handshakeTimeout bounds an attempt to connect to a peer, up to the peer's first frame. A
// connection takes several round trips. Callers wait for detectionTime only.
func (c *Cluster) handshakeTimeout() time.Duration { return max(4*c.detection, 200*time.Millisecond) }

// Self returns the name of this process among its peers.
func (c *Cluster) Self() string { return c.self }

// Closed reports whether Leave has ended: the list does not change any more.
func (c *Cluster) Closed() bool { return c.closed.Load() }

// RecordChange records a change in the change logs.
func (c *Cluster) RecordChange(change *peer.Change) { c.logs.record(change) }

// Misplaced reports whether another process answers at the address of this one. Then this
// process hears of no changes, and must cache nothing.
func (c *Cluster) Misplaced() bool { return c.own.wrong.Load() }

// MisplacedError returns an error if another process answers at the address of this one: its
// values could not be told of a change. It waits until the address was checked once.
func (c *Cluster) MisplacedError(ctx context.Context) error {
	c.own.wait(ctx)
	if e := c.problems.of(c.self, peer.WrongProcess); e != nil {
		return e
	}
	return nil
}

// OwnProblem returns what is wrong at the address of this process; nil, if nothing is.
func (c *Cluster) OwnProblem() error {
	if e := c.problems.of(c.self, 0); e != nil {
		return e
	}
	return nil
}

// ProblemOf describes what is wrong with the configuration of a peer. Empty means that nothing
// is known to be.
func (c *Cluster) ProblemOf(name string) string {
	if e := c.problems.of(name, 0); e != nil {
		return e.Err.Error()
	}
	return ""
}

// Background runs f in a goroutine that Drain waits for. f has to end soon after Leave.
func (c *Cluster) Background(f func()) { c.background.Go(f) }
