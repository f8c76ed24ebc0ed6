package peercache_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// editions is an origin of all nodes whose n-th load of a key returns "n", so that a
// test sees how old a value is. Its fields may be changed between loads.
type editions struct {
	takes time.Duration // of a load
	ttl   time.Duration // of the Items
	size  int           // of the values, at least; they begin with the number and a space
	err   error         // of every load, if not nil

	mu    sync.Mutex
	loads map[string]int // guarded by mu
}

// Get implements peercache.Getter.
func (o *editions) Get(ctx context.Context, key string) (peercache.Item, error) {
	o.mu.Lock()
	if o.loads == nil {
		o.loads = make(map[string]int)
	}
	o.loads[key]++
	n, err := o.loads[key], o.err
	o.mu.Unlock()
	if sleep(ctx, o.takes) {
		return peercache.Item{}, ctx.Err()
	}
	if err != nil {
		return peercache.Item{}, fmt.Errorf("load %d: %w", n, err)
	}
	value := []byte(fmt.Sprint(n))
	if len(value) < o.size {
		value = append(append(value, ' '), make([]byte, o.size)...)
	}
	return peercache.Item{Value: value, TTL: o.ttl}, nil
}

// fail makes loads fail from now on, unless err is nil.
func (o *editions) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
}

// of returns how often key was loaded.
func (o *editions) of(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

// local makes a group without peers.
func local(t testing.TB, getter peercache.Getter, opts ...peercache.GroupOption) *node {
	t.Helper()
	group, err := peercache.NewGroup("test", 1<<20, getter, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return &node{group: group}
}

// copies has a node fetch a key until it has a copy of the value, which is want.
func (n *node) copies(t testing.TB, key, want string) {
	t.Helper()
	n.brings(t, key, want) // once is not worth a copy
	n.brings(t, key, want)
	n.wants(t, key, want)
}

// wants checks what a node answers for key now, without the passing of time.
func (n *node) wants(t testing.TB, key, want string) {
	t.Helper()
	start := time.Now()
	if got := n.get(t, key); got != want {
		t.Errorf("Get %q at %s: %.40q, want %.40q", key, n.url, got, want)
	}
	if took := time.Since(start); took != 0 {
		t.Errorf("Get %q at %s took %v, want it to be answered from what is cached", key, n.url, took)
	}
}

// brings checks what a node answers for key, however long that takes.
func (n *node) brings(t testing.TB, key, want string) {
	t.Helper()
	if got := n.get(t, key); got != want {
		t.Errorf("Get %q at %s: %.40q, want %.40q", key, n.url, got, want)
	}
}

// herd has callers ask for key at once, in turn at each of the nodes. It returns how
// often each answer came, and the longest time that one of them took.
func herd(t testing.TB, nodes []*node, callers int, key string) (answers map[string]int, slowest time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	var longest atomic.Int64
	answers = make(map[string]int)
	start := time.Now()
	for i := range callers {
		all.Go(func() {
			got := nodes[i%len(nodes)].get(t, key)
			took := int64(time.Since(start))
			for old := longest.Load(); took > old && !longest.CompareAndSwap(old, took); old = longest.Load() {
			}
			mu.Lock()
			defer mu.Unlock()
			answers[got]++
		})
	}
	all.Wait()
	return answers, time.Duration(longest.Load())
}
