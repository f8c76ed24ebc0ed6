package hashes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/enginetest"
)

// BenchmarkCommands has each command that takes time O(1) run by as many goroutines as there are processors: on hashes
// of 20 fields, of 128, which are the most that are flat, and of 10,000.
func BenchmarkCommands(b *testing.B) {
	for _, fields := range []int{20, 128, 10_000} {
		for _, form := range []string{"hget KEY ELEMENT", "hset KEY ELEMENT value:123", "hsetnx KEY ELEMENT value", "hexists KEY ELEMENT", "hstrlen KEY ELEMENT",
			"hincrby KEY ELEMENT 1", "hincrbyfloat KEY ELEMENT 0.5", "hlen KEY", "hrandfield KEY", "hdel KEY ELEMENT"} {
			name, _, _ := strings.Cut(form, " ")
			b.Run(fmt.Sprint(name, "/", fields), func(b *testing.B) {
				enginetest.Benchmark(b, form, "hset KEY ELEMENT 123", fields, func(i int) string { return fmt.Sprintf("field:%05d", i) })
			})
		}
	}
}
