package peercache

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// aged are the keys of one request for many whose values are served, but are to be loaded
// again, or whose leases are to be renewed. It is done for all of them together, when all
// have been looked at.
type aged struct {
	keys   []string // that are to be loaded again
	copies []string // whose leases are to be renewed
	haves  []Entry  // what is there of copies
}

// refresh loads key again in the background, unless it is being loaded. It leaves that to
// old, if there is one.
func (g *Group) refresh(ctx context.Context, key string, old *aged) {
	key = strings.Clone(key)
	if old != nil {
		old.keys = append(old.keys, key)
		return
	}
	if f := g.loads.Start(key); f != nil {
		g.stats.refreshes.Add(1)
		g.loads.Go(outside(ctx), f, func(ctx context.Context, f *flight) (Entry, error) { return g.reload(ctx, key, f) })
	}
}

// renew asks, in the background, whether a copy is still the value of key. It leaves that
// to old, if there is one.
func (g *Group) renew(ctx context.Context, key string, have Entry, old *aged) {
	if old != nil {
		old.copies, old.haves = append(old.copies, key), append(old.haves, have)
		return
	}
	owner := g.pick(key, 0)
	if owner == nil {
		return // this process owns the key by now, and its lease runs out
	}
	if isCrowded(owner) {
		return
	}
	if f := g.fetches.Start(key); f != nil {
		g.stats.renewals.Add(1)
		if have.Missing {
			have = Entry{}
		}
		g.startFetch(outside(ctx), key, owner, f, have)
	}
}

// isCrowded reports whether renewals should not be asked of a peer now: callers come first,
// and who finds a lease to be over will ask.
func isCrowded(p Peer) bool {
	starter := starterOf(p)
	return starter != nil && starter.Full()
}

// renewAll does what was left to old, and empties it.
func (g *Group) renewAll(ctx context.Context, old *aged) {
	switch len(old.keys) {
	case 0:
	case 1:
		g.refresh(ctx, old.keys[0], nil)
	default:
		g.refreshes.add(g, outside(context.WithoutCancel(ctx)), old.keys)
	}
	switch len(old.copies) {
	case 0:
	case 1:
		g.renew(ctx, old.copies[0], old.haves[0], nil)
	default:
		g.renewCopies(outside(ctx), old.copies, old.haves)
	}
	*old = aged{}
}

// renewCopies asks for many copies what renew asks for one, of each owner in as few requests
// as it takes.
func (g *Group) renewCopies(ctx context.Context, keys []string, haves []Entry) {
	asks := make(map[Peer]*ask)
	for i, key := range keys {
		owner := g.pick(key, 0)
		if owner == nil {
			continue
		}
		a := asks[owner]
		if a == nil {
			if isCrowded(owner) {
				continue
			}
			a = &ask{of: g, ctx: ctx, owner: owner, many: new(many)}
			asks[owner] = a
		}
		f := g.fetches.Start(key)
		if f == nil {
			continue
		}
		have := haves[i]
		if have.Missing {
			have = Entry{}
		}
		a.Keys, a.flights, a.many.haves = append(a.Keys, key), append(a.flights, f), append(a.many.haves, have)
	}
	for _, a := range asks {
		g.stats.renewals.Add(int64(len(a.Keys)))
		a.start()
	}
}

// refreshes are the keys whose values are loaded again in the background because many were
// asked for at once: in batches, where the getter can do that, and mostAtOnce batches at a
// time. A key has its flight only when its turn has come, so that nobody waits for that.
type refreshes struct {
	mu      sync.Mutex
	queue   []refreshBatch      // guarded by mu; the first is next
	queued  map[string]struct{} // guarded by mu; the keys in queue
	workers int                 // guarded by mu
}

type refreshBatch struct {
	ctx  context.Context
	keys []string
}

// add puts keys into the queue that are not there.
func (r *refreshes) add(g *Group, ctx context.Context, keys []string) {
	size := 1
	if _, ok := g.getter.(BatchGetter); ok {
		size = mostInBatch
	}
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
			go r.work(g)
		}
	}
}

// work does what is in the queue, until it is empty.
func (r *refreshes) work(g *Group) {
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
		g.refreshBatch(b)
	}
}

// refreshBatch loads again what is not being loaded, nor has been meanwhile.
func (g *Group) refreshBatch(b refreshBatch) {
	keys := slices.DeleteFunc(b.keys, func(key string) bool {
		_, v := g.own(key)
		return v != aging
	})
	flights, places := g.loads.StartAll(keys)
	if len(flights) == 0 {
		return
	}
	for i, place := range places {
		keys[i] = keys[place]
	}
	keys = keys[:len(places)]
	g.stats.refreshes.Add(int64(len(keys)))
	var over sync.WaitGroup
	over.Go(func() { // which a getter may end
		if getter, ok := g.getter.(BatchGetter); ok && len(keys) > 1 {
			g.loads.RunAll(b.ctx, flights, func(ctx context.Context) ([]Entry, []error) {
				return g.loadBatch(ctx, getter, keys, flights)
			})
			return
		}
		// It is one: see add.
		g.loads.Run(b.ctx, flights[0], g.loads.CancelAbandoned, func(ctx context.Context, f *flight) (Entry, error) {
			return g.reload(ctx, keys[0], f)
		})
	})
	over.Wait()
}
