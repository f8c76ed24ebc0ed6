package peercache

import (
	"context"
	"fmt"
	"strconv"
	"testing"
)

// A load takes few pieces of memory: its flight, its run and what its caller waits with, the
// goroutine, and the entry.
func TestAllocsOfALoad(t *testing.T) {
	value := make([]byte, 1<<10)
	g, err := NewGroup("g", 64<<20, GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil }))
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	keys := make([]string, 2001)
	for i := range keys {
		keys[i] = fmt.Sprintf("key%06d", i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := testing.AllocsPerRun(len(keys)-1, func() {
		if _, err := g.Get(ctx, keys[i]); err != nil {
			t.Fatal(err)
		}
		i++
	})
	if n > 10 {
		t.Errorf("a load takes %v allocations, want at most 10", n)
	}
}

// An add takes the entry, and its value if that is large.
func TestAllocsOfAnAdd(t *testing.T) {
	c, err := NewStore(16<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	const runs = 4000
	keys := make([]string, runs+1)
	for i := range keys {
		keys[i] = fmt.Sprintf("key%06d", i)
	}
	e, i := Entry{View: ViewOf(make([]byte, 1<<10))}, 0
	n := testing.AllocsPerRun(runs, func() {
		c.Add(keys[i], e, func() bool { return false })
		i++
	})
	if n > 2 {
		t.Errorf("an add takes %v allocations, want at most 2", n)
	}
}

// BenchmarkLoad gets keys that nobody has asked for before; the cache is full.
func BenchmarkLoad(b *testing.B) {
	value := make([]byte, 1<<10)
	g, err := NewGroup("g", 16<<20, GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil }))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	key := []byte("user:")
	for i := uint64(1e11); b.Loop(); i++ {
		g.Get(context.Background(), string(strconv.AppendUint(key, i, 10)))
	}
}
