package peercache_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/simnet"
)

// A value that expires while the machine is suspended is not served afterwards, and one
// whose stale window ends is no stale value any more.
func TestP7SuspendedMachineServesNothingExpired(t *testing.T) {
	for _, newCache := range []peercache.NewCache{peercache.NewStore, peercache.NewLRU} {
		synctest.Test(t, func(t *testing.T) {
			loads := 0
			g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				loads++
				return []byte(strconv.Itoa(loads)), nil
			}), peercache.WithTTL(3*time.Second), peercache.WithStaleWhileRevalidate(time.Second), peercache.WithCache(newCache))
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range []struct {
				suspended time.Duration
				want      string
			}{{0, "1"}, {2 * time.Second, "1"}, {6 * time.Second, "2"}, {time.Hour, "3"}} {
				clock.Suspend(c.suspended)
				if view, err := g.Get(t.Context(), "k"); err != nil || view.String() != c.want {
					t.Errorf("Get %d, after %v: %q, %v, want %q", i, c.suspended, view, err, c.want)
				}
			}
		})
	}
}

// The lease of a copy runs out while the machine is suspended, as it does at the owner,
// whose Remove waits for no longer. Nor is a fetch joined that began before.
func TestP8SuspendedMachineServesNoCopy(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{size: 100}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o})
		key := keyOwnedBy(t, nodes, 0, 1)
		nodes[0].get(t, key)
		nodes[0].get(t, key) // once is not worth a copy
		asked := func() int64 { return nodes[1].group.Stats().ServerRequests }
		before := asked()
		nodes[0].get(t, key)
		if asked() != before {
			t.Fatal("the copy is not served")
		}
		clock.Suspend(peercache.DefaultLease)
		nodes[0].get(t, key)
		if asked() != before+1 {
			t.Errorf("after a suspend that took a lease, the owner was asked %d times, want once", asked()-before)
		}

		o.takes = time.Second
		key = keysOwnedBy(t, nodes, 0, 1, 2)[1]
		before = asked()
		go nodes[0].group.Get(context.Background(), key)
		time.Sleep(o.takes / 2)
		clock.Suspend(peercache.DefaultLease)
		nodes[0].get(t, key)
		if asked() != before+2 {
			t.Errorf("a fetch began before a suspend, and one after: the owner was asked %d times, want 2", asked()-before)
		}
	})
}
