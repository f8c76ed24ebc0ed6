package peercache

import (
	"context"
	"fmt"
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
	t.Log(n)
	if n > 10 {
		t.Errorf("a load takes %v allocations, want at most 10", n)
	}
}

func BenchmarkLoad(b *testing.B) {
	value := make([]byte, 1<<10)
	g, err := NewGroup("g", 64<<20, GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil }))
	if err != nil {
		b.Fatal(err)
	}
	keys := make([]string, 1<<20)
	for i := range keys {
		keys[i] = fmt.Sprintf("key%06d", i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		g.Get(context.Background(), keys[i&(1<<20-1)])
		i++
	}
}
