package peercache_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// A peer that left the list while it hung has not heard of a Remove. What it offers when it
// is back is not taken, also if the list has changed once more.
func TestP8NothingIsTakenOverFromADepartedPeerThatMissedARemove(t *testing.T) {
	for name, again := range map[string]bool{"the list stays": false, "the list changes again": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				c := simConfig{getter: &editions{}}
				nodes := newSimCluster(t, net, 4, c)
				keys := keysOwnedBy(t, nodes, 0, 3, 40)
				for _, key := range keys {
					nodes[3].wants(t, key, "1")
				}
				net.Isolate(host(3))
				introduce(t, nodes[:3], nodes[:3]...)
				time.Sleep(time.Second)
				if err := nodes[0].group.Remove(inside(t), keys...); err != nil {
					t.Fatal(err)
				}
				list := nodes[:3:3]
				if again {
					list = append(list, startSimNode(t, net, 4, c))
					introduce(t, list, list...)
					time.Sleep(3 * time.Second)
				}
				for i := range list {
					net.Reset(host(i), host(3)) // what it was told is lost on the way
				}
				net.Reset(host(4), host(3))
				net.Rejoin(host(3))
				time.Sleep(3 * time.Second) // it is found to be back, and can be asked
				nodes[3].stop(t)
				for _, key := range keys {
					for _, n := range list {
						n.brings(t, key, "2")
					}
				}
			})
		})
	}
}

// Nothing stays of peers that came and have gone, neither in order nor because they hang: no
// goroutine, no connection, nothing in memory.
func TestNothingStaysOfFormerPeers(t *testing.T) {
	for name, way := range bothWays {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				const peers = 20 // that come, and as many that are not there
				c := simConfig{getter: &editions{}, bytes: 1 << 20, pool: func(int) []peercache.PoolOption { return way }}
				n := startSimNode(t, net, 0, c)
				synctest.Wait()
				goroutines := runtime.NumGoroutine()
				var forgotten atomic.Int64
				for i := 1; i <= peers; i += 10 {
					nodes := []*node{n}
					for j := i; j < i+10; j++ {
						nodes = append(nodes, startSimNode(t, net, j, c))
					}
					list := slices.Clone(nodes)
					for j := i; j < i+10; j++ {
						net.Host(host(1000 + j))
						net.Isolate(host(1000 + j))
						list = append(list, &node{url: fmt.Sprintf("http://%s:8001", host(1000+j))})
					}
					introduce(t, nodes[1:], nodes...)
					introduce(t, nodes[:1], list...)
					for _, p := range n.pool.Peers() {
						peercache.OnForgotten(p, func() { forgotten.Add(1) })
					}
					for k := range 200 {
						n.get(t, fmt.Sprint("key", k))
					}
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					n.group.Remove(ctx, "key0") // whatever comes of it
					cancel()
					introduce(t, nodes, nodes...)
					time.Sleep(2 * time.Second)
					for _, n := range nodes[1:] {
						n.stop(t)
					}
					introduce(t, nodes[:1], n)
				}
				time.Sleep(3 * time.Minute)
				synctest.Wait()
				if more := runtime.NumGoroutine() - goroutines; more > peers/10 {
					t.Errorf("%d goroutines more than at first", more)
				}
				for range 100 {
					runtime.GC()
					if forgotten.Load() == 2*peers {
						break
					}
				}
				if got := forgotten.Load(); got != 2*peers {
					t.Errorf("%d of %d former peers are forgotten", got, 2*peers)
				}
			})
		})
	}
}
