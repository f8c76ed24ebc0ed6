package peercache

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// Result is what GetMulti found for one key.
type Result struct {
	View ByteView
	Err  error // as that of Get
}

// mostAtOnce is how many keys of one GetMulti are asked of one owner, or loaded
// here, at the same time.
const mostAtOnce = 32

// GetMulti returns one Result for each key, in the same order. What is cached
// here is answered at once; the rest is asked of its owners concurrently, each
// key as Get would. A key that fails does not fail the others. A key that is
// given twice is asked for once.
func (g *Group) GetMulti(ctx context.Context, keys []string) []Result {
	results := make([]Result, len(keys))
	missing := make(map[string][]int) // the places of each key in keys
	byOwner := make(map[Peer][]string)
	g.stats.gets.Add(int64(len(keys)))
	for i, key := range keys {
		if e, ok := g.cached(key); ok {
			g.stats.hits.Add(1)
			results[i].View = e.View
			continue
		}
		if missing[key] == nil {
			owner := g.pick(key, 0)
			byOwner[owner] = append(byOwner[owner], key)
		}
		missing[key] = append(missing[key], i)
	}

	var owners errgroup.Group
	for _, keys := range byOwner {
		owners.Go(func() error {
			var asks errgroup.Group
			asks.SetLimit(mostAtOnce)
			for _, key := range keys {
				asks.Go(func() error {
					e, err := g.fill(ctx, key)
					for _, i := range missing[key] {
						results[i] = Result{e.View, err}
					}
					return nil
				})
			}
			return asks.Wait()
		})
	}
	owners.Wait()
	return results
}
