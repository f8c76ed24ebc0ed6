package peercache_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/peercache/peercache"
)

// What an empty group takes beyond its bytes, whatever the number of processors: a service
// may have thousands of groups.
func TestP5EmptyGroupIsSmall(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, procs := range []int{2, 64} {
		for _, bytes := range []int64{4 << 10, 64 << 20, 64 << 30} {
			for name, newCache := range map[string]peercache.NewCache{"store": peercache.NewStore, "lru": peercache.NewLRU} {
				runtime.GOMAXPROCS(procs)
				pool, err := peercache.NewHTTPPool("http://127.0.0.1:1")
				if err != nil {
					t.Fatal(err)
				}
				const n = 200
				before := heap()
				for i := range n {
					if _, err := peercache.NewGroup(fmt.Sprint(i), bytes, &origin{}, peercache.WithPeers(pool), peercache.WithCache(newCache)); err != nil {
						t.Fatal(err)
					}
				}
				if took := (heap() - before) / n; took > 40<<10 {
					t.Errorf("GOMAXPROCS %d, groups of %d bytes, %s: %d KiB each, empty, want at most 40", procs, bytes, name, took>>10)
				}
				runtime.KeepAlive(pool)
			}
		}
	}
}

// The hits of a small group are counted as exactly as those of a large one.
func TestHitsOfSmallGroupsAreCounted(t *testing.T) {
	for _, bytes := range []int64{4 << 10, 64 << 10, 64 << 20} {
		g, err := peercache.NewGroup("g", bytes, &origin{})
		if err != nil {
			t.Fatal(err)
		}
		if s := g.Stats(); s.Hits != 0 {
			t.Errorf("%d hits before the first Get", s.Hits)
		}
		g.Get(t.Context(), "k")
		const callers, gets = 8, 1000
		done := make(chan bool)
		for range callers {
			go func() {
				for range gets {
					g.Get(t.Context(), "k")
				}
				done <- true
			}()
		}
		for range callers {
			<-done
		}
		if s := g.Stats(); s.Hits != callers*gets {
			t.Errorf("%d bytes: %d hits, want %d", bytes, s.Hits, callers*gets)
		}
	}
}
