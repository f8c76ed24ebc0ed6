package peercache

import (
	"context"
	"sync"
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
