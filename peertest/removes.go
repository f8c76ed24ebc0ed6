package peertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// writers change the origin and tell the cluster, and look whether that was heard (P8).
type writers struct {
	t      testing.TB
	origin *origin
	kinds  int // of changes: 1 is Remove alone

	mu    sync.RWMutex
	alive []*node // guarded by mu; those of the view that users ask

	told, failed atomic.Int64
}

// use makes nodes those that users ask.
func (w *writers) use(nodes ...*node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive = nodes
}

// nodes returns those that users ask, and keeps them so until done is called.
func (w *writers) nodes() (all []*node, done func()) {
	w.mu.RLock()
	return w.alive, w.mu.RUnlock
}

// read gets key at all processes, so that they have copies.
func (w *writers) read(key string, least int) {
	nodes, done := w.nodes()
	defer done()
	for _, n := range nodes {
		if n.dead.Load() {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		v, err := n.versionAt(ctx, key)
		cancel()
		if !n.dead.Load() && (err != nil || v < least) {
			w.t.Errorf("Get of %q at %s: version %d, %v, want at least %d: its change was told (P8)", key, n.name, v, err, least)
		}
	}
}

// write makes one change of key, and reads it.
func (w *writers) write(key string, random *rand.Rand) {
	w.read(key, 0)
	nodes, done := w.nodes()
	n := nodes[random.IntN(len(nodes))]
	done()
	v := w.origin.next(key)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	switch random.IntN(10) % w.kinds {
	case 1:
		err = n.group.Set(ctx, key, version(v))
	case 2:
		err = n.group.Clear(ctx)
	default:
		err = n.group.Remove(ctx, key)
	}
	if err != nil || n.dead.Load() {
		w.failed.Add(1)
		return
	}
	w.told.Add(1)
	w.read(key, v)
}

// removed changes keys in a settled cluster, which is larger than the owner of a key and those that
// stand in for it: the others hear of a change because they hold copies.
func removed(t testing.TB, h Harness) {
	o := newOrigin()
	h.standIn = shortStandIn
	nodes := newNodes(t, h, 6, o)
	w := &writers{t: t, origin: o, kinds: 3}
	w.use(nodes...)
	if h.lacks(QueryFields) { // nobody knows who holds copies: the owner hears of it
		key := nodes[0].ownedBy(t, nodes[1], "key")
		w.use(nodes[1])
		w.write(key, rand.New(rand.NewPCG(1, 1)))
		return
	}
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 60 {
		if i == 30 {
			pause(context.Background(), shortStandIn+shortStandIn/10) // from now on, only who may hold the key is told
		}
		w.write(fmt.Sprintf("key %d", i%7), random)
	}
	if n := w.failed.Load(); n > 0 {
		t.Errorf("%d changes of %d failed in a settled cluster", n, n+w.told.Load())
	}
}

// begin has so many change keys, each his own, until stop is called.
func (w *writers) begin(n int) (stop func()) {
	var all sync.WaitGroup
	var over atomic.Bool
	for i := range n {
		random := rand.New(rand.NewPCG(2, uint64(i)))
		all.Go(func() {
			for j := 0; !over.Load(); j++ {
				w.write(fmt.Sprintf("key %d of %d", j%3, i), random)
			}
		})
	}
	return func() {
		over.Store(true)
		all.Wait()
	}
}

// viewsChange has processes join, and leave by Shutdown, while keys are changed.
func viewsChange(t testing.TB, h Harness) {
	if h.lacks(QueryFields) {
		return
	}
	o := newOrigin()
	h.standIn = shortStandIn
	nodes := newNodes(t, h, 3, o)
	w := &writers{t: t, origin: o, kinds: 2}
	w.use(nodes...)
	stop := w.begin(3)
	for range 2 {
		joins := newNode(t, h, h.Address(t), o)
		introduce(t, append(nodes, joins)...)
		if err := joins.pool.Ready(within(t)); err != nil {
			t.Errorf("Ready of one who joins: %v", err)
		}
		w.use(append(nodes[:3:3], joins)...)
		pause(within(t), shortStandIn/2)
		w.use(nodes...) // its users have gone first
		joins.shutdown(t)
		joins.kill()
		introduce(t, nodes...)
		pause(within(t), shortStandIn/4)
	}
	stop()
	if w.told.Load() == 0 {
		t.Error("no change succeeded while views changed")
	}
	t.Logf("%d changes were told, and %d failed", w.told.Load(), w.failed.Load())
}

// restarts has a process end without a word, and another one start at its address.
func restarts(t testing.TB, h Harness) {
	if h.lacks(QueryFields) {
		return
	}
	o := newOrigin()
	h.standIn = shortStandIn
	nodes := newNodes(t, h, 3, o)
	w := &writers{t: t, origin: o, kinds: 2}
	w.use(nodes...)
	stop := w.begin(3)
	for range 2 {
		pause(within(t), 100*time.Millisecond)
		old := nodes[2]
		w.use(nodes[:2]...)
		old.crash()
		pause(within(t), 50*time.Millisecond)
		next := newNode(t, h, old.name, o)
		nodes = []*node{nodes[0], nodes[1], next}
		introduce(t, nodes...)
		if err := next.pool.Ready(within(t)); err != nil {
			t.Errorf("Ready of one who restarts: %v", err)
		}
		w.use(nodes...)
		pause(within(t), shortStandIn/2)
	}
	stop()
	if w.told.Load() == 0 {
		t.Error("no change succeeded while a process restarted")
	}
	t.Logf("%d changes were told, and %d failed", w.told.Load(), w.failed.Load())
}

// manyKeys removes more keys than go into one Change.
func manyKeys(t testing.TB, h Harness) {
	o := newOrigin()
	h.standIn = shortStandIn
	nodes := newNodes(t, h, 2, o)
	var keys []string
	for i := range 3000 {
		keys = append(keys, fmt.Sprintf("key %d %s", i, strings.Repeat("k", 1000)))
	}
	some := []string{keys[0], keys[1500], keys[2999]}
	get := func(least int) {
		for _, n := range nodes {
			for _, key := range some {
				if p := n.pool.Pick(key, 0); p != nil && h.lacks(QueryFields) {
					continue // a copy, of which nobody knows
				}
				if v, err := n.versionAt(within(t), key); err != nil || v < least {
					t.Errorf("Get at %s: version %d, %v, want at least %d", n.name, v, err, least)
				}
			}
		}
	}
	get(0)
	for _, key := range some {
		o.next(key)
	}
	if err := nodes[0].group.Remove(within(t), keys...); err != nil {
		t.Errorf("Remove of 3,000 keys of 1,000 bytes: %v", err)
	}
	get(1)
	if n := nodes[1].spy.largest.Load(); n > 1<<20 || n == 0 {
		t.Errorf("the largest Change had %d bytes of keys, want at most peer.MaxChangeBytes", n)
	}
}
