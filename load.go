package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/singleflight"
)

// flight is what the callers of a key share who wait for a load.
type flight = singleflight.Flight[Entry]

// loader runs the getter.
type loader struct {
	getter      Getter
	loadTimeout time.Duration
	contexts    *contexts // nil without a WithContextCodec

	// loads are the runs of the getter whose values are kept. past are the others, see
	// loadPast. They are apart from the fetcher's fetches, because a peer's request may
	// wait for a load but never for a fetch: else two peers that each think the other owns
	// a key would wait for each other (P2).
	loads singleflight.Group[Entry]
	past  singleflight.Group[Entry]

	slots     slots // see WithMaxLoads
	refreshes refreshQueue

	counts  loadCounts
	journal *journal
}

// makeLoader sets what follows from the options.
func (l *loader) makeLoader(standIn time.Duration, j *journal) {
	l.journal = j
	l.loads.Timeout, l.past.Timeout = l.loadTimeout, l.loadTimeout
	l.loads.Clock = clock.SinceStart
	if l.loadTimeout > standIn {
		// Nobody may join a load that began before a change, when the change has
		// waited for this process as a stand-in.
		l.loads.JoinFor = standIn
	}
}

// load runs the getter for key, or joins the run that is in progress.
func (g *Group) load(ctx context.Context, key string) (Entry, error) {
	if g.lapsed() || g.rank(key) == asNonReplica {
		return g.loadPast(ctx, key, g.past.Turn())
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	f, first := g.loads.Join(key)
	if first {
		g.loads.Go(ctx, f, func(ctx context.Context, f *flight) (Entry, error) { return g.loadMissed(ctx, key, f) })
	}
	e, err := await(ctx, &g.loads, f)
	return g.orExpired(ctx, key, e, err)
}

// loadMissed loads a key that was not cached when its caller looked. It looks again: of
// two callers that both missed, the second may come here when the first one's flight is over:
//
//	1: miss
//	2: miss
//	1: flight starts, loads, keeps the value, ends
//	2: flight starts
//
// Without this look the key would be loaded twice.
func (g *Group) loadMissed(ctx context.Context, key string, f *flight) (Entry, error) {
	if e, v := g.own(key); v != miss {
		g.countStale(v)
		if e.Missing {
			return Entry{}, remembered(e)
		}
		return e, nil
	}
	return g.reload(ctx, key, f)
}

// reload loads a key whether or not it is cached.
func (g *Group) reload(ctx context.Context, key string, f *flight) (Entry, error) {
	began := clock.Now()
	if err := g.settle(ctx); err != nil {
		return Entry{}, err
	}
	if e, ok := g.pullFromPreviousOwner(ctx, key); ok {
		return g.keep(key, e, began, f), nil
	}
	if f.Tainted() { // and whoever asks now has another flight
		return g.load(ctx, key)
	}
	if g.slots.full(ctx) { // better an old value than one more caller that waits
		if e, ok := g.serveExpired(key); ok {
			return e, nil
		}
	}
	e, err := g.runGetter(&inLoad{Context: ctx, of: &g.loads, flights: []*flight{f}}, key, &g.caches)
	return g.conclude(key, e, err, began, f)
}

// conclude keeps what a load found, and returns it. What is served in place of an error is
// decided for each caller: see orExpired.
func (g *Group) conclude(key string, e Entry, err error, began clock.Instant, f *flight) (Entry, error) {
	if err == nil {
		return g.keep(key, e, began, f), nil
	}
	if errors.Is(err, ErrNotFound) {
		// Also where it is not to be remembered: a value that has expired is in
		// its place.
		g.keep(key, g.missing(err), began, f)
	}
	return Entry{}, err
}

// keep puts what a load found into the main cache: for good if this process owns the
// key, and for a time if it stands in for the owner. The time is counted from when the
// load began, because that is what a change which does not reach this process waits
// for. It returns e with that time, which bounds what peers are told of it.
func (g *Group) keep(key string, e Entry, began clock.Instant, f *flight) Entry {
	switch g.rank(key) {
	case asOwner:
	case asStandIn:
		e.Lease = began.Plus(g.times.standIn)
	case asNonReplica:
		return e
	}
	if e.Expires != 0 && e.Expires <= clock.Now() {
		if _, there := g.main.Get(key); !there {
			return e
		}
		// What is there is older. It leaves, as for any other value.
	}
	g.addOwn(key, e, g.planted.Taint(f.Tainted))
	return e
}

// addOwn puts an entry into the main cache. If the view has changed since its rank was
// looked at, viewChanged may have looked through the cache before it came, and nothing
// would limit its time: it leaves again.
func (g *Group) addOwn(key string, e Entry, tainted func() bool) bool {
	kept := g.addMain(key, e, tainted)
	if kept && e.Lease == 0 && g.rank(key) != asOwner {
		g.main.Remove(key)
	}
	return kept
}

// loadPast loads key and keeps nothing. It is for a process that may not hear of changes
// of the key, such as one that has lapsed: it shares only loads that began after the given
// turn, which was taken after the caller asked.
func (g *Group) loadPast(ctx context.Context, key string, after uint64) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	for {
		f, first := g.past.Join(key)
		if first {
			g.past.Go(ctx, f, func(ctx context.Context, f *flight) (Entry, error) {
				if !g.lapsed() {
					if e, ok := g.pullFromPreviousOwner(ctx, key); ok {
						return e, nil
					}
				}
				return g.runGetter(&inLoad{Context: ctx, of: &g.past, flights: []*flight{f}}, key, &g.caches)
			})
		}
		e, err := await(ctx, &g.past, f)
		if f.Turn() > after || ctx.Err() != nil {
			return e, err
		}
	}
}

// orExpired returns what a caller gets of a load: the value that has expired in place of an
// error, where the group allows it. It is called for each caller and not once for each load,
// because a load may end without its function: it hangs, or panics. A caller whose own
// context has ended gets the error of that (P3).
func (g *Group) orExpired(ctx context.Context, key string, e Entry, err error) (Entry, error) {
	if err == nil || errors.Is(err, ErrNotFound) || ctx.Err() != nil {
		return e, err
	}
	if old, ok := g.serveExpired(key); ok {
		return old, nil
	}
	return e, err
}

// runGetter calls the user's getter when there is a slot for it. c makes an entry of what the
// getter returns.
func (l *loader) runGetter(ctx *inLoad, key string, c *caches) (e Entry, err error) {
	acquired, err := l.slots.acquire(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer l.slots.release(acquired)
	start, returned := clock.Now(), false
	l.counts.loads.Add(1)
	defer func() { l.countLoads(start, returned, []string{key}, []error{err}) }()
	item, err := l.getter.Get(l.contexts.forGetter(ctx), key)
	returned = true
	if err != nil {
		return Entry{}, err
	}
	return c.loaded(item)
}

// countLoads counts and logs the result of a run of the getter for keys: an error for each, or
// a panic, if it has not returned.
func (l *loader) countLoads(start clock.Instant, returned bool, keys []string, errs []error) {
	failed, missing := 0, 0
	for _, err := range errs {
		switch {
		case !returned, err != nil && !errors.Is(err, ErrNotFound):
			failed++
		case err != nil:
			missing++
		}
	}
	l.counts.loadErrors.Add(int64(failed))
	l.counts.notFound.Add(int64(missing))
	switch {
	case !returned && l.journal.logs(slog.LevelError): // the flight makes an error of it
		l.journal.say(slog.LevelError, "the getter panicked", keys[0], slog.Int("keys", len(keys)), slog.String("stack", string(debug.Stack())))
	case returned && l.journal.logs(slog.LevelDebug):
		for i, key := range keys {
			l.journal.say(slog.LevelDebug, "load", key, took(start), problem(errs[i]))
		}
	}
}

// startRefresh loads key again in the background, unless it is being loaded. If later is not
// nil, it leaves that to startDue.
func (g *Group) startRefresh(ctx context.Context, key string, later *due) {
	key = strings.Clone(key)
	if later != nil {
		later.keys = append(later.keys, key)
		return
	}
	if f := g.loads.Start(key); f != nil {
		g.loader.counts.refreshes.Add(1)
		g.loads.Go(outside(ctx), f, func(ctx context.Context, f *flight) (Entry, error) { return g.reload(ctx, key, f) })
	}
}

// refreshBatch loads keys again, except those that are being loaded, or have been meanwhile.
func (g *Group) refreshBatch(b refreshBatch) {
	keys := slices.DeleteFunc(b.keys, func(key string) bool {
		_, v := g.own(key)
		return v == miss || v == fresh
	})
	flights, places := g.loads.StartAll(keys)
	if len(flights) == 0 {
		return
	}
	for i, place := range places {
		keys[i] = keys[place]
	}
	keys = keys[:len(places)]
	g.loader.counts.refreshes.Add(int64(len(keys)))
	var over sync.WaitGroup
	over.Go(func() { // which a getter may end
		if getter, ok := g.getter.(BatchGetter); ok && len(keys) > 1 {
			g.loads.RunAll(b.ctx, flights, func(ctx context.Context) ([]Entry, []error) {
				return g.loadBatch(ctx, getter, keys, flights)
			})
			return
		}
		// It is one: see refreshQueue.add.
		g.loads.Run(b.ctx, flights[0], g.loads.CancelAbandoned, func(ctx context.Context, f *flight) (Entry, error) {
			return g.reload(ctx, keys[0], f)
		})
	})
	over.Wait()
}

// slots bound the runs of the getter at one time: each fills one, but those that run inside
// of another's. A nil slots is no bound.
type slots chan struct{}

// errBusy stands for the error of an origin that has as much to do as it may.
var errBusy = errors.New("as many loads are running as the group allows")

// full reports whether a load that begins now, with ctx, has to wait for a slot.
func (s slots) full(ctx context.Context) bool {
	return s != nil && len(s) == cap(s) && nestingOf(ctx) != InSlot
}

// acquire waits for a slot, and reports whether c has got one. If a load that has a slot waits
// for c, c runs without.
func (s slots) acquire(c *inLoad) (acquired bool, err error) {
	if s == nil {
		return false, nil
	}
	if nestingOf(c.Context) == InSlot {
		c.slot = true
		return false, nil
	}
	select {
	case s <- struct{}{}:
		c.slot = true
		return true, nil
	default:
	}
	select {
	case s <- struct{}{}:
		c.slot = true
		return true, nil
	case <-c.of.Urged(c.flights...):
		c.slot = true
		return false, nil
	case <-c.Done():
		return false, fmt.Errorf("%w (%d), and none ended in time: %w", errBusy, cap(s), c.Err())
	}
}

func (s slots) release(acquired bool) {
	if acquired {
		<-s
	}
}
