package cluster

import (
	"context"
	crand "crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// Group is what a cluster needs of a group of this process. Its methods may be called
// concurrently.
type Group interface {
	Name() string
	// Pick returns the n-th peer for key, as the group sees it.
	Pick(key string, n int) peer.Peer
	// DropAll drops all values that are cached here, or on their way.
	DropAll()
	// Consistent reports whether the group keeps nothing while this process has lapsed.
	Consistent() bool
	// ViewChanged limits the time of the values that this process does not own any more,
	// since the view changed at that instant, and returns those that can be offered.
	ViewChanged(at clock.Instant) []Moved
	// ServeChange does what a peer's Change says.
	ServeChange(ctx context.Context, c peer.Change) []peer.Holder
	// TakeOver gets a value that a peer offers, unless there is one. The peer left the view
	// at that instant; zero, if it is in the view.
	TakeOver(ctx context.Context, key string, from peer.Peer, left clock.Instant)
	// Drain returns when no load and no fetch is in progress, or ctx has ended.
	Drain(ctx context.Context) error
	// HasSnapshot reports whether the group has a WithSnapshot. The following are for those.
	HasSnapshot() bool
	// Restored returns a channel that is closed when all is restored that may be used.
	Restored() <-chan struct{}
	// Save writes the snapshot. note is for the next process.
	Save(departure uint64, note func() ([]byte, error)) error
	// OutdateSnapshot removes the snapshot, because of a change that it does not know of.
	OutdateSnapshot() error
}

// Config is how a cluster behaves. All fields are set.
type Config struct {
	Name           string // see WithCluster; may be empty
	Detection      time.Duration
	MaxPeers       int
	Filters        []func(name string) error
	MaxUnproven    int
	ViewChangeRate int // a second
	HandoverBytes  int64
	HandoverTime   time.Duration
	Discovery      discovery.Discovery // nil: Set gives the views
	Pace           *breaker.Pace
	Log            *slog.Logger
	// Ring makes a ring of the names of peers.
	Ring func(names []string) (*consistenthash.Ring, error)
	// Stateless says that peers say nothing of themselves, such as golang/groupcache's.
	Stateless bool
	// Handler returns what answers the requests of a peer.
	Handler func(from string) peer.Handler
}

// Cluster is the part that this process has in a cluster: who its peers are, what they are known
// to think of that, and what has to be done when it changes.
type Cluster struct {
	self      string
	name      string // see WithCluster; may be empty
	transport peer.Transport
	stateless bool
	detection time.Duration
	ring      func(names []string) (*consistenthash.Ring, error)
	handler   func(from string) peer.Handler

	maxPeers      int
	filters       []func(name string) error
	warnedOfReach atomic.Bool

	// view is swapped whole by Set, and when a peer leaves or is back. Readers take no lock.
	view      atomic.Pointer[view]
	agreement viewAgreement
	secret    [32]byte // of which tokens are made

	unproven      *semaphore.Weighted // of requests without a proof that may wait for others
	questionSlots *semaphore.Weighted // of questions, see questionsAtOnce
	takeOverSlots *semaphore.Weighted // of offers, see offersAtOnce
	logSlots      chan struct{}       // filled by those who are told what was changed, see sincesAtOnce

	own      *ownAddress
	problems problems
	watch    *configWatch

	// groups, by name, is never written to, but swapped whole.
	groups   atomic.Pointer[map[string]Group]
	groupsID atomic.Uint64 // of their names, see groupsID

	// Locks are taken in this order, each row after those above it:
	//
	//	mu
	//	consent.mu
	//	watch.mu, own.mu
	//	the mu of each answerer, problems.mu, logs.mu
	//
	// Nobody holds two of one row. No request is sent under any of them, and no callback of
	// the user's is called but the handler of the logger, which must not use the pool.
	mu        sync.Mutex               // guards what follows, and is held while view, groups, leaving or closed change
	leaving   atomic.Bool              // set by Shutdown: the process has no part in the view any more
	closed    atomic.Bool              // set by Shutdown later: it answers no Gets, and Set changes nothing
	listed    []string                 // the peers that Set or the discovery named, this one among them
	absent    map[string]*absentMember // those of listed that are leaving
	known     map[string]*Member       // the peers of the present view, by name
	lingering map[string]*lingering    // those that have left it lately
	viewRate  changeRate               // what bounds those by what peers say
	// questions are those to peers that are in progress, and asked is when each was asked last.
	questions map[string]*question
	asked     map[string]clock.Instant

	departure ownDeparture     // what the next process is told of the end of this one
	earlier   earlierDeparture // what this one was told of the end of the one before

	// background is what goes on after a change of the view: links of peers that left
	// it are closed, the others are told, and the groups look through their caches.
	background sync.WaitGroup
	life       context.Context // of what need not be done when Shutdown has come so far
	cancelLife context.CancelFunc
	handover   struct {
		bytes int64 // that one change of the view may have handed over
		time  time.Duration
	}

	pace       *breaker.Pace // of the attempts to reach peers that are away
	logs       changeLogs
	membership *membership   // nil without a discovery: Set gives the views
	viewed     chan struct{} // closed when Set has given one
	give       sync.Once     // closes given
	ready      atomic.Bool   // set when Ready has returned nil
	log        *slog.Logger
}

// New makes a cluster of this process alone, whose name among its peers is self.
func New(self string, t peer.Transport, cfg Config) (*Cluster, error) {
	c := &Cluster{
		self: self, name: cfg.Name, transport: t, stateless: cfg.Stateless, detection: cfg.Detection, ring: cfg.Ring, handler: cfg.Handler,
		maxPeers: cfg.MaxPeers, filters: cfg.Filters,
		viewed:        make(chan struct{}),
		absent:        make(map[string]*absentMember),
		lingering:     make(map[string]*lingering),
		viewRate:      changeRate{perSecond: cfg.ViewChangeRate},
		unproven:      semaphore.NewWeighted(int64(cfg.MaxUnproven)),
		questionSlots: semaphore.NewWeighted(questionsAtOnce),
		takeOverSlots: semaphore.NewWeighted(offersAtOnce),
		logSlots:      make(chan struct{}, logsAtOnce),
		questions:     make(map[string]*question),
		asked:         make(map[string]clock.Instant),
		logs:          newChangeLogs(),
		problems:      newProblems(self, cfg.Log),
		pace:          cfg.Pace,
		log:           cfg.Log,
	}
	crand.Read(c.secret[:])
	c.agreement.process, c.agreement.observed = max(1, rand.Uint32()), make(map[string]observation)
	c.agreement.tokens = make(map[string]token)
	c.life, c.cancelLife = context.WithCancel(context.Background())
	c.handover.bytes, c.handover.time = cfg.HandoverBytes, cfg.HandoverTime
	c.groups.Store(&map[string]Group{})
	c.groupsID.Store(groupsID(nil))
	if cfg.Discovery != nil {
		c.membership = newMembership(c, cfg.Discovery)
	}
	c.own, c.watch = newOwnAddress(c), newConfigWatch(c)
	if err := c.setPeers([]string{self}, false); err != nil {
		return nil, err
	}
	return c, nil
}

// Set makes peers the list of peers.
func (c *Cluster) Set(peers []string) error {
	if c.membership != nil {
		return errors.New("peercache: Set on a pool that has a WithDiscovery: its views come from there, see Join")
	}
	if err := c.setPeers(peers, false); err != nil {
		return err
	}
	c.own.lookAgain()
	c.give.Do(func() { close(c.viewed) })
	return nil
}

// Register adds a group, if accepts allows it beside those that there are.
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

// detectionTime is for how long a caller waits for a peer that is silent.
func (c *Cluster) detectionTime() time.Duration { return c.detection }

// handshakeTimeout bounds an attempt to connect to a peer, from the decision to
// the peer's first frame. Distance costs several round trips; callers wait for
// detectionTime only.
func (c *Cluster) handshakeTimeout() time.Duration { return max(4*c.detection, 200*time.Millisecond) }

// Self returns the name of this process among its peers.
func (c *Cluster) Self() string { return c.self }

// Closed reports whether the process hears of no changes of the list any more.
func (c *Cluster) Closed() bool { return c.closed.Load() }

// NoteChange records a change for those who restart.
func (c *Cluster) NoteChange(change *peer.Change) { c.logs.record(change) }

// Misplaced reports whether this process has the name of another one: what it keeps would not
// be dropped by the changes of others.
func (c *Cluster) Misplaced() bool { return c.own.wrong.Load() }

// MisplacedError returns an error if another process has the name of this one: who has its values
// is not known then. It waits for the first look.
func (c *Cluster) MisplacedError(ctx context.Context) error {
	c.own.wait(ctx)
	if e := c.problems.of(c.self, peer.WrongProcess); e != nil {
		return e
	}
	return nil
}

// OwnProblem returns what is wrong at the address of this process, or nil.
func (c *Cluster) OwnProblem() error {
	if e := c.problems.of(c.self, 0); e != nil {
		return e
	}
	return nil
}

// ProblemOf returns what is wrong with the configuration of a peer, for people to read; empty, if
// nothing is known to be.
func (c *Cluster) ProblemOf(name string) string {
	if e := c.problems.of(name, 0); e != nil {
		return e.Err.Error()
	}
	return ""
}

// Background runs f, which ends soon after Shutdown has begun.
func (c *Cluster) Background(f func()) { c.background.Go(f) }
