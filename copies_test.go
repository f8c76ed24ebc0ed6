package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// asks returns how many messages a node has sent to another one.
func (n *node) asks(t testing.TB, other *node) int64 {
	t.Helper()
	return n.statsOf(t, other).Requests
}

// A thousand callers who ask for one cold key at the same time cost one load, and the first few of
// them a message each. All others share one.
func TestP1BurstOfCallersOfAColdKey(t *testing.T) {
	for name, opts := range map[string][]peercache.GroupOption{"by default": nil, "without copies": {peercache.WithHotShare(0)}} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := &editions{takes: time.Second}
				nodes := newSimCluster(t, net, 2, simConfig{getter: o, group: opts})
				keys := keysOwnedBy(t, nodes, 0, 1, 2)
				nodes[0].get(t, keys[1]) // they are connected
				before := nodes[0].asks(t, nodes[1])
				var callers sync.WaitGroup
				for range 1000 {
					callers.Go(func() { nodes[0].brings(t, keys[0], "1") })
				}
				callers.Wait()
				if n := nodes[0].asks(t, nodes[1]) - before; n > 16 {
					t.Errorf("the owner was asked %d times, want a handful", n)
				}
				if n := o.of(keys[0]); n != 1 {
					t.Errorf("%d loads, want 1", n)
				}
			})
		})
	}
}

// A key is copied with its second fetch while there is room for copies, and within some more while
// a load goes on for which copies do not pay.
func TestKeyThatBecomesHotIsCopiedSoon(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{size: 1000}})
		keys := keysOwnedBy(t, nodes, 0, 1, 5000)
		fetches := func(key string) (n int) {
			for before := nodes[0].group.Stats().Hot.Hits; n < 100 && nodes[0].group.Stats().Hot.Hits == before; n++ {
				nodes[0].get(t, key)
			}
			return n - 1
		}
		if n := fetches(keys[0]); n != 2 {
			t.Errorf("copied after %d fetches: want 2 where there is room", n)
		}
		for range 4 { // there is room for a hundred
			for _, key := range keys[2:] {
				nodes[0].get(t, key)
			}
		}
		if n := fetches(keys[1]); n > 15 {
			t.Errorf("copied after %d fetches: want a few", n)
		}
	})
}

// Who has fetched a value once has no copy and no lease: a Remove does not wait for it, although it
// cannot be reached.
func TestP8RemoveWaitsForNobodyWithoutACopy(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		time.Sleep(peercache.DefaultLease) // an earlier process may have given leases
		nodes[others[0]].brings(t, key, "1")
		net.Isolate(host(others[0]))
		t.Cleanup(net.HealAll)
		start := time.Now()
		if err := nodes[candidates[1]].group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("Remove took %v", took)
		}
	})
}

// A question that is answered when its key has been removed is for who asked before: a caller who
// comes later does not get the answer, though the process is told of nothing.
func TestP8NobodyJoinsAQuestionWithoutALease(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		keys := keysOwnedBy(t, nodes, 0, 1, 2)
		candidates, others := roles(t, nodes, keys[0])
		owner, asker, remover := nodes[candidates[0]], nodes[others[0]], nodes[candidates[1]]
		time.Sleep(peercache.DefaultLease) // an earlier process may have given leases
		asker.get(t, keys[1])
		owner.brings(t, keys[0], "1")
		net.SetLinkBetween(host(candidates[0]), host(others[0]), simnet.Link{MinLatency: 200 * time.Millisecond, MaxLatency: 200 * time.Millisecond})
		var early sync.WaitGroup
		early.Go(func() { asker.brings(t, keys[0], "1") })
		time.Sleep(250 * time.Millisecond) // the answer is under way
		if err := remover.group.Remove(inside(t), keys[0]); err != nil {
			t.Fatal(err)
		}
		asker.brings(t, keys[0], "2")
		early.Wait()
		asker.brings(t, keys[0], "2")
	})
}

// A caller that leaves withdraws its question. The load that it has caused runs on.
func TestP3CallerWithdrawsItsQuestion(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{takes: time.Second}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o})
		keys := keysOwnedBy(t, nodes, 0, 1, 2)
		nodes[0].get(t, keys[1]) // they are connected
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := nodes[0].group.Get(ctx, keys[0]); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("returned after %v", took)
		}
		time.Sleep(100 * time.Millisecond)
		if s := nodes[0].statsOf(t, nodes[1]); s.InFlight != 0 {
			t.Errorf("%d requests in flight: want the question to be withdrawn", s.InFlight)
		}
		time.Sleep(time.Second)
		nodes[1].wants(t, keys[0], "1")
		if n := o.of(keys[0]); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

// A fetch allocates the value that it brings, and its owner nothing.
func TestAllocationsOfAFetch(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools")
	}
	nodes := newCluster(t, 2, config{getter: oneOrigin(&origin{})})
	var keys []string
	for i := 0; len(keys) < 2000; i++ {
		if key := fmt.Sprint("key", i); nodes[0].pool.Pick(key, 0) != nil {
			keys = append(keys, key)
			nodes[1].get(t, key)
		}
	}
	nodes[0].get(t, keys[0]) // they are connected
	next := 1
	const most = 1 // the value
	if n := testing.AllocsPerRun(len(keys)-10, func() {
		nodes[0].get(t, keys[next])
		next++
	}); n > most {
		t.Errorf("%v allocations of a fetch, its owner's among them: want at most %d", n, most)
	}
}
