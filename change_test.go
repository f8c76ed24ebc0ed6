package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// roles says which nodes of a cluster have which part in a key: its candidates, the owner
// first, and the others.
func roles(t testing.TB, nodes []*node, key string) (candidates, others []int) {
	t.Helper()
	asker := 0
	for n := range 3 {
		url := nodes[asker].url
		if p := nodes[asker].pool.Pick(key, n); p != nil {
			url = p.Name()
		}
		candidates = append(candidates, slices.IndexFunc(nodes, func(n *node) bool { return n.url == url }))
	}
	for i := range nodes {
		if !slices.Contains(candidates, i) {
			others = append(others, i)
		}
	}
	return candidates, others
}

// pending checks that err is an *InvalidationError of one peer, and returns until when
// that may serve an old value.
func pending(t testing.TB, err error, peer *node) peercache.Pending {
	t.Helper()
	failed, ok := errors.AsType[*peercache.InvalidationError](err)
	if !ok || len(failed.Pending) != 1 || failed.Pending[0].Peer != peer.url || failed.Group != "test" {
		t.Fatalf("error %v: want an *InvalidationError that names %s", err, peer.url)
	}
	if failed.Pending[0].Err == nil || !strings.Contains(err.Error(), peer.url) {
		t.Errorf("the error does not say why, and of whom: %v", err)
	}
	return failed.Pending[0]
}

// Who waits for a load when its key is removed gets what it finds. It is not kept, and
// who comes after the Remove waits for another load.
func TestP8ChangeDuringALoad(t *testing.T) {
	for name, change := range map[string]func(*node, context.Context, ...string) error{
		"Remove": func(n *node, ctx context.Context, keys ...string) error { return n.group.Remove(ctx, keys...) },
		"Clear":  func(n *node, ctx context.Context, _ ...string) error { return n.group.Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{takes: 4 * time.Second}})
				keys := keysOwnedBy(t, nodes, 0, 1, 2)
				var early sync.WaitGroup
				ask := func(key, want string) {
					for _, n := range nodes {
						early.Go(func() { n.brings(t, key, want) })
					}
				}
				ask(keys[0], "1")
				ask(keys[1], "1")
				time.Sleep(time.Second)
				start := time.Now()
				if err := change(nodes[2], inside(t), keys...); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("it took %v: it must not wait for the load", took)
				}
				ask(keys[0], "2") // while the first load goes on
				early.Wait()
				ask(keys[1], "2") // when it is over
				early.Wait()
				ask(keys[0], "2") // a third load would bring another
				early.Wait()
			})
		})
	}
}

// A value that is on its way to a peer when its key is removed is for those who had asked
// for it before, and is not kept there.
func TestP8RemoveDuringAFetch(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		owner, asker := nodes[candidates[0]], nodes[others[0]]
		owner.wants(t, key, "1")
		asker.get(t, keysOwnedBy(t, nodes, 0, candidates[0], 2)[1]) // they are connected

		net.CutOneWay(host(candidates[0]), host(others[0])) // what the owner answers is held
		var early sync.WaitGroup
		early.Go(func() { asker.brings(t, key, "1") })
		time.Sleep(100 * time.Millisecond)
		early.Go(func() {
			time.Sleep(100 * time.Millisecond)
			net.Heal(host(candidates[0]), host(others[0]))
		})
		if err := owner.group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		asker.brings(t, key, "2")
		early.Wait()
		asker.wants(t, key, "2")
	})
}

// Where the holder of a copy cannot be reached, Remove waits until its lease is over.
func TestP8RemoveWaitsForALeaseThatCannotBeEnded(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, key, candidates, holder := cutOff(t, net)
		start := time.Now()
		if err := nodes[candidates[1]].group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
			t.Errorf("Remove took %v: want what is left of the 5s of a lease", took)
		}
		nodes[holder].brings(t, key, "2")
	})
}

// Where the caller of Remove has less patience, the error names the holder, and until
// when it may serve its copy.
func TestP8RemoveNamesWhoMayServeTheOldValue(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, key, candidates, holder := cutOff(t, net)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		p := pending(t, nodes[candidates[1]].group.Remove(ctx, key), nodes[holder])
		took, left := time.Since(start), time.Until(p.Until)
		if took > 2*time.Second || left < time.Second || left > 4*time.Second {
			t.Errorf("an error after %v says %v more: want it in time, and what is left of the lease", took, left)
		}
		nodes[candidates[0]].brings(t, key, "2")
		nodes[holder].wants(t, key, "1")
		time.Sleep(left)
		nodes[holder].brings(t, key, "3") // it loads by itself
	})
}

// cutOff starts five nodes, of which one holds a copy of a key of another, and isolates
// the holder.
func cutOff(t *testing.T, net *simnet.Network, opts ...peercache.GroupOption) (nodes []*node, key string, candidates []int, holder int) {
	t.Helper()
	nodes = newSimCluster(t, net, 5, simConfig{getter: &editions{}, group: opts})
	key = keyOwnedBy(t, nodes, 0, 1)
	candidates, others := roles(t, nodes, key)
	holder = others[0]
	nodes[holder].copies(t, key, "1")
	net.Isolate(host(holder))
	t.Cleanup(net.HealAll)
	return nodes, key, candidates, holder
}

// Where the owner cannot be reached, its value has no end that anybody knows: the error
// says so when the context ends.
func TestP8RemoveWithoutTheOwner(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 0, 1)
		nodes[1].wants(t, key, "1")
		net.Isolate(host(1))
		t.Cleanup(net.HealAll)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		start := time.Now()
		p := pending(t, nodes[0].group.Remove(ctx, key), nodes[1])
		if !p.Until.IsZero() {
			t.Errorf("the error says that the owner's value ends at %v", p.Until)
		}
		if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("Remove took %v: want it to try as long as its context lasts", took)
		}
		nodes[1].wants(t, key, "1")
		net.HealAll()
		if err := nodes[0].group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		nodes[1].wants(t, key, "2")
	})
}

// Where the owner cannot be reached, nobody waits for the end of what others have.
func TestP8RemoveWithoutTheOwnerWaitsForNobody(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}, group: []peercache.GroupOption{peercache.WithStandIn(time.Hour)}})
		time.Sleep(time.Hour) // the view is settled when a stand-in's time has passed
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		net.Isolate(host(candidates[0]))
		net.Isolate(host(candidates[1]))
		t.Cleanup(net.HealAll)
		start := time.Now()
		err := nodes[others[0]].group.Remove(context.Background(), key)
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("Remove took %v: want it not to wait for the stand-in, it fails anyway", took)
		}
		failed, ok := errors.AsType[*peercache.InvalidationError](err)
		if !ok || len(failed.Pending) != 2 {
			t.Fatalf("error %v: want one that names the owner and the stand-in", err)
		}
		for _, p := range failed.Pending {
			if owner := p.Peer == nodes[candidates[0]].url; owner != p.Until.IsZero() {
				t.Errorf("the error says that what %s has ends at %v", p.Peer, p.Until)
			}
		}
	})
}

// What a stand-in keeps while the owner is away is dropped by a Remove as well.
func TestP8RemoveReachesTheStandIn(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{}
		nodes := newSimCluster(t, net, 5, simConfig{getter: o})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		owner, standIn, asker := candidates[0], nodes[candidates[1]], nodes[others[0]]
		t.Cleanup(net.HealAll)

		net.Isolate(host(owner))
		asker.brings(t, key, "1")
		standIn.brings(t, key, "1")
		nodes[candidates[2]].brings(t, key, "1")
		if loads, kept := o.of(key), standIn.group.Stats().Main.Items; loads != 1 || kept != 1 {
			t.Fatalf("%d loads, and the stand-in has %d values: want one, kept by it", loads, kept)
		}
		net.HealAll()
		time.Sleep(5 * time.Second)
		if err := asker.group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		net.Isolate(host(owner))
		next := fmt.Sprint(o.of(key) + 1) // what was on its way to the owner has reached it since, perhaps
		for _, n := range []*node{asker, standIn, nodes[candidates[2]]} {
			n.brings(t, key, next)
		}
	})
}

// What a stand-in loads for a peer ends there when it does at the stand-in, however long
// the lease: that is what an owner waits for who cannot reach them.
func TestP8CopiesOfAStandInEndWithIt(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		const standIn = time.Second
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}, group: []peercache.GroupOption{
			peercache.WithStandIn(standIn), peercache.WithLease(5 * standIn),
		}})
		time.Sleep(5 * standIn) // nobody is taken for a holder because nothing is known of him
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, _ := roles(t, nodes, key)
		owner, asker := nodes[candidates[0]], nodes[candidates[2]]
		net.Isolate(host(candidates[0]))
		t.Cleanup(net.HealAll)
		asker.brings(t, key, "1")
		if err := owner.group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		asker.brings(t, key, "2")
	})
}

// Every Get after a Set has its value, wherever the Set was and whatever was there.
func TestP8SetIsSeenEverywhere(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{}
		nodes := newSimCluster(t, net, 5, simConfig{getter: o})
		key := keyOwnedBy(t, nodes, 0, 1)
		for i, setter := range nodes {
			value := fmt.Append(nil, "set ", i)
			if err := setter.group.Set(inside(t), key, peercache.Item{Value: value}); err != nil {
				t.Fatal(err)
			}
			value[0] = 'x' // it was copied (P4)
			for range 2 {
				for _, n := range nodes {
					n.brings(t, key, fmt.Sprint("set ", i))
				}
			}
		}
		if loads := o.of(key); loads != 0 {
			t.Errorf("%d loads: want none, the values were set", loads)
		}
	})
}

// The value of a Set lives as long as its Item or the group says, in the sense of a
// getter's Item.
func TestP7SetTakesTheTTLOfItsItem(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{}, group: []peercache.GroupOption{peercache.WithTTL(time.Hour)}})
		for i, key := range []string{keyOwnedBy(t, nodes, 0, 0), keyOwnedBy(t, nodes, 0, 1)} {
			set := func(ttl time.Duration) time.Time {
				if err := nodes[0].group.Set(inside(t), key, peercache.Item{Value: []byte("set"), TTL: ttl}); err != nil {
					t.Fatal(err)
				}
				return time.Now()
			}
			begun := set(time.Minute)
			time.Sleep(time.Until(begun.Add(time.Minute - 100*time.Millisecond)))
			nodes[i].wants(t, key, "set")
			time.Sleep(100 * time.Millisecond)
			nodes[i].wants(t, key, "1")
			begun = set(0)
			time.Sleep(time.Until(begun.Add(time.Hour - 100*time.Millisecond)))
			nodes[i].wants(t, key, "set")
			time.Sleep(100 * time.Millisecond)
			nodes[i].wants(t, key, "2")
			set(-1)
			for _, n := range nodes {
				n.brings(t, key, "3")
			}
		}
	})
}

// A value that the group does not allow is refused and changes nothing. One that is too
// large to be kept drops what was there.
func TestP8SetOfALargeValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 512 << 10 // half of the cache
		n := local(t, &editions{}, peercache.WithMaxValueBytes(most))
		set := func(size int) error {
			return n.group.Set(t.Context(), "k", peercache.Item{Value: make([]byte, size)})
		}
		n.wants(t, "k", "1")
		if err := set(most + 1); !errors.Is(err, peercache.ErrValueSize) {
			t.Errorf("one byte too many: error %v", err)
		}
		n.wants(t, "k", "1")
		if err := set(most); err != nil {
			t.Error(err)
		}
		n.wants(t, "k", "2")
	})
}

// Of two Sets at once, one wins, and the same one everywhere.
func TestP8SetsAtOnceEndInOneValue(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		for round, key := range keysOwnedBy(t, nodes, 0, 1, 50) {
			var sets sync.WaitGroup
			for i, n := range nodes {
				sets.Go(func() {
					time.Sleep(time.Duration(i*round%7) * time.Millisecond / 2)
					if err := n.group.Set(inside(t), key, peercache.Item{Value: fmt.Append(nil, "set ", i)}); err != nil {
						t.Error(err)
					}
				})
				sets.Go(func() { n.get(t, key) })
			}
			sets.Wait()
			value := nodes[1].get(t, key)
			if !strings.HasPrefix(value, "set ") {
				t.Errorf("%s: %q, want a value that was set", key, value)
			}
			for _, n := range nodes {
				n.brings(t, key, value)
			}
		}
	})
}

// Clear drops all values of the group, on all peers.
func TestP8ClearDropsEverythingEverywhere(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 4, simConfig{getter: &editions{}})
		const keys = 200
		each := func(want string) {
			for k := range keys {
				for _, n := range nodes {
					n.brings(t, fmt.Sprint("key", k), want)
				}
			}
		}
		each("1")
		if err := nodes[3].group.Clear(inside(t)); err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if s := n.group.Stats(); s.Main.Items != 0 || s.Hot.Items != 0 {
				t.Errorf("%s has %d values and %d copies after Clear", n.url, s.Main.Items, s.Hot.Items)
			}
		}
		each("2")
	})
}
