package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/peer"
)

// Pool connects the groups of a process with those of its peers over a transport. It is a
// PeerPicker, to be given to NewGroup. HTTPPool is one over HTTP; NewPool makes one over another
// transport.
type Pool struct {
	cluster     *cluster.Cluster
	ownsNothing bool // see WithoutOwnership
	stateless   bool // peers say nothing of themselves, such as golang/groupcache's

	// serving has one unit taken for each load of a peer in progress. Shutdown waits until it
	// gets them all.
	serving *semaphore.Weighted

	// groups, by name, is never written to, but swapped whole.
	groups atomic.Pointer[map[string]*Group]

	log    *slog.Logger // of WithPoolLogger, and events
	events *events

	allow func(Access) error // see WithAccess; may be nil

	peerTimeout time.Duration                   // see WithPeerTimeout; may be zero
	close       func(ctx context.Context) error // ends what the transport serves; may be nil
}

// NewPool makes a pool for this process over a transport of the user's own. self is the name by
// which its peers know it. The transport's server gets the answers of this process from Accept.
// The options are those of NewHTTPPool, but for those of HTTP.
func NewPool(self string, t peer.Transport, opts ...PoolOption) (*Pool, error) {
	o, err := readPoolOptions(opts)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("peercache: NewPool without a transport: want one, or NewHTTPPool")
	}
	if len(o.http) > 0 {
		return nil, fmt.Errorf("peercache: %s: want it with NewHTTPPool alone", o.http[0])
	}
	return newPool(self, t, o)
}

func newPool(self string, t peer.Transport, o *poolOptions) (*Pool, error) {
	stateless, ok := t.(peer.Stateless)
	p := &Pool{serving: semaphore.NewWeighted(math.MaxInt64), stateless: ok && stateless.Stateless(), ownsNothing: o.cluster.OwnsNothing, peerTimeout: o.peerTimeout, log: o.cluster.Log, events: o.events, allow: o.allow}
	if p.stateless && p.ownsNothing {
		return nil, errors.New("peercache: WithoutOwnership: the peers of this transport say nothing of themselves, and do not know of processes that own nothing")
	}
	p.groups.Store(&map[string]*Group{})
	o.cluster.Stateless = p.stateless
	o.cluster.Ring = o.ring()
	o.cluster.Detection = o.detection()
	o.cluster.Handler = func(from peer.Identity) peer.Handler {
		h := new(handler)
		h.init(p, from)
		return h
	}
	o.cluster.Audit = o.audit()
	var err error
	p.cluster, err = cluster.New(self, t, o.cluster)
	return p, err
}

// clustered returns the cluster, also of a type that embeds the pool.
func (p *Pool) clustered() *cluster.Cluster { return p.cluster }

// made reports whether NewPool or NewHTTPPool made the pool.
func (p *Pool) made() bool { return p != nil && p.cluster != nil }

// Set replaces the view: peers are the base URLs of all processes of the
// cluster, this one among them, spelled the same everywhere, in any order. Keys
// whose owner does not change stay where they are. After an error the view is what it
// was; after Shutdown the error is ErrClosed. A pool with a WithDiscovery gets its views from
// there, by Join, and refuses those of Set.
//
// A base URL is scheme, host and port alone. Peers are told apart by its text, so Set takes
// just one spelling, and its error says which: lower case, no slash or dot at the end, no
// port where it is that of the scheme (http://a.example, not http://a.example:80), IP
// addresses in their shortest form ([::1], and 10.0.0.1, not [::ffff:10.0.0.1]). There are
// at most as many peers as WithMaxPeers says. If only one of this process and a peer has
// a loopback address, the logger of WithPoolLogger gets a warning: from two machines they
// cannot reach each other.
//
// A process should take no requests of users before its first Set: until then it
// is alone, loads every key by itself, hears of no Remove, and tells nobody of its own. When the first list with
// other peers comes, it drops what it has cached.
func (p *Pool) Set(peers ...string) error {
	if !p.made() {
		return errors.New("peercache: Set on a pool that NewHTTPPool did not make: want its error looked at")
	}
	return p.cluster.Set(peers)
}

// Register implements PeerPicker. A pool has one group of a name.
func (p *Pool) Register(g *Group) error {
	if !p.made() {
		return errors.New("a pool that NewHTTPPool did not make")
	}
	return p.cluster.Register(clustered{g}, func(all map[string]cluster.Group) error {
		if err := p.accepts(g); err != nil {
			return err
		}
		groups := maps.Clone(*p.groups.Load())
		groups[g.name], g.home = g, p.cluster
		g.journal.events = p.events.logger(g.log)
		g.peerTimeout, g.answerTime = p.peerTimeout, max(g.answerTime, p.peerTimeout) // of the plain way
		p.groups.Store(&groups)
		return nil
	})
}

// knowsChanges implements snapshotHost.
func (p *Pool) knowsChanges() bool { return p.made() && !p.stateless }

// accepts returns an error if g cannot be beside the groups that there are.
func (p *Pool) accepts(g *Group) error {
	if g.snapshot != nil && p.ownsNothing {
		return errors.New("WithSnapshot: the pool has WithoutOwnership, and keeps nothing that could be saved: want one of them")
	}
	for name, other := range *p.groups.Load() {
		if name == g.name {
			return errors.New("the pool has a group of that name already: want another name, or another pool")
		}
		if g.snapshot != nil && other.snapshot != nil && g.snapshot.path == other.snapshot.path {
			return fmt.Errorf("WithSnapshot: %s is the file of the group %q: want one for each group", g.snapshot.path, name)
		}
	}
	return nil
}

// Pick implements PeerPicker.
func (p *Pool) Pick(key string, n int) Peer { return p.cluster.Pick(key, n) }

// Peers implements PeerPicker.
func (p *Pool) Peers() []Peer { return p.cluster.Peers() }

// Accept returns what answers the requests of a peer, for the server of a transport. See
// peer.Process, which a Pool is.
func (p *Pool) Accept(from peer.Identity, to string) (peer.Handler, error) {
	return p.cluster.Accept(from, to)
}

// Identity returns what this process says of itself with each request and each response.
func (p *Pool) Identity() peer.Identity { return p.cluster.Identity() }

// Join makes the process known to its peers by the pool's discovery, and gives the
// pool the views that come from there until Shutdown. It returns when the first
// view that holds this process is in place. Call it when the server is listening:
// the peers will ask at once.
//
// The pool leaves out of a view, with a warning to the logger of WithPoolLogger: what is no base
// URL of a peer, what is not spelled as Set wants it, what a WithPeerFilter refuses, and a
// loopback or link-local address, if this process has none of the kind. It does not take a view
// of more peers than WithMaxPeers allows. If a view lacks this process, the pool adds it, so that
// it goes on serving its own callers. If nobody is in a view, the last one stands.
//
// If ctx ends first, the error wraps ctx.Err and says what was missing. The discovery goes on, so
// that a process may serve alone until it knows its peers. Until then it hears of no Remove; then
// it drops what it has cached. Call Join again to go on waiting. Join also fails if the pool has
// no WithDiscovery, if the discovery failed, and with ErrClosed after Shutdown.
func (p *Pool) Join(ctx context.Context) error { return p.cluster.Join(ctx) }

// Ready returns nil when this process is warm enough for the requests of users: it has a
// view, by Set or by Join, the peers that can be reached have it too, those to which this
// process is new have handed over what is its own now, and what may be used of the
// snapshots is restored. If ctx ends before, the error says first what was missing, and wraps
// that and ctx.Err. It is made for a readiness probe: give ctx a time that is shorter than the
// probe's timeout, such as 500 ms where that is 1 s, or the probe never sees the error.
//
// Peers that cannot be reached are not waited for, and those that have values to hand over,
// lack a group, or have not said whether they do, for no longer than WithHandover's time after
// this process got its view.
// For a wrong configuration Ready waits without end, because people have to mend it, and
// errors.As finds a *ConfigError in its error: a WrongProcess, NotAPeer, NotListening or
// DifferentLists.
//
// Once warm, the process stays ready whatever changes in the cluster: otherwise a change that
// all processes see could take all of them away from their users. From Shutdown on
// the error is ErrClosed.
func (p *Pool) Ready(ctx context.Context) error { return p.cluster.Ready(ctx) }

// Groups returns the groups of the pool, in the order of their names.
func (p *Pool) Groups() []*Group {
	all := slices.Collect(maps.Values(*p.groups.Load()))
	slices.SortFunc(all, func(a, b *Group) int { return cmp.Compare(a.name, b.name) })
	return all
}

// Logger returns the logger of the pool, for what belongs to it. It passes all on to that of
// WithPoolLogger. What is of level info or above is one of Events.
func (p *Pool) Logger() *slog.Logger { return p.log }

// Ring is what the view of a pool is at one moment.
type Ring struct {
	View    uint64        // the same number in all processes with the same peers
	Age     time.Duration // since this process has had the view
	Shares  []Share       // of all processes of the view, in the order of their names
	Leaving []string      // those that are on the list and leave, this process perhaps among them
}

// Share is the part of all keys that one process owns.
type Share struct {
	Peer string  // its base URL
	Part float64 // from 0 to 1; those of all processes add up to 1. 0: it owns nothing, see WithoutOwnership
}

// Ring returns who owns what part of the keys. It is meant for people: it takes milliseconds if there
// are thousands of peers.
func (p *Pool) Ring() Ring {
	ring, owners, ownless, id, since, leaving := p.cluster.Ring()
	r := Ring{View: id, Age: max(0, time.Duration(clock.Now()-since)), Leaving: leaving}
	if ring != nil {
		for i, part := range ring.Shares() {
			r.Shares = append(r.Shares, Share{owners[i], part})
		}
	}
	for _, name := range ownless {
		r.Shares = append(r.Shares, Share{name, 0})
	}
	slices.SortFunc(r.Shares, func(a, b Share) int { return cmp.Compare(a.Peer, b.Peer) })
	return r
}

// Shutdown ends the pool's part in the cluster so that nobody notices:
//
//  1. It tells the peers, which take this process out of their views, also where they
//     were given those by Set, until it announces itself again.
//  2. It hands over what is cached here to the new owners, as far as WithHandover
//     allows, and in not more than half of the time that ctx leaves. Up to here it
//     goes on answering its peers.
//  3. If Join has made it known, it withdraws that.
//  4. It refuses new Gets of peers, though it still obeys their Removes, and waits for
//     those in progress and for all loads and fetches, also the abandoned ones, until
//     ctx ends; its error is then ctx.Err.
//  5. It saves the groups that have a WithSnapshot, which takes as long as the disk needs,
//     whatever ctx says.
//
// The groups can still be asked, and load by themselves what they have not cached; their
// Remove still reaches the peers, but when the next process has come at the address of this
// one it is an error: that one does not hear of it. Ready returns ErrClosed from then on.
//
// A process ends in this order: it stops taking users' requests, shuts down the
// pool, and only then the server that serves the pool.
func (p *Pool) Shutdown(ctx context.Context) error {
	err := p.cluster.Leave(ctx)
	err = cmp.Or(err, p.drain(ctx))
	p.cluster.CloseConns(ctx) // also if ctx has ended before
	if err := errors.Join(err, p.cluster.SaveSnapshots()); err != nil {
		return fmt.Errorf("peercache: shutdown: %w", err)
	}
	return nil
}

// drain waits for what is in progress: what peers asked for, and what the groups load and fetch.
func (p *Pool) drain(ctx context.Context) error {
	if p.close != nil {
		if err := p.close(ctx); err != nil {
			return err
		}
	}
	if err := p.serving.Acquire(ctx, math.MaxInt64); err != nil {
		return err
	}
	defer p.serving.Release(math.MaxInt64) // closed refuses requests from now on
	return p.cluster.Drain(ctx)
}

// clustered is a Group as its cluster sees it. See cluster.Group.
type clustered struct{ *Group }

func (g clustered) Name() string                { return g.name }
func (g clustered) Pick(key string, n int) Peer { return g.pick(key, n) }
func (g clustered) DropAll()                    { g.drop(&Change{All: true}, never) }
func (g clustered) ServeChange(ctx context.Context, c Change, late func() bool) []Holder {
	return g.servePeerChange(ctx, c, late)
}
func (g clustered) LeaseAll(name string, d time.Duration, id, epoch uint64) (time.Duration, uint64) {
	return g.holders.LeaseAll(name, d, id, epoch)
}
func (g clustered) OutOfTouch(forever bool) { g.outOfTouch(forever) }
func (g clustered) Consistent() bool        { return g.consistent }
func (g clustered) ViewChanged(at clock.Instant, moved bool) []cluster.Moved {
	return g.viewChanged(at, moved)
}
func (g clustered) Drain(ctx context.Context) error { return g.drain(ctx) }
func (g clustered) HasSnapshot() bool               { return g.snapshot != nil }
func (g clustered) Restored() <-chan struct{}       { return g.snapshot.restored }
func (g clustered) OutdateSnapshot() error          { return g.outdateSnapshot() }

func (g clustered) TakeOver(ctx context.Context, key string, from Peer, departed clock.Instant) {
	g.pullOffered(ctx, key, from, departed)
}

func (g clustered) Save(departure uint64, note func() ([]byte, error)) error {
	return g.save(departure, note)
}
