package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/singleflight"
)

// flight is what the callers of a key share who wait for a load.
type flight = singleflight.Flight[Entry]

// load runs the getter for key, or joins the run that is in progress.
func (g *Group) load(ctx context.Context, key string) (Entry, error) {
	if g.lapsed() || g.rank(key) == asStranger {
		return g.loadPast(ctx, key, g.past.Turn())
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	f, first := g.loads.Join(key)
	if first {
		g.loads.Go(ctx, f, func(ctx context.Context, f *flight) (Entry, error) { return g.missed(ctx, key, f) })
	}
	e, err := await(ctx, &g.loads, f)
	return g.orInstead(ctx, key, e, err)
}

// missed is a load of a key that was not cached when its caller looked. It looks again: of
// two callers that both missed, the second may come here when the first one's flight is over:
//
//	1: miss
//	2: miss
//	1: flight starts, loads, keeps the value, ends
//	2: flight starts
//
// Without this look the key would be loaded twice.
func (g *Group) missed(ctx context.Context, key string, f *flight) (Entry, error) {
	if e, v := g.own(key); v != absent {
		if e.Missing {
			return Entry{}, remembered(e)
		}
		return e, nil
	}
	return g.reload(ctx, key, f)
}

// reload is a load of a key that is to be loaded whether or not it is cached.
func (g *Group) reload(ctx context.Context, key string, f *flight) (Entry, error) {
	began := clock.Now()
	if err := g.settle(ctx); err != nil {
		return Entry{}, err
	}
	if previous := g.previous(key); previous != nil {
		if e, ok := g.handedOver(ctx, key, previous); ok {
			return g.keep(key, e, began, f), nil
		}
	}
	if f.Tainted() { // and whoever asks now has another flight
		return g.load(ctx, key)
	}
	if g.slots.full(ctx) { // better an old value than one more who waits
		if e, ok := g.instead(key); ok {
			return e, nil
		}
	}
	e, err := g.runGetter(&inLoad{Context: ctx, of: &g.loads, flights: []*flight{f}}, key)
	return g.conclude(key, e, err, began, f)
}

// conclude keeps what a load found, and returns it. What is served in place of an error is
// for each caller to see: see orInstead.
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

// runGetter calls the user's getter, when there is a slot for it.
func (g *Group) runGetter(ctx *inLoad, key string) (e Entry, err error) {
	taken, err := g.slots.take(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer g.slots.release(taken)
	start, returned := clock.Now(), false
	g.stats.loads.Add(1)
	defer func() { g.noteLoads(start, returned, []string{key}, []error{err}) }()
	item, err := g.getter.Get(g.forGetter(ctx), key)
	returned = true
	if err != nil {
		return Entry{}, err
	}
	return g.loaded(item)
}

// noteLoads counts and logs what came of a run of the getter for keys: an error for each, or
// a panic, if it has not returned.
func (g *Group) noteLoads(start clock.Instant, returned bool, keys []string, errs []error) {
	failed, missing := 0, 0
	for _, err := range errs {
		switch {
		case !returned, err != nil && !errors.Is(err, ErrNotFound):
			failed++
		case err != nil:
			missing++
		}
	}
	g.stats.loadErrors.Add(int64(failed))
	g.stats.notFound.Add(int64(missing))
	switch {
	case !returned && g.logs(slog.LevelError): // the flight makes an error of it
		g.say(slog.LevelError, "the getter panicked", keys[0], slog.Int("keys", len(keys)), slog.String("stack", string(debug.Stack())))
	case returned && g.logs(slog.LevelDebug):
		for i, key := range keys {
			g.say(slog.LevelDebug, "load", key, took(start), problem(errs[i]))
		}
	}
}

// loaded makes an entry of what the getter returned.
func (g *Group) loaded(item Item) (Entry, error) {
	if len(item.Value) > g.maxValue {
		return Entry{}, fmt.Errorf("%w: the getter returned %d bytes, want at most %d", ErrValueSize, len(item.Value), g.maxValue)
	}
	e := Entry{View: ViewOf(item.Value)}
	g.times.expire(&e, clock.Now(), item.TTL)
	return e, nil
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
	case asStranger:
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
	g.hits.Grow()
	kept := g.main.Add(strings.Clone(key), e, tainted)
	if kept && e.Lease == 0 && g.rank(key) != asOwner {
		g.main.Remove(key)
	}
	return kept
}

// rank is what this process is to a key.
type rank int

const (
	asOwner    rank = iota
	asStandIn       // one of the next peers on the ring
	asStranger      // none of these: it keeps no value but as a copy
)

func (g *Group) rank(key string) rank {
	if g.misplaced() {
		return asStranger
	}
	for n := range cluster.Candidates {
		if g.pick(key, n) != nil {
			continue
		}
		if r, doubted := g.doubted(key, n == 0); doubted {
			return r
		}
		if n == 0 {
			return asOwner
		}
		return asStandIn
	}
	return asStranger
}

// doubted returns what this process is to a key whose candidate it has become, where a
// peer with another view may take another one for it. That peer would tell the other one
// of changes. So for some time this process keeps nothing: as a rule the views soon agree.
// If they do not, it keeps values for a time, so that the origin is not asked for each Get.
func (g *Group) doubted(key string, owner bool) (r rank, doubted bool) {
	if g.peers == nil {
		return 0, false
	}
	since := g.peers.Doubtful()
	if since == 0 {
		return 0, false
	}
	if before, _ := g.peers.Before(key); owner && before == nil {
		return 0, false // it was the owner under the view before as well
	}
	if clock.Now() < since.Plus(g.times.standIn) {
		return asStranger, true
	}
	return asStandIn, true
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
				if previous := g.previous(key); previous != nil && !g.lapsed() {
					if e, ok := g.handedOver(ctx, key, previous); ok {
						return e, nil
					}
				}
				return g.runGetter(&inLoad{Context: ctx, of: &g.past, flights: []*flight{f}}, key)
			})
		}
		e, err := await(ctx, &g.past, f)
		if f.Turn() > after || ctx.Err() != nil {
			return e, err
		}
	}
}
