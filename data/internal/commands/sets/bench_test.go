package sets_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/enginetest"
)

// BenchmarkCommands has each command that takes time O(1) run by as many goroutines as there are processors: on sets
// of integers, of 128 names, which are the most that are flat, and of 10,000.
func BenchmarkCommands(b *testing.B) {
	for _, test := range []struct {
		prefix  string
		members int
	}{{"", 512}, {"member:", 128}, {"member:", 10_000}} {
		for _, form := range []string{"sismember KEY ELEMENT", "sadd KEY ELEMENT", "smismember KEY ELEMENT", "smove KEY KEY ELEMENT", "scard KEY", "srandmember KEY",
			"spop KEY", "srem KEY ELEMENT"} {
			name, _, _ := strings.Cut(form, " ")
			b.Run(fmt.Sprint(name, "/", test.prefix, test.members), func(b *testing.B) {
				enginetest.Benchmark(b, form, "sadd KEY ELEMENT", test.members, func(i int) string { return fmt.Sprint(test.prefix, 10_000+i) })
			})
		}
	}
}
