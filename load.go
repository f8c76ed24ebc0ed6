package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/durations"
	"github.com/peercache/peercache/singleflight"
)

// loader runs the getter.
type loader struct {
	getter      Getter
	loadTimeout time.Duration
	contexts    *contexts // nil without a WithContextCodec
	traced

	// loads are the runs of the getter whose values are kept. past are the others, see
	// loadPast. They are apart from the fetcher's fetches, because a peer's request may
	// wait for a load but never for a fetch: else two peers that each think the other owns
	// a key would wait for each other (P2).
	loads singleflight.Group[Entry]
	past  singleflight.Group[Entry]

	slots slots // see WithMaxLoads

	counts    loadCounts
	loadTimes durations.Recorder // of the runs of the getter
	journal   *journal
}

// loadCounts are the counts of the loader.
type loadCounts struct{ loads, loadErrors, notFound, refreshes atomic.Int64 }

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

// load returns the value of key as this process can get it: from the run of the getter that is
// in progress or that it starts, which looks into the cache and asks the previous owner first,
// or an expired value in place of an error.
func (g *Group) load(ctx context.Context, key string) (Entry, error) {
	if g.lapsed() || g.rank(key) == asNonReplica {
		return g.loadPast(ctx, key, g.past.Turn())
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	f, first := g.loads.Join(key)
	g.tracing.joined(ctx, first)
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
			return Entry{}, remembered(e.View)
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
	e, err := g.runGetter(loadOf(ctx, &g.loads, f), key, &g.caches)
	return g.conclude(key, e, err, began, f)
}

// conclude keeps what a load found, and returns it. What is served in place of an error is
// decided for each caller: see orExpired.
func (g *Group) conclude(key string, e Entry, err error, began clock.Instant, f *flight) (Entry, error) {
	if err == nil {
		return g.keep(key, e, began, f), nil
	}
	if errors.Is(err, ErrNotFound) {
		// Do this even without WithNegativeTTL: it removes an expired value that may still be
		// cached for the key.
		g.keep(key, g.missing(err), began, f)
	}
	return Entry{}, err
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
		g.tracing.joined(ctx, first)
		if first {
			g.past.Go(ctx, f, func(ctx context.Context, f *flight) (Entry, error) {
				if !g.lapsed() {
					if e, ok := g.pullFromPreviousOwner(ctx, key); ok {
						return e, nil
					}
				}
				e, err := g.runGetter(loadOf(ctx, &g.past, f), key, &g.caches)
				return e.clone(), err
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
// getter returns. The value is in the getter's memory, and so must be copied: see keep. Where
// there are slots it is a copy already, because a getter that is called again when its slot is free
// may use its memory again.
func (l *loader) runGetter(ctx *inLoad, key string, c *caches) (e Entry, err error) {
	acquired, err := l.slots.acquire(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer l.slots.release(acquired)
	start, returned := clock.Now(), false
	inner, span := l.tracing.startLoad(ctx, l.contexts, key)
	l.counts.loads.Add(1)
	defer func() { l.countLoad(start, returned, key, err); span.over(returned, err) }()
	item, err := l.getter.Get(inner, key)
	returned = true
	if err != nil {
		return Entry{}, err
	}
	if e, err = c.loaded(item); l.slots != nil {
		e = e.clone()
	}
	return e, err
}

// countLoad does what countLoads does, for one key.
func (l *loader) countLoad(start clock.Instant, returned bool, key string, err error) {
	if returned && err == nil && !l.journal.logs(slog.LevelDebug) { // as a rule
		l.loadTimes.Observe(time.Duration(clock.Now() - start))
		return
	}
	l.countLoads(start, returned, []string{key}, []error{err})
}

// countLoads counts and logs the result of a run of the getter for keys: an error for each, or
// a panic, if it has not returned.
func (l *loader) countLoads(start clock.Instant, returned bool, keys []string, errs []error) {
	l.loadTimes.Observe(time.Duration(clock.Now() - start))
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

// loadAll loads keys here and calls got with the place of each.
func (g *Group) loadAll(ctx context.Context, keys []string, got func(i int, e Entry, err error)) {
	if err := ctx.Err(); err != nil { // as with Get, nothing begins
		for i := range keys {
			got(i, Entry{}, err)
		}
		return
	}
	if getter, ok := g.getter.(BatchGetter); ok && len(keys) > 1 && g.hearsOfChanges(keys) {
		g.loadBatches(ctx, getter, keys, got)
		return
	}
	places := make(map[string][]int) // of a key that is given twice, both
	for i, key := range keys {
		places[key] = append(places[key], i)
	}
	var loads errgroup.Group
	loads.SetLimit(mostAtOnce)
	for key, places := range places {
		if err := ctx.Err(); err != nil { // and a goroutine each would take its time
			for _, i := range places {
				got(i, Entry{}, err)
			}
			continue
		}
		loads.Go(func() error {
			e, err := g.load(ctx, key)
			for _, i := range places {
				got(i, e, err)
			}
			return nil
		})
	}
	loads.Wait()
}

// hearsOfChanges reports whether this process is told of the changes of all keys. If it is not, no
// load may be joined that began before its caller came: see loadPast.
func (g *Group) hearsOfChanges(keys []string) bool {
	return !g.lapsed() && !slices.ContainsFunc(keys, func(key string) bool { return g.rank(key) == asNonReplica })
}

// mostInBatch is how many keys a BatchGetter gets in one call.
const mostInBatch = 1000

// loadBatches calls the getter for many keys at a time, except those that are being loaded
// already.
func (g *Group) loadBatches(ctx context.Context, getter BatchGetter, keys []string, got func(i int, e Entry, err error)) {
	flights, first := g.loads.JoinAll(keys)
	var newKeys []string
	var newFlights []*flight
	for i, f := range flights {
		key := keys[i]
		if g.tracing.joined(ctx, first[i]); !first[i] {
			continue
		}
		if e, v := g.own(key); v != miss { // again: see loadMissed
			g.countStale(v)
			if e.Missing {
				g.loads.End(f, Entry{}, remembered(e.View))
			} else {
				g.loads.End(f, e, nil)
			}
			continue
		}
		newKeys, newFlights = append(newKeys, key), append(newFlights, f)
	}
	for from := 0; from < len(newKeys); from += mostInBatch {
		to := min(from+mostInBatch, len(newKeys))
		keys, flights := newKeys[from:to:to], newFlights[from:to]
		g.loads.GoAll(ctx, flights, func(ctx context.Context) ([]Entry, []error) {
			return g.loadBatch(ctx, getter, keys, flights)
		})
	}
	for i, f := range flights {
		e, err := await(ctx, &g.loads, f)
		e, err = g.orExpired(ctx, keys[i], e, err)
		got(i, e, err)
	}
}

// loadBatch does what reload does, for the keys of one batch.
func (g *Group) loadBatch(ctx context.Context, getter BatchGetter, keys []string, flights []*flight) ([]Entry, []error) {
	began := clock.Now()
	entries, errs := make([]Entry, len(keys)), make([]error, len(keys))
	if err := g.settle(ctx); err != nil {
		for i := range errs {
			errs[i] = err
		}
		return entries, errs
	}
	here := make([]bool, len(keys))
	g.pullAllFromPreviousOwners(ctx, keys, func(i int, e Entry) {
		entries[i], here[i] = g.keep(keys[i], e, began, flights[i]), true
	})
	var again errgroup.Group
	again.SetLimit(mostAtOnce)
	var rest []string
	var places []int
	busy := g.slots.full(ctx)
	for i, key := range keys {
		switch {
		case here[i]:
		case flights[i].Tainted(): // see reload
			again.Go(func() error {
				entries[i], errs[i] = g.load(ctx, key)
				return nil
			})
		default:
			if busy { // see reload
				if entries[i], here[i] = g.serveExpired(key); here[i] {
					continue
				}
			}
			rest, places = append(rest, key), append(places, i)
		}
	}
	if len(rest) > 0 {
		loaded, failed := g.runBatchGetter(&inLoad{Context: ctx, of: &g.loads, flights: flights}, getter, rest, &g.caches)
		for j, i := range places {
			entries[i], errs[i] = g.conclude(keys[i], loaded[j], failed[j], began, flights[i])
		}
	}
	again.Wait()
	return entries, errs
}

// runBatchGetter calls the user's getter when there is a slot for it, and checks that it keeps
// its contract. c makes entries of what the getter returns.
func (l *loader) runBatchGetter(ctx *inLoad, getter BatchGetter, keys []string, c *caches) ([]Entry, []error) {
	entries, errs := make([]Entry, len(keys)), make([]error, len(keys))
	acquired, err := l.slots.acquire(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return entries, errs
	}
	defer l.slots.release(acquired)
	start, returned := clock.Now(), false
	inner, span := l.tracing.startLoad(ctx, l.contexts, keys...)
	l.counts.loads.Add(int64(len(keys)))
	defer func() { l.countLoads(start, returned, keys, errs); span.over(returned, failure(errs)) }()

	items, err := getter.GetBatch(inner, slices.Clone(keys))
	returned = true
	partial, ok := errors.AsType[BatchError](err)
	switch {
	case ok && len(partial) != len(keys):
		err = fmt.Errorf("the getter returned a BatchError of %d for %d keys, want one each: %w", len(partial), len(keys), err)
	case ok:
		copy(errs, partial)
		err = nil
	}
	if err == nil && len(items) != len(keys) {
		err = fmt.Errorf("the getter returned %d items for %d keys, want one each", len(items), len(keys))
	}
	for i := range keys {
		if err != nil {
			errs[i] = err
		}
		if errs[i] == nil {
			if entries[i], errs[i] = c.loaded(items[i]); l.slots != nil {
				entries[i] = entries[i].clone() // see runGetter
			}
		}
	}
	return entries, errs
}
