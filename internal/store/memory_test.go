package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

func heap() runtime.MemStats {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m
}

// MaxBytes is what the heap grows by, after churn, within ten percent.
func TestP5Bounded(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's heap is another")
	}
	max := int64(48 << 20)
	if testing.Short() {
		max = 24 << 20
	}
	small := func(r *rand.Rand) int { return 100 }
	for _, c := range []struct {
		name   string
		size   func(r *rand.Rand) int
		first  int  // values to fill it with before
		random bool // keys come again and are removed
	}{
		{name: "100 B", size: small},
		{name: "1 KiB", size: func(r *rand.Rand) int { return 1 << 10 }},
		{name: "mixed", size: func(r *rand.Rand) int { return 1 + r.IntN(1<<(3+r.IntN(16))) }},
		{name: "1 MiB", size: func(r *rand.Rand) int { return 1 << 20 }},
		{name: "large, then small", size: small, first: 1 << 14},
		{name: "small, then large", size: func(r *rand.Rand) int { return 1 << 14 }, first: 100},
		{name: "replaced and removed", size: func(r *rand.Rand) int { return 1 + r.IntN(300) }, random: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			s := newStore(t, Config{MaxBytes: max})
			r := random(t)
			buf := make([]byte, 1<<20)
			for i := range 2 * max / int64(c.first+1) * int64(min(c.first, 1)) {
				s.Add(fmt.Sprint("first", i), buf[:c.first], 0, 0)
			}
			// Twice its size to fill it, and four times to churn it.
			for i, n := 0, int64(0); n < 6*max; i++ {
				key := fmt.Sprintf("key-%012d", i)
				if c.random {
					key = fmt.Sprintf("key-%012d", r.IntN(int(max/50)))
				}
				v := buf[:c.size(r)]
				s.Add(key, v, int64(i%4/3)<<60, uint64(i%2))
				if c.random && i%16 == 0 {
					s.Remove(fmt.Sprintf("key-%012d", r.IntN(int(max/50))))
				}
				n += int64(len(v)) + 60
			}
			after := heap()
			st := s.Stats()
			if st.Bytes > max || st.Bytes < max*8/10 {
				t.Errorf("store says %d bytes of %d", st.Bytes, max)
			}
			alloc := float64(after.HeapAlloc-before.HeapAlloc) / float64(max)
			inUse := float64(int64(after.HeapInuse)-int64(before.HeapInuse)) / float64(max)
			t.Logf("%d items, said %.3f, heap allocated %.3f, in use %.3f of MaxBytes", st.Items, float64(st.Bytes)/float64(max), alloc, inUse)
			if alloc > 1.1 || alloc < float64(st.Bytes)/float64(max)*0.9 {
				t.Errorf("heap grew by %.3f of MaxBytes", alloc)
			}
			// Free slots in spans that are partly in use are the allocator's: it has many
			// of them if entries leave in another order than they came, and that of two
			// shards is not one order.
			if !c.random && inUse > 1.8 {
				t.Errorf("heap in use grew by %.3f of MaxBytes", inUse)
			}
			check(t, s)
			runtime.KeepAlive(s)
		})
	}
}
