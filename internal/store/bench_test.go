package store

import (
	"fmt"
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
