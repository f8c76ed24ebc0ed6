package enginetest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
)

// Benchmark runs commands of one form by as many goroutines as there are processors, on keys that have n elements each.
// Commands of the form add have made them. In both, KEY stands for a key, and ELEMENT for what element returns.
func Benchmark(b *testing.B, form, add string, n int, element func(i int) string) {
	const keys, lines = 64, 1 << 16
	e := New(b, engine.Config{})
	command := func(form string, key, i int) []string {
		args := strings.Fields(form)
		for j, arg := range args {
			switch arg {
			case "KEY":
				args[j] = fmt.Sprint("key:", key)
			case "ELEMENT":
				args[j] = element(i)
			}
		}
		return args
	}
	for i := range keys * n {
		Run(b, e, command(add, i%keys, i/keys)...)
	}
	calls := make([][]string, lines)
	for i := range lines {
		calls[i] = command(form, i%keys, i/keys*7919%n)
	}
	cmd := e.Commands().Find(calls[0][0])
	var start atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(start.Add(lines / 3)); pb.Next(); i++ {
			_ = e.Run(context.Background(), cmd, calls[i%lines], Nowhere{})
		}
	})
}
