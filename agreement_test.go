package peercache_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// Where a peer has another view, what it keeps is not known, and Remove says so. Gets are
// answered all the same. When the views agree again, all is well.
func TestP8RemoveTellsOfAnotherView(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{}
		nodes := newSimCluster(t, net, 5, simConfig{getter: o})
		introduce(t, nodes[:1], nodes[:4]...) // it does not know the last one
		time.Sleep(time.Second)
		keys, old := keysOwnedBy(t, nodes, 1, 4, 20), make(map[string]int)
		for _, key := range keys {
			for _, n := range nodes {
				n.get(t, key)
			}
			old[key] = o.of(key)
		}
		start := time.Now()
		p := pending(t, nodes[1].group.Remove(inside(t), keys...), nodes[0])
		if !p.Until.IsZero() || !strings.Contains(p.Err.Error(), "view") {
			t.Errorf("%v, and it ends at %v: want no end, because of its view", p.Err, p.Until)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("Remove took %v: want it to give up when the views do not soon agree", took)
		}
		if s := nodes[1].statsOf(t, nodes[0]); s.Disagreements == 0 {
			t.Error("the peer's figures tell of no disagreement")
		}
		for _, key := range keys {
			for _, n := range nodes {
				if edition, err := strconv.Atoi(n.get(t, key)); err != nil || edition <= old[key] {
					t.Errorf("%s answers edition %d of %s, error %v: there were %d before Remove", n.url, edition, key, err, old[key])
				}
			}
		}

		introduce(t, nodes[:1], nodes...)
		if err := nodes[1].group.Remove(inside(t), keys...); err != nil {
			t.Errorf("with one view again: %v", err)
		}
	})
}

// A Remove that finds views which differ waits a little: as a rule they soon agree.
func TestP8RemoveWaitsForOneView(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 1, 4)
		introduce(t, nodes[:1], nodes[:4]...)
		time.AfterFunc(2*time.Second, func() { introduce(t, nodes[:1], nodes...) })
		start := time.Now()
		if err := nodes[1].group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("Remove took %v: want it to be done soon after the 2s in which the views differ", took)
		}
	})
}

// A Remove that waits for a peer is done when that has left the view: it need not be told.
func TestP8ViewChangesWhileRemoveWaits(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, key, candidates, holder := cutOff(t, net, peercache.WithLease(time.Minute))
		rest := slices.Delete(slices.Clone(nodes), holder, holder+1)
		time.AfterFunc(5*time.Second, func() { introduce(t, rest, rest...) })
		start := time.Now()
		if err := nodes[candidates[0]].group.Remove(context.Background(), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("Remove took %v: want it to be done soon after the peer left, at 5s", took)
		}
		for _, n := range rest {
			n.brings(t, key, "2")
		}
	})
}

// grown starts a cluster of three whose values are cached, and then more nodes. It returns
// all nodes and the keys that nodes[3] owns, of 300.
func grown(t *testing.T, net *simnet.Network, more int, o *editions, opts ...peercache.GroupOption) (nodes []*node, keys []string) {
	t.Helper()
	c := simConfig{getter: o, group: opts}
	nodes = newSimCluster(t, net, 3, c)
	for k := range 300 {
		nodes[k%3].brings(t, fmt.Sprint("key", k), "1")
	}
	for i := range more {
		nodes = append(nodes, startSimNode(t, net, 3+i, c))
	}
	introduce(t, nodes, nodes...)
	for k := range 300 {
		key := fmt.Sprint("key", k)
		if nodes[3].pool.Pick(key, 0) == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) < 20 {
		t.Fatalf("the new node owns %d keys of 300", len(keys))
	}
	return nodes, keys
}

// A new peer gets its values from those that owned them, not from the origin, and keeps
// them as its own.
func TestP1NewPeerCostsNoLoads(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, keys := grown(t, net, 1, &editions{})
		for _, key := range keys {
			for _, n := range nodes {
				n.brings(t, key, "1")
			}
		}
		s := nodes[3].group.Stats()
		if s.Handovers < int64(len(keys)) || s.Loads != 0 || s.Main.Items != int64(len(keys)) {
			t.Errorf("the new peer counts %d handovers, %d loads, and has %d values: want at least %d, none, and all", s.Handovers, s.Loads, s.Main.Items, len(keys))
		}
		time.Sleep(2 * settling)
		for _, key := range keys {
			nodes[3].wants(t, key, "1")
		}
	})
}

// A value is not fresh again because it was handed over.
func TestP7HandedOverWithWhatIsLeft(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, keys := grown(t, net, 1, &editions{ttl: time.Minute + settling}, peercache.WithStaleWhileRevalidate(time.Second))
		begun := time.Now()
		for _, key := range keys {
			nodes[3].brings(t, key, "1")
		}
		if s := nodes[3].group.Stats(); s.Handovers < int64(len(keys)) || s.Loads != 0 {
			t.Fatalf("%d handovers of %d keys", s.Handovers, len(keys))
		}
		time.Sleep(time.Until(begun.Add(time.Minute + settling + time.Second)))
		for _, key := range keys {
			nodes[3].brings(t, key, "2")
		}
	})
}

// A Remove right after a new peer came reaches its value wherever that is: with the owner
// of before, with the one of now, or on the way between them.
func TestP8RemoveWhileValuesAreHandedOver(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, keys := grown(t, net, 1, &editions{})
		for i, key := range keys {
			done := make(chan struct{})
			go func() {
				defer close(done)
				time.Sleep(time.Duration(i%10) * time.Millisecond / 2)
				nodes[3].get(t, key)
			}()
			time.Sleep(2 * time.Millisecond)
			if err := nodes[i%3].group.Remove(inside(t), key); err != nil {
				t.Fatal(err)
			}
			after := nodes[0].get(t, key)
			<-done
			if after == "1" {
				t.Errorf("%s has its old value after Remove", key)
			}
			for _, n := range nodes {
				n.brings(t, key, after)
			}
		}
	})
}

// Many peers that come at once leave values with peers that are no candidates of their
// keys any more. A Remove reaches these too, and the copies that they gave.
func TestP8RemoveReachesFormerOwners(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, keys := grown(t, net, 7, &editions{})
		time.Sleep(2 * peercache.DefaultLease) // the new ones know who holds copies
		if err := nodes[9].group.Remove(inside(t), keys...); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			for _, n := range nodes {
				n.brings(t, key, "2")
			}
		}
	})
}

// While a peer does not answer at all, a Remove whose context has no end still has one,
// because what has no end is not waited for, and the rest ends.
func TestP8RemoveWithoutADeadlineReturns(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		for _, n := range nodes {
			n.brings(t, key, "1")
		}
		net.Isolate(host(candidates[2]))
		net.Freeze(host(others[0]))
		t.Cleanup(func() {
			net.HealAll()
			net.Thaw(host(others[0]))
		})
		start := time.Now()
		if err := nodes[candidates[0]].group.Remove(context.Background(), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > peercache.DefaultStandIn+time.Second {
			t.Errorf("Remove took %v", took)
		}
		nodes[candidates[0]].brings(t, key, "2")
	})
}

// A peer that has left the view and cannot be reached holds up no Remove for long.
func TestP8RemoveAfterAPeerHasVanished(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, key, candidates, holder := cutOff(t, net)
		rest := slices.Delete(slices.Clone(nodes), holder, holder+1)
		introduce(t, rest, rest...)
		time.Sleep(time.Second)
		start := time.Now()
		if err := nodes[candidates[0]].group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("Remove took %v: want it not to wait for who is no peer any more", took)
		}
		for _, n := range rest {
			n.brings(t, key, "2")
		}
	})
}
