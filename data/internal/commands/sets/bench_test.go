package sets_test

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

// BenchmarkCommands has each command that takes time O(1) run by as many goroutines as there are processors: on sets
// of integers, of 128 names, which are the most that are flat, and of 10,000.
func BenchmarkCommands(b *testing.B) {
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		b.Fatal(err)
	}
	const keys, lines = 64, 1 << 16
	for _, test := range []struct {
		prefix  string
		members int
	}{{"", 512}, {"member:", 128}, {"member:", 10_000}} {
		for _, form := range []string{"sismember KEY MEMBER", "sadd KEY MEMBER", "smismember KEY MEMBER", "smove KEY KEY MEMBER", "scard KEY", "srandmember KEY",
			"spop KEY", "srem KEY MEMBER"} {
			name, _, _ := strings.Cut(form, " ")
			b.Run(fmt.Sprint(name, "/", test.prefix, test.members), func(b *testing.B) {
				e, err := engine.New(engine.Config{Commands: table, Kinds: builtin.Kinds()})
				if err != nil {
					b.Fatal(err)
				}
				calls := make([][]string, lines)
				for i := range lines {
					key, member := fmt.Sprint("set:", i%keys), fmt.Sprint(test.prefix, 10_000+i/keys*7919%test.members)
					calls[i] = strings.Fields(strings.NewReplacer("KEY", key, "MEMBER", member).Replace(form))
				}
				for i := range keys * test.members {
					add := []string{"sadd", fmt.Sprint("set:", i%keys), fmt.Sprint(test.prefix, 10_000+i/keys)}
					_ = e.Run(context.Background(), table["sadd"], add, enginetest.Nowhere{})
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
