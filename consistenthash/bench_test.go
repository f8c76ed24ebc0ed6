package consistenthash

import (
	"fmt"
	"testing"
)

// ringsOf are a ring of each kind of n members.
func ringsOf(b *testing.B, n int) map[string]*Ring {
	return map[string]*Ring{
		"ring":       mustNew(b, peers(n)...),
		"groupcache": mustNewGroupcache(b, 50, namesOf(peers(n))...),
	}
}

// BenchmarkOwner looks up 65,536 keys in turn, so that neither caches nor branch prediction
// know them by heart.
func BenchmarkOwner(b *testing.B) {
	keys := keys(1 << 16)
	for _, n := range []int{3, 10, 100, 1000} {
		for name, r := range ringsOf(b, n) {
			b.Run(fmt.Sprintf("%s/members=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				sum := 0
				for i := 0; b.Loop(); i++ {
					sum += r.OwnerIndex(keys[i%len(keys)])
				}
				_ = sum
			})
		}
	}
}

func BenchmarkAppendSuccessors(b *testing.B) {
	keys := keys(1 << 16)
	for name, r := range ringsOf(b, 100) {
		b.Run(name+"/members=100/n=3", func(b *testing.B) {
			b.ReportAllocs()
			var dst []int
			for i := 0; b.Loop(); i++ {
				dst = r.AppendSuccessors(dst[:0], keys[i%len(keys)], 3)
			}
		})
	}
}

// BenchmarkNew makes rings as the first in a process.
func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		members := peers(n)
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var r *Ring
			for b.Loop() {
				clear(recent.rings[:])
				r = mustNew(b, members...)
			}
			b.ReportMetric(float64(4*cap(r.slots)+2*cap(r.owners)), "ring-bytes")
		})
	}
}

// BenchmarkOneJoins makes the ring after one member more has come.
func BenchmarkOneJoins(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		members := peers(n + 1)
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			before := mustNew(b, members[:n]...)
			for b.Loop() {
				clear(recent.rings[:])
				recent.add(before)
				mustNew(b, members...)
			}
		})
	}
}
