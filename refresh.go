package peercache

import (
	"context"
	"slices"
	"strings"
	"sync"
)

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
		g.refreshes.add(g.background(context.WithoutCancel(ctx)), later.keys, size, g.refreshBatch)
	}
	switch len(later.copies) {
	case 0:
	case 1:
		g.startRenewal(ctx, later.copies[0], later.haves[0], nil)
	default:
		g.renewCopies(g.background(ctx), later.copies, later.haves)
	}
	*later = due{}
}

// refreshQueue has the keys whose values are loaded again in the background because many were
// asked for at once: in batches, if the getter takes them, and mostAtOnce batches at a time. A
// key gets its flight only when its batch begins, so that nobody waits for the queue.
type refreshQueue struct {
	mu      sync.Mutex
	queue   []refreshBatch      // guarded by mu; the first is next
	queued  map[string]struct{} // guarded by mu; the keys in queue, and of batches without flights so far
	workers int                 // guarded by mu
	idle    chan struct{}       // guarded by mu; closed when there are no workers any more
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
			if r.workers++; r.workers == 1 {
				r.idle = make(chan struct{})
			}
			go r.work(refresh)
		}
	}
}

// work refreshes batch after batch, until the queue is empty.
func (r *refreshQueue) work(refresh func(refreshBatch)) {
	for {
		r.mu.Lock()
		if len(r.queue) == 0 {
			if r.workers--; r.workers == 0 {
				r.queue, r.queued = nil, nil // no larger than need be
				close(r.idle)
			}
			r.mu.Unlock()
			return
		}
		b := r.queue[0]
		r.queue[0] = refreshBatch{}
		r.queue = r.queue[1:]
		r.mu.Unlock()
		refresh(b)
	}
}

// drain empties the queue, and returns when the batches that have begun are over, or ctx has ended.
func (r *refreshQueue) drain(ctx context.Context) error {
	r.mu.Lock()
	for _, b := range r.queue {
		for _, key := range b.keys {
			delete(r.queued, key)
		}
	}
	r.queue = nil
	idle, workers := r.idle, r.workers
	r.mu.Unlock()
	if workers == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// started takes keys off the queue, which have their flights from now on.
func (r *refreshQueue) started(keys []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		delete(r.queued, key)
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
		g.loads.Go(g.background(ctx), f, func(ctx context.Context, f *flight) (Entry, error) { return g.reload(ctx, key, f) })
	}
}

// refreshBatch loads keys again, except those that are being loaded, or have been meanwhile.
func (g *Group) refreshBatch(b refreshBatch) {
	keys := slices.DeleteFunc(slices.Clone(b.keys), func(key string) bool {
		_, v := g.own(key)
		return v == miss || v == fresh
	})
	flights, places := g.loads.StartAll(keys)
	g.refreshes.started(b.keys)
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

// startRenewal asks, in the background, whether a copy is still the value of key. If later is
// not nil, it leaves that to startDue.
func (g *Group) startRenewal(ctx context.Context, key string, have Entry, later *due) {
	if later != nil {
		later.copies, later.haves = append(later.copies, key), append(later.haves, have)
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
		g.fetcher.counts.renewals.Add(1)
		if have.Missing {
			have = Entry{}
		}
		g.startFetch(g.background(ctx), key, owner, f, have, true)
	}
}

// isCrowded reports whether a peer should not be asked for renewals now: callers come first,
// and a caller that finds the lease to be over will ask.
func isCrowded(p Peer) bool {
	starter := starterOf(p)
	return starter != nil && starter.Full()
}

// renewCopies does what startRenewal does, for many copies. It sends each owner as few requests as
// possible.
func (g *Group) renewCopies(ctx context.Context, keys []string, haves []Entry) {
	requests := make(map[Peer]*fetchRequest)
	for i, key := range keys {
		owner := g.pick(key, 0)
		if owner == nil {
			continue
		}
		r := requests[owner]
		if r == nil {
			if isCrowded(owner) {
				continue
			}
			r = &fetchRequest{of: g, ctx: ctx, owner: owner, lease: g.times.lease, worth: true, many: new(many)}
			requests[owner] = r
		}
		f := g.fetches.Start(key)
		if f == nil {
			continue
		}
		have := haves[i]
		if have.Missing {
			have = Entry{}
		}
		r.Keys, r.flights, r.many.haves = append(r.Keys, key), append(r.flights, f), append(r.many.haves, have)
	}
	for _, r := range requests {
		g.fetcher.counts.renewals.Add(int64(len(r.Keys)))
		r.start()
	}
}
