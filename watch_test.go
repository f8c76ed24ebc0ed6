package peercache_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// heard is a watcher that keeps what it is told.
type heard struct {
	peercache.Watch
	mu     sync.Mutex
	keys   []string
	resets int // how often it was told of all
}

func listen(t *testing.T, g *peercache.Group) *heard {
	h := new(heard)
	h.Watch = g.Watch(func(i peercache.Invalidation) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.keys = append(h.keys, i.Keys...)
		if i.All {
			h.resets++
		}
	})
	t.Cleanup(h.Stop)
	return h
}

// take returns what was told since the last call.
func (h *heard) take() (keys []string, resets int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys, resets = h.keys, h.resets
	h.keys, h.resets = nil, 0
	slices.Sort(keys)
	return slices.Compact(keys), resets
}

// wants checks what was told since the last call.
func (h *heard) wants(t *testing.T, when string, resets bool, keys ...string) {
	t.Helper()
	got, all := h.take()
	if !slices.Equal(got, keys) || (all > 0) != resets {
		t.Errorf("%s: told of %q, and %d times of all: want %q, of all %v", when, got, all, keys, resets)
	}
}

// isLive checks whether the watcher is live.
func (h *heard) isLive(t *testing.T, when string, want bool) {
	t.Helper()
	if h.Live() != want {
		t.Errorf("%s: live is %v, want %v", when, !want, want)
	}
}

// A watcher of a group without peers hears of each change before it returns, and is always live.
func TestWatchAlone(t *testing.T) {
	g, err := peercache.NewGroup("g", 1<<20, &origin{})
	if err != nil {
		t.Fatal(err)
	}
	w := listen(t, g)
	w.isLive(t, "at once", true)
	w.wants(t, "before a change", false)
	ctx := t.Context()
	g.Remove(ctx, "a", "b")
	w.wants(t, "a Remove", false, "a", "b")
	g.Set(ctx, "c", peercache.Item{Value: []byte("1")})
	w.wants(t, "a Set", false, "c")
	g.Clear(ctx)
	w.wants(t, "a Clear", true)
	w.Stop()
	w.Stop()
	g.Remove(ctx, "a")
	w.wants(t, "stopped", false)
	w.isLive(t, "stopped", false)
}

// A panic of a watcher disturbs neither the change nor the other watchers.
func TestWatchPanics(t *testing.T) {
	g, err := peercache.NewGroup("g", 1<<20, &origin{})
	if err != nil {
		t.Fatal(err)
	}
	bad := g.Watch(func(peercache.Invalidation) { panic("boom") })
	defer bad.Stop()
	w := listen(t, g)
	var own peercache.Watch
	own = g.Watch(func(peercache.Invalidation) { own.Stop(); g.Get(context.Background(), "a") })
	if err := g.Remove(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	w.wants(t, "beside one that panics", false, "a")
	if s := g.Stats(); s.Panics != 1 {
		t.Errorf("%d panics are counted, want 1", s.Panics)
	}
}

// Whoever changes a key, each watcher is told before that returns, whoever owns the key: also those
// of the process that makes the change, and of one that has no copy.
func TestWatchHearsOfEachChange(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 6, simConfig{getter: &editions{}})
		var watchers []*heard
		for _, n := range nodes {
			watchers = append(watchers, listen(t, n.group))
		}
		time.Sleep(time.Second)
		for _, w := range watchers {
			w.isLive(t, "after a moment", true)
			w.wants(t, "at the beginning", true)
		}
		time.Sleep(time.Minute) // leases are renewed
		for i, n := range nodes {
			for k := range 10 {
				key := fmt.Sprint("key", k)
				if err := n.group.Remove(inside(t), key); err != nil {
					t.Fatal(err)
				}
				for j, w := range watchers {
					w.wants(t, fmt.Sprintf("at %d, of a Remove at %d", j, i), false, key)
				}
			}
			if err := n.group.Set(inside(t), "a key", peercache.Item{Value: []byte("1")}); err != nil {
				t.Fatal(err)
			}
			for j, w := range watchers {
				w.wants(t, fmt.Sprintf("at %d, of a Set at %d", j, i), false, "a key")
			}
			if err := n.group.Clear(inside(t)); err != nil {
				t.Fatal(err)
			}
			for j, w := range watchers {
				w.wants(t, fmt.Sprintf("at %d, of a Clear at %d", j, i), true)
			}
		}
	})
}

// Without watchers nobody is asked for leases, and nobody is told; with one, each peer gets a message
// for half of a lease.
func TestWatchCosts(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		sent := func() (n int64) {
			for _, other := range nodes[1:] {
				n += nodes[0].asks(t, other)
			}
			return n
		}
		before := sent()
		time.Sleep(time.Minute)
		if n := sent() - before; n > 0 {
			t.Errorf("%d messages without a watcher", n)
		}
		w, other := listen(t, nodes[0].group), listen(t, nodes[0].group)
		before = sent()
		time.Sleep(time.Minute)
		if n, want := sent()-before, int64(4*2*time.Minute/peercache.DefaultLease); n < want/2+4 || n > want+8 {
			t.Errorf("%d messages with watchers, want about %d", n, want)
		}
		w.Stop()
		other.isLive(t, "another one is left", true)
		other.Stop()
		time.Sleep(time.Second)
		before = sent()
		time.Sleep(time.Minute)
		if n := sent() - before; n > 0 {
			t.Errorf("%d messages after the last watcher", n)
		}
		again := listen(t, nodes[0].group)
		time.Sleep(time.Second)
		again.isLive(t, "a watcher again", true)
	})
}

// A watcher is told of all before its leases end, if a peer cannot be reached, and again when it is
// back.
func TestWatchEndsWithALease(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		w := listen(t, nodes[others[0]].group)
		time.Sleep(time.Minute)
		w.take()
		net.Isolate(host(others[0]))
		start := time.Now()
		if err := nodes[candidates[1]].group.Remove(inside(t), key); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > peercache.DefaultLease+time.Second {
			t.Errorf("the Remove took %v", took)
		}
		w.wants(t, "when the Remove has returned", true)
		w.isLive(t, "cut off", false)
		net.HealAll()
		time.Sleep(2 * peercache.DefaultLease)
		w.isLive(t, "healed", true)
		if _, resets := w.take(); resets == 0 { // what it is told late of the Remove does no harm
			t.Error("when it is live again, it was not told of all")
		}
	})
}

// With a change of the view, all has to be confirmed anew.
func TestWatchOfAnotherView(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}})
		w := listen(t, nodes[0].group)
		time.Sleep(time.Second)
		w.take()
		introduce(t, nodes[:4], nodes[:4]...)
		w.isLive(t, "at once", false)
		synctest.Wait()
		w.wants(t, "another view", true)
		time.Sleep(time.Second)
		w.isLive(t, "after a moment", true)
		w.take()
		introduce(t, nodes[:1], nodes...) // the others have another one
		time.Sleep(time.Minute)
		w.isLive(t, "with a view of its own", false)
		introduce(t, nodes, nodes...)
		time.Sleep(2 * peercache.DefaultLease)
		w.isLive(t, "of one mind", true)
	})
}

// From Shutdown on a watcher is not live, and it is told before the peers are.
func TestWatchEndsWithShutdown(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: &editions{}})
		w := listen(t, nodes[0].group)
		time.Sleep(time.Second)
		w.take()
		if err := nodes[0].pool.Shutdown(inside(t)); err != nil {
			t.Fatal(err)
		}
		w.wants(t, "Shutdown", true)
		time.Sleep(time.Minute)
		w.isLive(t, "after Shutdown", false)
		late := listen(t, nodes[0].group)
		time.Sleep(time.Minute)
		late.isLive(t, "made after Shutdown", false)
	})
}
