package peercache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

func TestLocalHitAllocatesNothing(t *testing.T) {
	g := newLocal(t, &origin{})
	if _, err := g.Get(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { g.Get(context.Background(), "k") }); n != 0 {
		t.Errorf("%v allocations a hit", n)
	}
}

// countingCache is a Cache of the user's own.
type countingCache struct {
	peercache.Cache
	gets, adds int
}

func (c *countingCache) Get(key string) (peercache.Entry, bool) { c.gets++; return c.Cache.Get(key) }

func (c *countingCache) Add(key string, e peercache.Entry, tainted func() bool) bool {
	c.adds++
	return c.Cache.Add(key, e, tainted)
}

func TestWithCacheTakesTheUsersOwn(t *testing.T) {
	var own countingCache
	g := newLocal(t, &origin{}, peercache.WithCache(func(maxBytes int64, onLeave func(string, peercache.Entry, peercache.Reason)) (_ peercache.Cache, err error) {
		own.Cache, err = peercache.NewLRU(maxBytes, onLeave)
		return &own, err
	}))
	for range 3 {
		if _, err := g.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	if own.adds != 1 || own.gets < 3 {
		t.Errorf("%d adds, %d gets", own.adds, own.gets)
	}
	if s := g.Stats().Main; s.Items != 1 || s.Hits != 2 || s.Misses != 1 {
		t.Errorf("%+v", s)
	}
	if _, err := peercache.NewGroup("g", 4096, &origin{}, peercache.WithCache(nil)); err == nil {
		t.Error("WithCache(nil) is no error")
	}
}

func TestOnEvictHearsOfEachValueOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		heard := map[string][]peercache.Reason{}
		var g *peercache.Group
		ttl := time.Duration(0)
		g = newLocal(t, peercache.ItemFunc(func(_ context.Context, key string) (peercache.Item, error) {
			return peercache.Item{Value: []byte(strings.Repeat("v", 10000)), TTL: ttl}, nil
		}), peercache.WithOnEvict(func(key string, view peercache.ByteView, r peercache.Reason) {
			if view.Len() != 10000 {
				t.Errorf("%s left with %d bytes", key, view.Len())
			}
			g.Remove(context.Background(), key) // no lock may be held
			mu.Lock()
			defer mu.Unlock()
			heard[key] = append(heard[key], r)
		}))
		get := func(key string) {
			if _, err := g.Get(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		get("removed")
		if err := g.Remove(t.Context(), "removed"); err != nil {
			t.Fatal(err)
		}
		ttl = time.Second
		get("expired")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		ttl = 0
		for i := range 300 {
			get(fmt.Sprint(i))
		}
		mu.Lock()
		defer mu.Unlock()
		if r := heard["removed"]; len(r) != 1 || r[0] != peercache.Removed {
			t.Errorf("removed: %v", r)
		}
		if r := heard["expired"]; len(r) != 1 || r[0] != peercache.Expired {
			t.Errorf("expired: %v", r)
		}
		s := g.Stats().Main
		if int64(len(heard))+s.Items != 302 || s.Evictions != int64(len(heard))-2 || s.Expired != 1 || s.Removed != 1 {
			t.Errorf("%d left, %+v", len(heard), s)
		}
		for key, r := range heard {
			if len(r) != 1 {
				t.Errorf("%s: %v", key, r)
			}
		}
	})
}

func TestP7ExpiredValuesLeaveByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newLocal(t, peercache.ItemFunc(func(_ context.Context, key string) (peercache.Item, error) {
			return peercache.Item{Value: []byte("v"), TTL: time.Minute}, nil
		}))
		for i := range 1000 {
			if _, err := g.Get(t.Context(), fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if s := g.Stats().Main; s.Items != 0 || s.Expired != 1000 || s.EvictedEarly != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestP5CopiesStayWithinTheirShare(t *testing.T) {
	o := origin{load: func(context.Context, string) ([]byte, error) { return make([]byte, 2000), nil }}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o), group: []peercache.GroupOption{peercache.WithHotShare(0.25)}})
	var owned []string
	for i := range 1500 {
		key := fmt.Sprint("key", i)
		if nodes[0].pool.Pick(key, 0) == nil {
			if len(owned) < 100 {
				owned = append(owned, key)
				nodes[0].get(t, key)
			}
		}
	}
	for i := range 1500 { // far more copies than there is room for
		if key := fmt.Sprint("key", i); nodes[0].pool.Pick(key, 0) != nil {
			nodes[0].get(t, key)
			nodes[0].get(t, key)
		}
	}
	s := nodes[0].group.Stats()
	if s.Hot.Bytes > 1<<18 || s.Hot.Bytes < 1<<17 || s.Hot.Evictions == 0 {
		t.Errorf("copies: %+v", s.Hot)
	}
	if s.Main.Items != int64(len(owned)) || s.Main.Evictions != 0 {
		t.Errorf("copies pushed out what is owned: %+v", s.Main)
	}
}

// TestPopularCopiesStay has a few copies that are used often, and a scan of many
// that are used once: it is frequency that decides.
func TestPopularCopiesStay(t *testing.T) {
	o := origin{load: func(context.Context, string) ([]byte, error) { return make([]byte, 1000), nil }}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&o)})
	var popular, others []string
	for i := 0; len(others) < 3000; i++ {
		if key := fmt.Sprint("key", i); nodes[0].pool.Pick(key, 0) != nil {
			if len(popular) < 20 {
				popular = append(popular, key)
			} else {
				others = append(others, key)
			}
		}
	}
	before := int64(0)
	for i, key := range others {
		nodes[0].get(t, key)
		nodes[0].get(t, popular[i%len(popular)])
		if i == len(others)/2 {
			before = nodes[0].group.Stats().PeerLoads
		}
	}
	asked := nodes[0].group.Stats().PeerLoads - before - int64(len(others)/2)
	if asked > int64(len(popular))*2 {
		t.Errorf("in the second half the popular copies had to be fetched again %d times", asked)
	}
}
