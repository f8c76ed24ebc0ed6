package cachetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// later is an entry with all its times, and the marks of a copy.
func later(e peercache.Entry, d time.Duration) peercache.Entry {
	e.Expires, e.Lease, e.Former = peercache.Now()+peercache.Instant(2*d), peercache.Now()+peercache.Instant(d), true
	return e
}

// renewChangesTimes checks that what is renewed has new times and the same value, and
// that nothing left.
func renewChangesTimes(t *testing.T, newCache peercache.NewCache) {
	var left atomic.Int64
	c := mustNew(t, newCache, 1<<20, func(string, peercache.Entry, peercache.Reason) { left.Add(1) })
	c.Add("k", entry("value"), never)
	c.Add("missing", peercache.Entry{View: peercache.ViewOfString("no such key"), Missing: true}, never)
	for _, key := range []string{"k", "missing"} {
		for _, d := range []time.Duration{time.Hour, time.Minute} { // a longer time, and a shorter one
			old, _ := c.Get(key)
			want := later(old, d)
			if !c.Renew(key, want) {
				t.Errorf("%s was not renewed", key)
			}
			e, ok := c.Get(key)
			if !ok || e.View.String() != old.View.String() || e.Expires != want.Expires || e.Lease != want.Lease || !e.Former || e.Missing != old.Missing {
				t.Errorf("%s is %+v, %v after Renew: want %+v", key, e, ok, want)
			}
		}
		e, _ := c.Get(key)
		e.Expires, e.Lease, e.Former = 0, 0, false
		if !c.Renew(key, e) {
			t.Errorf("%s was not renewed without end", key)
		}
		if e, ok := c.Get(key); !ok || e.Expires != 0 || e.Lease != 0 || e.Former {
			t.Errorf("%s is %+v, %v after Renew: want it to be without end", key, e, ok)
		}
	}
	if s := c.Stats(); left.Load() != 0 || s.Replaced != 0 || s.Items != 2 {
		t.Errorf("%d entries left, %+v: want Renew to let none go", left.Load(), s)
	}
}

// renewOfAnother checks that a value that came meanwhile does not get the times of the
// one before, even if it has the same bytes, and that nothing comes back.
func renewOfAnother(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 1<<20, nil)
	c.Add("k", entry("value"), never)
	old, _ := c.Get("k")
	for _, newer := range []string{"other", strings.Clone("value")} {
		c.Add("k", entry(newer), never)
		if c.Renew("k", later(old, time.Hour)) {
			t.Errorf("%q was renewed for another value", newer)
		}
		if e, ok := c.Get("k"); !ok || e.View.String() != newer || e.Expires != 0 || e.Lease != 0 || e.Former {
			t.Errorf("k is %+v, %v after a Renew of another value", e, ok)
		}
	}
	c.Remove("k")
	if c.Renew("k", later(old, time.Hour)) {
		t.Error("what was removed was renewed")
	}
	if _, ok := c.Get("k"); ok {
		t.Error("what was removed is there after Renew")
	}
}

// clearDropsAll checks that each entry leaves once, as Removed, and that the cache is as
// new.
func clearDropsAll(t *testing.T, newCache peercache.NewCache) {
	const n = 1000
	var mu sync.Mutex
	left, all := map[string]int{}, 0
	c := mustNew(t, newCache, 4<<20, func(key string, e peercache.Entry, r peercache.Reason) {
		mu.Lock()
		defer mu.Unlock()
		if r != peercache.Removed || e.View.String() != "v"+key {
			t.Errorf("%s left with %q, %v", key, e.View, r)
		}
		left[key]++
		all++
	})
	for round := range 2 {
		for i := range n {
			c.Add(fmt.Sprint(i), entry(fmt.Sprint("v", i)), never)
		}
		c.Clear()
		for i := range n {
			if e, ok := c.Get(fmt.Sprint(i)); ok {
				t.Errorf("%d has %q after Clear", i, e.View)
			}
		}
		eventually(t, "for all entries to leave", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return all == n*(round+1) && c.Stats().Items == 0
		})
		mu.Lock()
		for key, times := range left {
			if times != round+1 {
				t.Errorf("%s left %d times, it was cleared %d times", key, times, round+1)
			}
		}
		mu.Unlock()
	}
	c.Clear() // of nothing
}

// clearWins has loads race with Clear: what was loaded before must not be there after it.
func clearWins(t *testing.T, newCache peercache.NewCache) {
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
				c.Add("k", entry(fmt.Sprintf("%09d", v)), taint.Load)
			}
		})
	}
	for range 2000 {
		now := fmt.Sprintf("%09d", version.Add(1))
		tainted.Swap(new(atomic.Bool)).Store(true)
		c.Clear()
		if e, ok := c.Get("k"); ok && e.View.String() < now {
			t.Errorf("version %s was there after version %s was cleared for", e.View, now)
			break
		}
	}
	close(stop)
	loads.Wait()
}

// rangeVisitsAll checks that Range sees the entries that are there, with all that they
// have, and stops when it is told.
func rangeVisitsAll(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 4<<20, nil)
	want := map[string]peercache.Entry{}
	c.Range(func(key string, _ peercache.Entry) bool {
		t.Errorf("an empty cache has %q", key)
		return true
	})
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		e := entry("v" + key)
		if i%2 == 0 {
			e = later(e, time.Hour)
			e.Missing = i%4 == 0
		}
		c.Add(key, e, never)
		want[key] = e
	}
	c.Remove("key0")
	delete(want, "key0")
	seen := map[string]bool{}
	c.Range(func(key string, e peercache.Entry) bool {
		w, ok := want[key]
		if !ok || e.View.String() != w.View.String() || e.Expires != w.Expires || e.Lease != w.Lease || e.Former != w.Former || e.Missing != w.Missing {
			t.Errorf("Range has %s with %+v: want %+v, %v", key, e, w, ok)
		}
		seen[key] = true
		return true
	})
	if len(seen) != len(want) {
		t.Errorf("Range came to %d entries of %d", len(seen), len(want))
	}
	calls := 0
	c.Range(func(string, peercache.Entry) bool {
		calls++
		return calls < 5
	})
	if calls != 5 {
		t.Errorf("Range went on to %d calls when it was told to stop after 5", calls)
	}
}

// rangeMayUse has f change the cache, as a Group does when the view changes.
func rangeMayUse(t *testing.T, newCache peercache.NewCache) {
	c := mustNew(t, newCache, 4<<20, nil)
	for i := range 1000 {
		c.Add(fmt.Sprint("key", i), entry("v"), never)
	}
	calls := 0
	c.Range(func(key string, e peercache.Entry) bool {
		calls++
		switch len(key) % 3 {
		case 0:
			c.Remove(key)
		case 1:
			c.Renew(key, later(e, time.Hour))
		default:
			c.Add(key, entry("w"), never)
		}
		return calls < 100000
	})
	if calls < 1000 || calls == 100000 {
		t.Errorf("Range made %d calls for 1,000 entries", calls)
	}
	for i := range 1000 {
		key := fmt.Sprint("key", i)
		e, ok := c.Get(key)
		if len(key)%3 == 0 && ok || len(key)%3 == 1 && e.Lease == 0 || len(key)%3 == 2 && e.View.String() != "w" {
			t.Errorf("%s is %+v, %v", key, e, ok)
		}
	}
}
