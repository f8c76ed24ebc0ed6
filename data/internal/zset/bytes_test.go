package zset

import (
	"fmt"
	"runtime"
	"testing"
)

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBytesAreTrue compares Bytes with the heap.
func TestBytesAreTrue(t *testing.T) {
	for _, tc := range []struct {
		name          string
		sets, members int
		order         func(i int) float64
	}{
		{"small", 2000, 20, func(i int) float64 { return float64(i * 7919 % 20) }},
		{"middle", 40, 1000, func(i int) float64 { return float64(i * 7919 % 1000) }},
		{"large", 1, 100_000, func(i int) float64 { return float64(i * 7919 % 100_003) }},
		{"ascending", 1, 100_000, func(i int) float64 { return float64(i) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sets := make([]*Set, tc.sets)
			before := heap()
			for i := range sets {
				sets[i] = New()
				for j := range tc.members {
					sets[i].Set(fmt.Sprintf("member:%09d", j), tc.order(j))
				}
			}
			real, counted := heap()-before, int64(0)
			for _, z := range sets {
				counted += z.Bytes()
			}
			t.Logf("%d bytes a member, %d counted", real/int64(tc.sets*tc.members), counted/int64(tc.sets*tc.members))
			if off := float64(counted) / float64(real); off < 0.95 || off > 1.05 {
				t.Errorf("counted are %d bytes, and the heap has grown by %d", counted, real)
			}
			runtime.KeepAlive(sets)
		})
	}
}
