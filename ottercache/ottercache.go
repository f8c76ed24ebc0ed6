// Package ottercache lets a peercache.Group keep its values in otter, a cache
// library for Go:
//
//	peercache.NewGroup("scores", 64<<20, getter, peercache.WithCache(ottercache.New))
//
// It is for those who know otter and its policy and want that. peercache's own
// store is the default; bench/ compares them.
package ottercache

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"github.com/peercache/peercache"
)

// overhead is what an entry costs beyond key and value, in bytes: measured with
// two million entries, and rounded up.
const overhead = 160

// New is a peercache.NewCache. otter makes room in the background, so that for a
// moment a cache may be larger than maxBytes, and calls onLeave from goroutines of
// its own.
func New(maxBytes int64, onLeave func(key string, e peercache.Entry, r peercache.Reason)) (peercache.Cache, error) {
	if maxBytes <= 0 {
		return nil, fmt.Errorf("ottercache: a cache of %d bytes: want more than 0", maxBytes)
	}
	c := &cache{maxBytes: maxBytes, stats: stats.NewCounter()}
	options := &otter.Options[string, *cell]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       weigh,
		StatsRecorder: c.stats,
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, *cell]) time.Duration {
			return lifetime(*e.Value.Load())
		}),
	}
	if onLeave != nil {
		options.OnDeletion = func(e otter.DeletionEvent[string, *cell]) {
			onLeave(e.Key, *e.Value.Load(), reasonOf(e.Cause))
		}
	}
	var err error
	c.otter, err = otter.New(options)
	if err != nil {
		return nil, fmt.Errorf("ottercache: %w", err)
	}
	return c, nil
}

type cache struct {
	otter    *otter.Cache[string, *cell]
	stats    *stats.Counter
	maxBytes int64
}

// cell is what otter keeps: an entry that can be renewed where it is, because for otter
// another value is a replacement.
type cell struct {
	atomic.Pointer[peercache.Entry]
}

func newCell(e peercache.Entry) *cell {
	c := new(cell)
	c.Store(&e)
	return c
}

func weigh(key string, c *cell) uint32 {
	return uint32(min(int64(len(key)+c.Load().View.Len()+overhead), math.MaxUint32))
}

// lifetime returns for how long otter keeps e.
func lifetime(e peercache.Entry) time.Duration {
	if e.Expires == 0 {
		return math.MaxInt64
	}
	return max(1, time.Duration(e.Expires-peercache.Now()))
}

func reasonOf(c otter.DeletionCause) peercache.Reason {
	switch c {
	case otter.CauseReplacement:
		return peercache.Replaced
	case otter.CauseOverflow:
		return peercache.Evicted
	case otter.CauseExpiration:
		return peercache.Expired
	}
	return peercache.Removed
}

// Get implements peercache.Cache.
func (c *cache) Get(key string) (peercache.Entry, bool) {
	cell, ok := c.otter.GetIfPresent(key)
	if !ok {
		return peercache.Entry{}, false
	}
	return *cell.Load(), true
}

// Add implements peercache.Cache. Compute locks what Invalidate locks too.
func (c *cache) Add(key string, e peercache.Entry, tainted func() bool) bool {
	kept := false
	c.otter.Compute(key, func(old *cell, _ bool) (*cell, otter.ComputeOp) {
		new := newCell(e)
		switch {
		case tainted():
			return old, otter.CancelOp
		case int64(weigh(key, new)) > c.maxBytes:
			return old, otter.InvalidateOp
		}
		kept = true
		return new, otter.WriteOp
	})
	return kept
}

// Renew implements peercache.Cache.
func (c *cache) Renew(key string, e peercache.Entry) bool {
	present, ok := c.otter.GetEntryQuietly(key)
	if !ok {
		return false
	}
	old := present.Value.Load()
	if !old.View.Same(e.View) || !present.Value.CompareAndSwap(old, &e) {
		return false
	}
	c.otter.SetExpiresAfter(key, lifetime(e))
	return true
}

// Clear implements peercache.Cache.
func (c *cache) Clear() { c.otter.InvalidateAll() }

// Range implements peercache.Cache.
func (c *cache) Range(f func(key string, e peercache.Entry) bool) {
	for key, cell := range c.otter.All() {
		if !f(key, *cell.Load()) {
			return
		}
	}
}

// Remove implements peercache.Cache.
func (c *cache) Remove(key string) bool {
	_, ok := c.otter.Invalidate(key)
	return ok
}

// Stats implements peercache.Cache.
func (c *cache) Stats() peercache.CacheStats {
	return peercache.CacheStats{
		Items:     int64(c.otter.EstimatedSize()),
		Bytes:     int64(c.otter.WeightedSize()),
		Evictions: int64(c.stats.Snapshot().Evictions),
	}
}
