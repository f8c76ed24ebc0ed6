package peercache

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
)

// Invalidation is what a watcher of a group is told: values of these keys that were got before may
// be old.
type Invalidation struct {
	Keys []string // of Remove and Set, as they were given there; shared by all watchers, not to be changed
	// All says that any value of the group may be old: it was cleared, or a change may be missed from
	// now on, or may have been missed before.
	All bool
}

// Watch is a watcher of a group, made by Group.Watch.
type Watch interface {
	// Live reports whether the watcher hears of each change now. When it ceases to be live, and when
	// it begins to be live again, its function is told that all values may be old. Live is cheap.
	Live() bool
	// Stop ends the watch: no call of its function begins after Stop has returned. One that is in
	// progress may go on. Stop may be called by the function itself, and more than once.
	Stop()
}

// Watch has f told of each change of the group, wherever in the cluster Remove, Set or Clear is
// called: before that returns nil. It is for caches in front of this one, such as those of clients
// that are connected with this process. Such a cache is exact, which means that what it returns could
// be returned by a Get at that moment (P8), if it does this for a value that it lacks, in this order:
//
//  1. It notes that the key is being asked for.
//  2. It calls Live, then GetWithTTL.
//  3. It keeps the value if Live was true, and f was told neither of the key nor of All since the
//     note, and for no longer than the TTL. A value with a negative TTL is not kept.
//
// It drops what f names, and everything for All, before f returns. A value that expires is no change.
// A cache in the memory of this process also asks Live before it returns what it has: a process that
// was suspended is live no more when it wakes up, and f hears of that a moment later. One that is
// elsewhere hears of changes as long as its connection to this process does not hang.
//
// A watcher is live when each peer of the view has promised to tell this process of all changes
// (docs/consistency.md), a moment after Watch has returned. It ceases to be live when the view changes or
// a peer starts again, until all have promised that anew; when a peer cannot be reached for the time of
// WithLease; when the registration of this process has lapsed; and for good with Pool.Shutdown. Peers of
// an earlier version, and those of golang/groupcache, promise nothing. Nor does a PeerPicker that is no
// pool: then it is never live. In a group without peers it always is.
//
// f is called in the way of the change: it must return at once, and may be called concurrently, also
// before Watch has returned. A panic is counted (Stats.Panics) and logged. f may use the group, but a
// change that f makes is told to f. As long as a group has watchers, each peer gets two small messages
// in the time of WithLease, and this process hears of each change from up to three peers.
func (g *Group) Watch(f func(Invalidation)) Watch {
	w := &watch{g, f, atomic.Bool{}}
	ws := &g.watchers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := append(slices.Clone(ws.all()), w)
	ws.list.Store(&all)
	c, ok := g.peers.(*cluster.Cluster)
	if ok && ws.stop == nil && !ws.ended && !c.Closed() {
		ctx, stop := context.WithCancel(context.Background())
		ws.stop = stop
		go (&toucher{g: g, cluster: c, ctx: ctx}).run()
	}
	return w
}

// watch is a watcher.
type watch struct {
	of      *Group
	f       func(Invalidation)
	stopped atomic.Bool
}

// Live implements Watch.
func (w *watch) Live() bool { return !w.stopped.Load() && w.of.inTouch() }

// Stop implements Watch. With the last watcher the leases end, by themselves.
func (w *watch) Stop() {
	w.stopped.Store(true)
	ws := &w.of.watchers
	ws.mu.Lock()
	defer ws.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(ws.all()), func(other *watch) bool { return other == w })
	ws.list.Store(&all)
	if len(all) == 0 && ws.stop != nil {
		ws.stop()
		ws.stop = nil
		ws.touch.Store(nil)
	}
}

// tell calls the function of the watcher, unless it has been stopped.
func (w *watch) tell(i Invalidation) {
	defer func() {
		if p := recover(); p != nil {
			w.of.panicked("the function of Watch", "", p)
		}
	}()
	if !w.stopped.Load() {
		w.f(i)
	}
}

// watchers are those of a group, and whether this process hears of each change.
type watchers struct {
	list  atomic.Pointer[[]*watch] // replaced with mu held, and never written to; nil: there are none
	touch atomic.Pointer[touch]    // nil: changes may be missed

	mu    sync.Mutex
	ended bool               // guarded by mu; this process has left its peers
	stop  context.CancelFunc // guarded by mu; ends the toucher; nil: there is none
}

// touch says that this process hears of each change: in an epoch, until its leases on all keys end.
type touch struct {
	epoch uint64
	until clock.Instant
}

// all returns the watchers.
func (ws *watchers) all() []*watch {
	if all := ws.list.Load(); all != nil {
		return *all
	}
	return nil
}

// inTouch reports whether watchers hear of each change.
func (g *Group) inTouch() bool {
	if g.alone() {
		return true
	}
	c, ok := g.peers.(*cluster.Cluster)
	if !ok {
		return false
	}
	t := g.watchers.touch.Load()
	return t != nil && (c.InTouch(t.epoch) || g.planted == failpoint.WatchUnreset) && clock.Now() < t.until
}

// tellWatchers tells the watchers of a change, whose values have been dropped here: they may ask for
// them again at once.
func (g *Group) tellWatchers(c *Change) {
	if len(c.Keys) == 0 && !c.All || len(g.watchers.all()) == 0 {
		return
	}
	i := Invalidation{All: c.All}
	if !c.All {
		i.Keys = slices.Clone(c.Keys)
	}
	if g.planted == failpoint.WatchersLate {
		go func() {
			clock.Pause(context.Background(), 5*time.Millisecond)
			g.tellAll(i)
		}()
		return
	}
	g.tellAll(i)
}

func (g *Group) tellAll(i Invalidation) {
	for _, w := range g.watchers.all() {
		w.tell(i)
	}
}

// endTouch tells the watchers that changes may be missed from now on, if they were told of each so
// far; of t, if that is not nil.
func (g *Group) endTouch(t *touch) {
	if t == nil {
		t = g.watchers.touch.Load()
	}
	if t != nil && g.watchers.touch.CompareAndSwap(t, nil) {
		g.tellAll(Invalidation{All: true})
	}
}

// outOfTouch does what cluster.Group says.
func (g *Group) outOfTouch(forever bool) {
	if forever {
		ws := &g.watchers
		ws.mu.Lock()
		ws.ended = true
		if ws.stop != nil {
			ws.stop()
			ws.stop = nil
		}
		ws.mu.Unlock()
	}
	g.endTouch(nil)
}

// toucher takes leases on all keys from each peer, and renews them, as long as a group has watchers.
type toucher struct {
	g       *Group
	cluster *cluster.Cluster
	ctx     context.Context

	epoch  uint64 // of leases
	leases map[*cluster.Member]leaseOfAll
	retry  time.Duration // until those are asked again that have not given a lease
	missed bool          // a peer has begun its lease anew
}

// leaseOfAll is a lease on all keys, of one peer. The zero value is none.
type leaseOfAll struct {
	id    uint64
	due   clock.Instant // when it is to be renewed
	until clock.Instant
}

const (
	// touchAtOnce is how many peers are asked for leases at the same time.
	touchAtOnce = 64
	// earlyPart of a lease is not used: by its end, watchers have been told that it is over.
	earlyPart = 8
)

// run takes and renews leases until it is stopped.
func (t *toucher) run() {
	for t.ctx.Err() == nil && !t.cluster.Closed() {
		now, ok := t.cluster.Touch()
		if t.g.planted == failpoint.WatchUnreset && len(t.leases) > 0 {
			now.Epoch, ok = t.epoch, true
			now.Members = slices.DeleteFunc(now.Members, func(m *cluster.Member) bool { return t.leases[m].id == 0 })
		}
		if !ok || now.Epoch != t.epoch {
			t.g.endTouch(nil)
			t.leases, t.epoch, t.retry = nil, now.Epoch, clock.RetryAfter
		}
		wait := clock.RetryAfter
		if ok {
			t.renew(&now)
			t.conclude(&now)
			wait = t.wait(&now)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-now.Next:
		case <-t.ctx.Done():
		}
		timer.Stop()
	}
}

// renew asks those peers for leases whose leases are due, or have none.
func (t *toucher) renew(now *cluster.Touch) {
	g, lease := t.g, t.g.times.lease
	if t.leases == nil {
		t.leases = make(map[*cluster.Member]leaseOfAll)
	}
	ctx, cancel := context.WithTimeout(t.ctx, lease/3) // one that hangs must not keep the others from being asked in time
	defer cancel()
	go func() {
		select {
		case <-now.Next:
			if g.planted != failpoint.WatchUnreset {
				g.endTouch(nil)
				cancel()
			}
		case <-ctx.Done():
		}
	}()
	var mu sync.Mutex
	var calls errgroup.Group
	calls.SetLimit(touchAtOnce)
	for _, m := range now.Members {
		mu.Lock()
		l := t.leases[m]
		mu.Unlock()
		if clock.Now() < l.due {
			continue
		}
		calls.Go(func() error {
			asked, granted, id := m.LeaseAll(ctx, now, g.name, lease, l.id)
			early := granted / earlyPart
			if g.planted == failpoint.WatchFromAnswer {
				asked, early = clock.Now(), 0
			}
			mu.Lock()
			defer mu.Unlock()
			if granted <= 0 {
				return nil
			}
			t.missed = t.missed || l.id != 0 && id != l.id
			t.leases[m] = leaseOfAll{id, asked.Plus(granted / 2), asked.Plus(granted - early)}
			return nil
		})
	}
	calls.Wait()
}

// conclude says until when the watchers hear of each change.
func (t *toucher) conclude(now *cluster.Touch) {
	g := t.g
	if t.missed && g.planted != failpoint.WatchUnreset {
		t.missed = false
		g.endTouch(nil)
	}
	next := &touch{epoch: now.Epoch, until: math.MaxInt64}
	for _, m := range now.Members {
		next.until = min(next.until, t.leases[m].until)
	}
	if clock.Now() >= next.until {
		return // what there was ends by itself
	}
	if was := g.watchers.touch.Load(); was == nil || clock.Now() >= was.until || !g.watchers.touch.CompareAndSwap(was, next) {
		g.endTouch(nil)
		g.tellAll(Invalidation{All: true}) // who has asked Live too late keeps nothing
		ws := &g.watchers
		ws.mu.Lock()
		if t.ctx.Err() == nil {
			ws.touch.Store(next)
		}
		ws.mu.Unlock()
	}
	if next.until != math.MaxInt64 {
		time.AfterFunc(time.Duration(next.until-clock.Now()), func() { g.endTouch(next) })
	}
}

// wait returns how long it is until a peer is to be asked.
func (t *toucher) wait(now *cluster.Touch) time.Duration {
	wait, lacking := t.g.times.lease, false
	for _, m := range now.Members {
		l := t.leases[m]
		if left := time.Duration(l.due - clock.Now()); left > 0 {
			wait = min(wait, left)
		} else {
			lacking = true
		}
	}
	if !lacking {
		t.retry = clock.RetryAfter
		return wait
	}
	wait = min(wait, clock.Jitter(t.retry))
	t.retry = min(2*t.retry, t.g.times.lease)
	return wait
}
