package lru

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// liveHeap returns the bytes of all reachable objects.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // what the first one's finalizers and pools let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func newBytesCache(t testing.TB, maxBytes int64) *Cache[[]byte] {
	t.Helper()
	c, err := New(maxBytes, func(_ string, v []byte) int64 { return int64(len(v)) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkP5 fails unless the heap has grown by what the cache says it holds.
func checkP5(t *testing.T, c *Cache[[]byte], before int64) {
	t.Helper()
	grown := liveHeap() - before
	s := c.Stats()
	off := 100 * (float64(s.Bytes)/float64(grown) - 1)
	t.Logf("%d items: Bytes says %.1f per item, the heap grew by %.1f: %+.2f %%", s.Items,
		float64(s.Bytes)/float64(s.Items), float64(grown)/float64(s.Items), off)
	if off < -10 || off > 10 {
		t.Errorf("Bytes = %d, but the heap grew by %d", s.Bytes, grown)
	}
	if s.Bytes > c.maxBytes {
		t.Errorf("Bytes = %d, more than the bound %d", s.Bytes, c.maxBytes)
	}
	runtime.KeepAlive(c)
}

func TestP5BytesIsWhatTheHeapGrowsBy(t *testing.T) {
	tests := []struct{ items, keyLen, valueLen int }{
		{50_000, 8, 0},
		{50_000, 6, 12},
		{50_000, 16, 1},
		{200_000, 16, 16},
		{200_000, 20, 100},
		{50_000, 70, 100},
		{20_000, 33, 513},
		{170_000, 16, 64}, // between two powers of two
		{20_000, 16, 5_000},
		{1_000, 16, 100_000},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%dx(%d+%d)", tt.items, tt.keyLen, tt.valueLen), func(t *testing.T) {
			before := liveHeap()
			c := newBytesCache(t, 1<<40)
			for i := range tt.items {
				c.Add(fmt.Sprintf("%0*d", tt.keyLen, i), make([]byte, tt.valueLen))
			}
			checkP5(t, c, before)
		})
	}
}

// What a cache costs must not depend on what it has been through.
func TestP5BytesHoldsAfterChurn(t *testing.T) {
	const bound = 8 << 20
	before := liveHeap()
	c := newBytesCache(t, bound)
	n := 0
	add := func(items, valueLen int) {
		for range items {
			c.Add(fmt.Sprintf("%016d", n), make([]byte, valueLen))
			n++
		}
	}
	add(200_000, 20)
	checkP5(t, c, before)
	add(200_000, 20)
	checkP5(t, c, before)
	add(5_000, 4000) // a big table is of no use to few entries
	checkP5(t, c, before)
	for range 100_000 {
		c.Add(fmt.Sprintf("%016d", n), make([]byte, rand.IntN(300)))
		n++
	}
	checkP5(t, c, before)
	if free := bound - c.Stats().Bytes; free > 1000 {
		t.Errorf("%d bytes of the bound are not used", free)
	}
	c.Clear()
	if grown := liveHeap() - before; grown > bound/100 {
		t.Errorf("after Clear, %d bytes are still held", grown)
	}
	runtime.KeepAlive(c)
}

func TestP5AllocSizeIsTheRuntimes(t *testing.T) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	for _, class := range m.BySize { // not all of them, the largest are missing
		if class.Size != 0 && !slices.Contains(sizeClasses(), uint64(class.Size)) {
			t.Errorf("size class %d is not known", class.Size)
		}
	}
	for _, tt := range []struct{ n, want uint64 }{
		{0, 0}, {1, 16}, {8, 16}, {16, 16}, {17, 24}, {100, 112}, {1024, 1024},
		{32 << 10, 32 << 10}, {32<<10 + 1, 40 << 10}, {100_000, 13 * 8192},
	} {
		if got := allocSize(tt.n); got != tt.want {
			t.Errorf("allocSize(%d) = %d, want %d", tt.n, got, tt.want)
		}
	}
}
