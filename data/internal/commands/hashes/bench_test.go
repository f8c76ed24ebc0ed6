package hashes_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

// BenchmarkCommands has each command that takes time O(1) run by as many goroutines as there are processors: on hashes
// of 20 fields, of 128, which are the most that are flat, and of 10,000.
func BenchmarkCommands(b *testing.B) {
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		b.Fatal(err)
	}
	const keys, lines = 64, 1 << 16
	for _, fields := range []int{20, 128, 10_000} {
		for _, form := range []string{"hget KEY FIELD", "hset KEY FIELD value:123", "hsetnx KEY FIELD value", "hexists KEY FIELD", "hstrlen KEY FIELD",
			"hincrby KEY FIELD 1", "hincrbyfloat KEY FIELD 0.5", "hlen KEY", "hrandfield KEY", "hdel KEY FIELD"} {
			name, _, _ := strings.Cut(form, " ")
			b.Run(fmt.Sprint(name, "/", fields), func(b *testing.B) {
				e, err := engine.New(engine.Config{Commands: table, Kinds: builtin.Kinds()})
				if err != nil {
					b.Fatal(err)
				}
				calls := make([][]string, lines)
				for i := range lines {
					key, field := fmt.Sprint("hash:", i%keys), fmt.Sprintf("field:%05d", i/keys*7919%fields)
					calls[i] = strings.Fields(strings.NewReplacer("KEY", key, "FIELD", field).Replace(form))
				}
				for i := range keys * fields {
					set := []string{"hset", fmt.Sprint("hash:", i%keys), fmt.Sprintf("field:%05d", i/keys), "123"}
					_ = e.Run(context.Background(), table["hset"], set, enginetest.Nowhere{})
				}
				cmd := table[name]
				var start atomic.Int64
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for i := int(start.Add(lines / 3)); pb.Next(); i++ {
						_ = e.Run(context.Background(), cmd, calls[i%lines], enginetest.Nowhere{})
					}
				})
			})
		}
	}
}
