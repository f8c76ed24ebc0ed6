package peercache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// timed is an origin whose values have a TTL, and which fails when it is told to.
type timed struct {
	ttl  time.Duration
	fail atomic.Bool
}

func (o *timed) Get(context.Context, string) (peercache.Item, error) {
	if o.fail.Load() {
		return peercache.Item{}, errors.New("the origin is down")
	}
	return peercache.Item{Value: []byte("v"), TTL: o.ttl}, nil
}

// hasTTL checks what GetWithTTL says of a key.
func hasTTL(t *testing.T, g *peercache.Group, key string, want time.Duration) {
	t.Helper()
	view, ttl, err := g.GetWithTTL(t.Context(), key)
	if err != nil || view.String() != "v" {
		t.Fatalf("GetWithTTL of %s: %q, error %v", key, view, err)
	}
	if want < 0 && ttl >= 0 || want >= 0 && ttl != want {
		t.Errorf("the TTL of %s is %v, want %v", key, ttl, want)
	}
}

// What a value has left does not include the time for which it may be served stale, whether it is
// loaded or a hit.
func TestTTLOfALoadAndAHit(t *testing.T) {
	for name, c := range map[string]struct {
		options []peercache.GroupOption
		item    time.Duration
		want    time.Duration
	}{
		"without end":  {},
		"of the group": {options: []peercache.GroupOption{peercache.WithTTL(time.Minute)}, want: time.Minute},
		"of the item":  {item: time.Hour, options: []peercache.GroupOption{peercache.WithTTL(time.Minute)}, want: time.Hour},
		"with stale windows": {options: []peercache.GroupOption{
			peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(time.Hour), peercache.WithStaleIfError(2 * time.Hour),
		}, want: time.Minute},
	} {
		for _, store := range []peercache.NewCache{peercache.NewStore, peercache.NewLRU} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g, err := peercache.NewGroup("g", 1<<20, &timed{ttl: c.item}, append(c.options, peercache.WithCache(store))...)
					if err != nil {
						t.Fatal(err)
					}
					hasTTL(t, g, "k", c.want)
					time.Sleep(20 * time.Second)
					hasTTL(t, g, "k", max(0, c.want-20*time.Second))
				})
			})
		}
	}
}

// A value that has expired has a negative TTL: while it is loaded again, in place of an error, and
// if the getter said so.
func TestTTLOfStaleValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(timed)
		g, err := peercache.NewGroup("g", 1<<20, o, peercache.WithTTL(time.Minute), peercache.WithStaleWhileRevalidate(time.Minute), peercache.WithStaleIfError(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		hasTTL(t, g, "k", time.Minute)
		time.Sleep(time.Minute)
		hasTTL(t, g, "k", -1) // it has just expired
		synctest.Wait()
		hasTTL(t, g, "k", time.Minute)
		o.fail.Store(true)
		time.Sleep(10 * time.Minute)
		hasTTL(t, g, "k", -1)
		o.fail.Store(false)
		o.ttl = -1
		hasTTL(t, g, "other", -1)
	})
}

// The TTL is counted from before the owner was asked, and is the same for a copy, whose lease is not
// a TTL.
func TestTTLOfFetchedValues(t *testing.T) {
	for name, want := range map[string]time.Duration{"of the group": 10 * time.Minute, "without end": 0} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				options := []peercache.GroupOption{peercache.WithStaleWhileRevalidate(time.Hour), peercache.WithLease(10 * time.Second)}
				if want > 0 {
					options = append(options, peercache.WithTTL(want))
				}
				nodes := newSimCluster(t, net, 4, simConfig{getter: new(timed), group: options})
				key := keyOwnedBy(t, nodes, 0, 1)
				left := func(age time.Duration) time.Duration {
					if want == 0 {
						return 0
					}
					return want - age
				}
				nodes[1].group.Get(t.Context(), key)
				time.Sleep(time.Minute)
				hasTTL(t, nodes[1].group, key, left(time.Minute))
				for range 4 { // the last ones are hits of a copy
					_, ttl, err := nodes[0].group.GetWithTTL(t.Context(), key)
					most := left(time.Minute)
					if err != nil || ttl > most || ttl < most-50*time.Millisecond {
						t.Errorf("the TTL of what was fetched is %v, error %v: want %v, but for its way", ttl, err, most)
					}
				}
				if nodes[0].group.Stats().Hot.Hits == 0 {
					t.Error("there is no copy")
				}
			})
		})
	}
}

// A value that a stand-in has loaded is served no longer than the stand-in may.
func TestTTLOfAStandIn(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: new(timed), group: []peercache.GroupOption{peercache.WithStandIn(20 * time.Second)}})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		net.Isolate(host(candidates[0]))
		t.Cleanup(net.HealAll)
		standIn := nodes[candidates[1]].group
		standIn.Get(t.Context(), key)
		time.Sleep(5 * time.Second)
		_, ttl, err := standIn.GetWithTTL(t.Context(), key)
		if err != nil || ttl <= 0 || ttl > 15*time.Second {
			t.Errorf("the TTL at the stand-in is %v, error %v: want at most 15 s", ttl, err)
		}
		_, ttl, err = nodes[others[0]].group.GetWithTTL(t.Context(), key)
		if err != nil || ttl <= 0 || ttl > 15*time.Second {
			t.Errorf("the TTL at another process is %v, error %v: want at most 15 s", ttl, err)
		}
		for _, i := range candidates {
			net.Isolate(host(i))
		}
		_, ttl, err = nodes[others[0]].group.GetWithTTL(t.Context(), key)
		if err != nil || ttl != 0 {
			t.Errorf("the TTL of a value that is loaded past the cache is %v, error %v: want none", ttl, err)
		}
	})
}

// BenchmarkGetWithTTL is a hit in the main cache.
func BenchmarkGetWithTTL(b *testing.B) {
	g, err := peercache.NewGroup("g", 1<<20, new(timed))
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	g.Get(ctx, "k")
	b.ReportAllocs()
	for b.Loop() {
		g.GetWithTTL(ctx, "k")
	}
}
