package zset

import (
	"fmt"
	"testing"

	"github.com/peercache/peercache/data/internal/heaptest"
)

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
			before := heaptest.Used()
			for i := range sets {
				sets[i] = New()
				for j := range tc.members {
					sets[i].Set(fmt.Sprintf("member:%09d", j), tc.order(j))
				}
			}
			t.Logf("%d bytes a member", sets[0].Bytes()/int64(tc.members))
			heaptest.Check(t, before, 5, sets, (*Set).Bytes)
		})
	}
}
