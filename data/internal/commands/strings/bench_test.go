package strings_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

func BenchmarkCommands(b *testing.B) {
	const keys = 1 << 14
	for _, args := range [][]string{{"get", ""}, {"set", "", "0123456789abcdef"}, {"set", "", "0123456789abcdef", "ex", "1000"}, {"incr", ""}, {"append", "", "x"}, {"ttl", ""}, {"exists", ""}, {"dbsize"}, {"randomkey"}} {
		name := args[0]
		if len(args) > 3 {
			name += "-ex"
		}
		b.Run(name, func(b *testing.B) {
			e := enginetest.New(b, engine.Config{})
			ctx := context.Background()
			lists := make([][]string, keys)
			for i := range lists {
				key := fmt.Sprintf("key:%012d", i)
				enginetest.Run(b, e, "set", key, "1")
				lists[i] = append([]string(nil), args...)
				if len(args) > 1 {
					lists[i][1] = key
				}
			}
			cmd := e.Commands().Find(args[0])
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					e.Run(ctx, cmd, lists[i*7&(keys-1)], enginetest.Nowhere{})
				}
			})
		})
	}
}
