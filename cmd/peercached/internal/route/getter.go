package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
)

// Source is a group of the cluster from which another one is being filled.
type Source interface {
	GetWithTTL(ctx context.Context, key string) (view peercache.ByteView, ttl time.Duration, err error)
}

// errAway says that no node of a cluster could be reached.
var errAway = errors.New("no node of the cluster can be reached")

// Away is the getter of a group that is asked as a Source. A member that owns nothing calls it if none of
// the nodes that own the key can be reached.
var Away peercache.Getter = peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return nil, errAway })

// Getter returns the getter of a group that is being filled from another cluster: it asks source, for
// patience at most, and the origin for what it does not get there. That is also what source does not
// find, because it may remember that for longer than the group here may, and values that have expired
// there. The TTL that a value has left goes with it.
func Getter(source Source, patience time.Duration, origin peercache.Getter) peercache.Getter {
	g := getter{source, patience, origin}
	if batch, ok := origin.(peercache.BatchGetter); ok {
		return &batchGetter{g, batch}
	}
	return &g
}

type getter struct {
	source   Source
	patience time.Duration
	origin   peercache.Getter
}

// Get implements peercache.Getter.
func (g *getter) Get(ctx context.Context, key string) (peercache.Item, error) {
	asking, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	item, ok := g.there(asking, key)
	if ok || ctx.Err() != nil {
		return item, ctx.Err()
	}
	return g.origin.Get(ctx, key)
}

// there returns what the source has of a key, or loads for it.
func (g *getter) there(ctx context.Context, key string) (item peercache.Item, ok bool) {
	view, ttl, err := g.source.GetWithTTL(ctx, key)
	if err != nil || ttl < 0 {
		return item, false
	}
	return peercache.Item{Value: view.ByteSlice(), TTL: ttl}, true
}

// batchGetter is a getter whose origin is asked for many keys at once.
type batchGetter struct {
	getter
	batch peercache.BatchGetter
}

// mostAtOnce is how many keys of one batch the source is asked for at the same time.
const mostAtOnce = 64

// GetBatch implements peercache.BatchGetter.
func (g *batchGetter) GetBatch(ctx context.Context, keys []string) ([]peercache.Item, error) {
	items, have := make([]peercache.Item, len(keys)), make([]bool, len(keys))
	asking, cancel := context.WithTimeout(ctx, g.patience)
	defer cancel()
	var calls errgroup.Group
	calls.SetLimit(mostAtOnce)
	for i, key := range keys {
		calls.Go(func() error {
			items[i], have[i] = g.there(asking, key)
			return nil
		})
	}
	calls.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var rest []string
	var at []int
	for i, key := range keys {
		if !have[i] {
			rest, at = append(rest, key), append(at, i)
		}
	}
	if len(rest) == 0 {
		return items, nil
	}
	loaded, err := g.batch.GetBatch(ctx, rest)
	each, some := errors.AsType[peercache.BatchError](err)
	if !some {
		each = make(peercache.BatchError, len(rest))
	}
	if len(loaded) != len(rest) || len(each) != len(rest) {
		if err == nil || some {
			return nil, fmt.Errorf("the origin returned %d items and %d errors for %d keys", len(loaded), len(each), len(rest))
		}
		loaded = make([]peercache.Item, len(rest))
	}
	errs := make(peercache.BatchError, len(keys))
	failed := false
	for k, i := range at {
		items[i], errs[i] = loaded[k], each[k]
		if err != nil && !some {
			errs[i] = err
		}
		failed = failed || errs[i] != nil
	}
	if failed {
		return items, errs
	}
	return items, nil
}
