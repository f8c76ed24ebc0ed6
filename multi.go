package peercache

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
)

// Result is what GetMulti found for one key.
type Result struct {
	View ByteView
	Err  error // as that of Get
}

// GetMulti returns one Result for each key, in the same order. What is cached
// here is answered at once; the rest is asked of its owners, of all of them at
// the same time, and of each in as few requests as it takes. Each key has its
// flight, as with Get, so that calls which overlap load each key once. A key that
// fails does not fail the others. A key that is given twice is asked for once.
func (g *Group) GetMulti(ctx context.Context, keys []string) []Result {
	results := make([]Result, len(keys))
	parts := make(map[Peer]*part)
	misses := int64(0)
	var old aged
	for i, key := range keys {
		var ok bool
		if results[i].View, ok, results[i].Err = g.hit(ctx, key, &old); ok {
			continue
		}
		misses++
		if results[i].Err = g.checkKey(key); results[i].Err != nil {
			continue
		}
		owner := g.pick(key, 0)
		if g.lapsed() {
			owner = nil
		}
		p := parts[owner]
		if p == nil {
			p = new(part)
			parts[owner] = p
		}
		p.keys, p.places = append(p.keys, key), append(p.places, i)
	}
	g.stats.misses.Add(misses)
	g.renewAll(ctx, &old)

	var owners errgroup.Group
	for owner, p := range parts {
		got := func(i int, e Entry, err error) {
			if err != nil {
				e, err = Entry{}, g.keyError(p.keys[i], err)
			}
			results[p.places[i]] = Result{e.View, err}
		}
		owners.Go(func() error {
			if owner == nil {
				g.loadAll(ctx, p.keys, got)
			} else {
				g.fetchAll(ctx, owner, p.keys, got)
			}
			return nil
		})
	}
	owners.Wait()
	return results
}

// part are the keys of one owner in a GetMulti.
type part struct {
	keys   []string
	places []int // of keys among all
}

// loadAll loads keys here and calls got with the place of each.
func (g *Group) loadAll(ctx context.Context, keys []string, got func(i int, e Entry, err error)) {
	if err := ctx.Err(); err != nil { // as with Get, nothing begins
		for i := range keys {
			got(i, Entry{}, err)
		}
		return
	}
	if getter, ok := g.getter.(BatchGetter); ok && len(keys) > 1 && !g.lapsed() {
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

// mostInBatch is how many keys a BatchGetter gets in one call.
const mostInBatch = 1000

// loadBatches has the getter load keys many at a time, but those that are being
// loaded already.
func (g *Group) loadBatches(ctx context.Context, getter BatchGetter, keys []string, got func(i int, e Entry, err error)) {
	flights, first := g.loads.JoinAll(keys)
	var newKeys []string
	var newFlights []*flight
	for i, f := range flights {
		key := keys[i]
		if !first[i] {
			continue
		}
		if e, v := g.own(key); v != absent { // again: see missed
			if e.Missing {
				g.loads.End(f, Entry{}, remembered(e))
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
		e, err = g.orInstead(ctx, keys[i], e, err)
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
	var asks errgroup.Group
	asks.SetLimit(mostAtOnce)
	for i, key := range keys {
		if previous := g.previous(key); previous != nil {
			asks.Go(func() error {
				if entries[i], here[i] = g.handedOver(ctx, key, previous); here[i] {
					entries[i] = g.keep(key, entries[i], began, flights[i])
				}
				return nil
			})
		}
	}
	asks.Wait()
	var rest []string
	var places []int
	busy := g.slots.full(ctx)
	for i, key := range keys {
		switch {
		case here[i]:
		case flights[i].Tainted(): // see reload
			asks.Go(func() error {
				entries[i], errs[i] = g.load(ctx, key)
				return nil
			})
		default:
			if busy { // see reload
				if entries[i], here[i] = g.instead(key); here[i] {
					continue
				}
			}
			rest, places = append(rest, key), append(places, i)
		}
	}
	if len(rest) > 0 {
		loaded, failed := g.runBatchGetter(&inLoad{Context: ctx, of: &g.loads, flights: flights}, getter, rest)
		for j, i := range places {
			entries[i], errs[i] = g.conclude(keys[i], loaded[j], failed[j], began, flights[i])
		}
	}
	asks.Wait()
	return entries, errs
}

// runBatchGetter calls the user's getter, and holds it to its contract.
func (g *Group) runBatchGetter(ctx *inLoad, getter BatchGetter, keys []string) ([]Entry, []error) {
	entries, errs := make([]Entry, len(keys)), make([]error, len(keys))
	taken, err := g.slots.take(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return entries, errs
	}
	defer g.slots.release(taken)
	start, returned := clock.Now(), false
	g.stats.loads.Add(int64(len(keys)))
	defer func() { g.noteLoads(start, returned, keys, errs) }()

	items, err := getter.GetBatch(g.forGetter(ctx), slices.Clone(keys))
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
			entries[i], errs[i] = g.loaded(items[i])
		}
	}
	return entries, errs
}
