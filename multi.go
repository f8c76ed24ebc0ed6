package peercache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

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
	byOwner := make(map[Peer]*ownedKeys)
	misses := int64(0)
	var later due
	for i, key := range keys {
		var ok bool
		if results[i].View, ok, results[i].Err = g.hit(ctx, key, &later); ok {
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
		o := byOwner[owner]
		if o == nil {
			o = new(ownedKeys)
			byOwner[owner] = o
		}
		o.keys, o.places = append(o.keys, key), append(o.places, i)
	}
	g.caches.counts.misses.Add(misses)
	g.startDue(ctx, &later)

	var owners sync.WaitGroup
	for owner, o := range byOwner {
		got := func(i int, e Entry, err error) {
			if err != nil {
				e, err = Entry{}, g.keyError(o.keys[i], err)
			}
			results[o.places[i]] = Result{e.View, err}
		}
		owners.Go(func() {
			if owner == nil {
				g.loadAll(ctx, o.keys, got)
			} else {
				g.fetchAll(ctx, owner, o.keys, got)
			}
		})
	}
	owners.Wait()
	return results
}

// ownedKeys are the keys of one owner in a GetMulti.
type ownedKeys struct {
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

// mostAtOnce is how many keys of one GetMulti are loaded here, or asked of one
// peer that takes them one by one, at the same time.
const mostAtOnce = 32

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
		if !first[i] {
			continue
		}
		if e, v := g.own(key); v != miss { // again: see loadMissed
			g.countStale(v)
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
	l.counts.loads.Add(int64(len(keys)))
	defer func() { l.countLoads(start, returned, keys, errs) }()

	items, err := getter.GetBatch(l.contexts.forGetter(ctx), slices.Clone(keys))
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
			entries[i], errs[i] = c.loaded(items[i])
		}
	}
	return entries, errs
}

// due has the keys of one request for many whose values are served, but must be loaded again,
// or whose leases must be renewed. All of them are started together, when all keys have been
// looked at.
type due struct {
	keys   []string // that are to be loaded again
	copies []string // whose leases are to be renewed
	haves  []Entry  // the entries of copies
}

// startDue starts what was left to later, and empties it.
func (g *Group) startDue(ctx context.Context, later *due) {
	switch len(later.keys) {
	case 0:
	case 1:
		g.startRefresh(ctx, later.keys[0], nil)
	default:
		size := 1
		if _, ok := g.getter.(BatchGetter); ok {
			size = mostInBatch
		}
		g.refreshes.add(outside(context.WithoutCancel(ctx)), later.keys, size, g.refreshBatch)
	}
	switch len(later.copies) {
	case 0:
	case 1:
		g.startRenewal(ctx, later.copies[0], later.haves[0], nil)
	default:
		g.renewCopies(outside(ctx), later.copies, later.haves)
	}
	*later = due{}
}

// refreshQueue has the keys whose values are loaded again in the background because many were
// asked for at once: in batches, if the getter takes them, and mostAtOnce batches at a time. A
// key gets its flight only when its batch begins, so that nobody waits for the queue.
type refreshQueue struct {
	mu      sync.Mutex
	queue   []refreshBatch      // guarded by mu; the first is next
	queued  map[string]struct{} // guarded by mu; the keys in queue
	workers int                 // guarded by mu
}

type refreshBatch struct {
	ctx  context.Context
	keys []string
}

// add puts the keys into the queue that are not there yet, size of them into a batch.
func (r *refreshQueue) add(ctx context.Context, keys []string, size int, refresh func(refreshBatch)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queued == nil {
		r.queued = make(map[string]struct{})
	}
	keys = slices.DeleteFunc(keys, func(key string) bool {
		if _, ok := r.queued[key]; ok {
			return true
		}
		r.queued[key] = struct{}{}
		return false
	})
	for some := range slices.Chunk(keys, size) {
		r.queue = append(r.queue, refreshBatch{ctx, some})
		if r.workers < mostAtOnce {
			r.workers++
			go r.work(refresh)
		}
	}
}

// work refreshes batch after batch, until the queue is empty.
func (r *refreshQueue) work(refresh func(refreshBatch)) {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			r.workers--
			r.queue, r.queued = nil, nil // no larger than need be
			r.mu.Unlock()
			return
		}
		b := r.queue[0]
		r.queue[0] = refreshBatch{}
		r.queue = r.queue[1:]
		for _, key := range b.keys {
			delete(r.queued, key)
		}
		r.mu.Unlock()
		refresh(b)
	}
}
