package store

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

func BenchmarkAdd(b *testing.B) {
	for _, c := range []struct {
		name string
		max  int64
		ttl  int64
	}{{"small", 1 << 20, 0}, {"large", 300 << 20, 0}, {"large, expires", 300 << 20, int64(time.Hour)}} {
		b.Run(c.name, func(b *testing.B) {
			s := newStore(b, Config{MaxBytes: c.max})
			value := make([]byte, 100)
			keys := make([]string, 1<<20)
			for i := range keys {
				keys[i] = fmt.Sprintf("key-%012d", i*7919)
			}
			i := 0
			add := func() {
				var expires int64
				if c.ttl != 0 {
					expires = s.Now() + c.ttl
				}
				s.Add(keys[i%len(keys)]+string(byte('a'+i/len(keys)%26)), value, expires, 0)
				i++
			}
			for range int(c.max / 150) {
				add()
			}
			b.ReportAllocs()
			for b.Loop() {
				add()
			}
		})
	}
}

// BenchmarkAddParallel adds new keys to a store that is full, by several goroutines.
func BenchmarkAddParallel(b *testing.B) {
	keys := make([]string, 1<<20)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%012d", i*7919)
	}
	for _, size := range []int{100, 1 << 10} {
		for _, workers := range []int{1, 2, 8} {
			b.Run(fmt.Sprintf("%d bytes, %d goroutines", size, workers), func(b *testing.B) {
				const entries = 100_000
				s := newStore(b, Config{MaxBytes: entries * int64(size+80)})
				value := make([]byte, size)
				for i := range 2 * entries {
					s.Add(keys[i], value, 0, 0)
				}
				runtime.GC()
				b.ReportAllocs()
				b.ResetTimer()
				var all sync.WaitGroup
				for w := range workers {
					all.Go(func() {
						for i := w * b.N / workers; i < (w+1)*b.N/workers; i++ {
							s.Add(keys[(2*entries+i)&(len(keys)-1)], value, 0, 0)
						}
					})
				}
				all.Wait()
			})
		}
	}
}
