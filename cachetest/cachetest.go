// Package cachetest checks a peercache.Cache against its contract. Who brings a
// store of their own runs it in their tests:
//
//	func TestCache(t *testing.T) { cachetest.Run(t, NewMyCache) }
package cachetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// Run runs all checks against caches that newCache makes.
func Run(t *testing.T, newCache peercache.NewCache) {
	checks := map[string]func(*testing.T, peercache.NewCache){
		"Keeps":                   keeps,
		"Bounded":                 bounded,
		"TaintedIsNotKept":        taintedIsNotKept,
		"TooLargeIsNotKept":       tooLargeIsNotKept,
		"RemoveWins":              removeWins,
		"OnLeaveExactlyOnce":      onLeaveExactlyOnce,
		"OnLeaveMayUseTheCache":   onLeaveMayUseTheCache,
		"BadSize":                 badSize,
		"ViewsOutliveTheirEntry":  viewsOutlive,
		"ConcurrentUse":           concurrentUse,
		"ExpiresComesBackAsGiven": expiresComesBack,
		"RenewChangesTimesAlone":  renewChangesTimes,
		"RenewOfAnotherValue":     renewOfAnother,
		"ClearDropsAll":           clearDropsAll,
		"ClearWins":               clearWins,
		"RangeVisitsAll":          rangeVisitsAll,
		"RangeMayUseTheCache":     rangeMayUse,
	}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) { check(t, newCache) })
	}
}

func never() bool { return false }

func entry(s string) peercache.Entry { return peercache.Entry{View: peercache.ViewOfString(s)} }

func mustNew(t *testing.T, newCache peercache.NewCache, maxBytes int64, onLeave func(string, peercache.Entry, peercache.Reason)) peercache.Cache {
	t.Helper()
	c, err := newCache(maxBytes, onLeave)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually waits for what a cache may do on its own time.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(10 * time.Second); !cond(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func keeps(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 1<<20, nil)
	for _, key := range []string{"a", "b", "", "\x00", strings.Repeat("k", 1000)} {
		if _, ok := c.Get(key); ok {
			t.Errorf("an empty cache has %q", key)
		}
		if !c.Add(key, entry("1"+key), never) || !c.Add(key, entry("2"+key), never) {
			t.Errorf("%q is not kept", key)
		}
		if e, ok := c.Get(key); !ok || e.View.String() != "2"+key {
			t.Errorf("%q has %q, %v", key, e.View, ok)
		}
	}
	eventually(t, "for Stats to have five entries and what they cost", func() bool {
		s := c.Stats()
		return s.Items == 5 && s.Bytes > 0 && s.Bytes <= 1<<20
	})
	if !c.Remove("a") || c.Remove("a") || c.Remove("unknown") {
		t.Error("Remove does not say what was there")
	}
	if _, ok := c.Get("a"); ok {
		t.Error("a is there after Remove")
	}
}

func bounded(t *testing.T, newCache peercache.NewCache) {
	const most = 1 << 20
	c := mustNew(t, newCache, most, nil)
	for i := range 5000 {
		c.Add(fmt.Sprint("key", i), entry(strings.Repeat("v", 1000)), never)
	}
	eventually(t, "for the cache to be within its bytes, keys and bookkeeping among them", func() bool {
		s := c.Stats()
		return s.Bytes <= most && s.Items*1000 < s.Bytes
	})
	if s := c.Stats(); s.Bytes < most/2 {
		t.Errorf("stats: %+v", s)
	}
}

func taintedIsNotKept(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 1<<20, nil)
	tainted := func() bool { return true }
	if c.Add("k", entry("new"), tainted) {
		t.Error("a tainted value was kept")
	}
	c.Add("k", entry("old"), never)
	c.Add("k", entry("new"), tainted)
	if e, ok := c.Get("k"); !ok || e.View.String() != "old" {
		t.Errorf("a tainted value displaced what was there: %q, %v", e.View, ok)
	}
}

func tooLargeIsNotKept(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 64<<10, nil)
	c.Add("k", entry("old"), never)
	c.Add("k", entry(strings.Repeat("v", 128<<10)), never)
	eventually(t, "for a value to leave that is larger than the cache", func() bool {
		_, ok := c.Get("k")
		return !ok
	})
}

// removeWins has loads race with removals, as a Group does: a value that was
// loaded before a removal must not be there after it.
func removeWins(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 1<<20, nil)
	var version atomic.Int64
	var tainted atomic.Pointer[atomic.Bool]
	tainted.Store(new(atomic.Bool))
	stop := make(chan struct{})
	var loads sync.WaitGroup
	for range 3 {
		loads.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				taint := tainted.Load()
				v := version.Load()
				c.Add("k", entry(fmt.Sprint(v)), taint.Load)
			}
		})
	}
	for range 5000 {
		now := version.Add(1)
		tainted.Swap(new(atomic.Bool)).Store(true)
		c.Remove("k")
		if e, ok := c.Get("k"); ok && e.View.String() < fmt.Sprint(now) && e.View.Len() <= len(fmt.Sprint(now)) {
			t.Fatalf("version %s was there after version %d was removed for", e.View, now)
		}
	}
	close(stop)
	loads.Wait()
}

// onLeaveExactlyOnce follows each value that was kept: it is either there or has
// left, once. One that its own Add let go again may have left too.
func onLeaveExactlyOnce(t *testing.T, newCache peercache.NewCache) {
	var mu sync.Mutex
	left := map[string]int{}
	reasons := map[peercache.Reason]int{}
	c := mustNew(t, newCache, 256<<10, func(_ string, e peercache.Entry, r peercache.Reason) {
		mu.Lock()
		defer mu.Unlock()
		left[e.View.String()]++
		reasons[r]++
	})
	rnd := rand.New(rand.NewPCG(1, 2))
	kept := map[string]string{} // value to key
	for i := range 20000 {
		key := fmt.Sprint(rnd.IntN(2000))
		value := fmt.Sprintf("%d %s", i, strings.Repeat("v", rnd.IntN(1000)))
		if rnd.IntN(10) == 0 {
			c.Remove(key)
		} else if c.Add(key, entry(value), never) {
			kept[value] = key
		}
	}
	eventually(t, "for each value that was kept to be there or to have left", func() bool {
		for value, key := range kept {
			e, there := c.Get(key)
			there = there && e.View.String() == value
			mu.Lock()
			gone := left[value] > 0
			mu.Unlock()
			if there == gone {
				return false
			}
		}
		return true
	})
	mu.Lock()
	defer mu.Unlock()
	for value, n := range left {
		if n != 1 {
			t.Errorf("%.20q left %d times", value, n)
		}
	}
	for _, r := range []peercache.Reason{peercache.Evicted, peercache.Removed, peercache.Replaced} {
		if reasons[r] == 0 {
			t.Errorf("nothing was %v", r)
		}
	}
}

func onLeaveMayUseTheCache(t *testing.T, newCache peercache.NewCache) {
	var c peercache.Cache
	var calls atomic.Int64
	c = mustNew(t, newCache, 64<<10, func(key string, _ peercache.Entry, r peercache.Reason) {
		if calls.Add(1) < 1000 {
			c.Get(key)
			c.Remove(key)
			c.Add(key+"'", entry("again"), never)
		}
	})
	for i := range 200 {
		c.Add(fmt.Sprint(i%20), entry(strings.Repeat("v", 4000)), never)
	}
	eventually(t, "for onLeave to be called", func() bool { return calls.Load() > 0 })
}

func badSize(t *testing.T, newCache peercache.NewCache) {
	for _, n := range []int64{0, -1} {
		if c, err := newCache(n, nil); err == nil || c != nil {
			t.Errorf("a cache of %d bytes: %v, %v", n, c, err)
		}
	}
}

func viewsOutlive(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 64<<10, nil)
	c.Add("k", entry("value"), never)
	e, _ := c.Get("k")
	c.Remove("k")
	for i := range 1000 {
		c.Add(fmt.Sprint(i), entry(strings.Repeat("x", 100)), never)
	}
	if e.View.String() != "value" {
		t.Errorf("the view is now %q", e.View)
	}
}

func concurrentUse(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 128<<10, func(string, peercache.Entry, peercache.Reason) {})
	var wg sync.WaitGroup
	for i := range 4 {
		rnd := rand.New(rand.NewPCG(3, uint64(i)))
		wg.Go(func() {
			for range 5000 {
				key := fmt.Sprint(rnd.IntN(500))
				switch rnd.IntN(4) {
				case 0:
					c.Add(key, entry(key+strings.Repeat("v", rnd.IntN(500))), never)
				case 1:
					c.Remove(key)
				case 2:
					c.Stats()
				default:
					if e, ok := c.Get(key); ok && !strings.HasPrefix(e.View.String(), key) {
						t.Errorf("%s has the value of another key: %.20q", key, e.View)
					}
				}
			}
		})
	}
	wg.Wait()
}

func expiresComesBack(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 64<<10, nil)
	expires := peercache.Now() + peercache.Instant(time.Hour)
	c.Add("k", peercache.Entry{View: peercache.ViewOfString("v"), Expires: expires}, never)
	if e, ok := c.Get("k"); !ok || e.Expires != expires {
		t.Errorf("expires at %d, %v; want %d", e.Expires, ok, expires)
	}
}
