package sets_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/heaptest"
	"github.com/peercache/peercache/data/internal/set"
)

// TestD1MemoryIsTrue compares what sets say that they take with the heap, in each of their forms, when they are new and after changes. Members
// of tables have more than 8 bytes: of shorter ones the allocator has several share 16 bytes, which are free when all of them are.
func TestD1MemoryIsTrue(t *testing.T) {
	for _, test := range []struct {
		name          string
		sets, members int
		prefix        string
	}{
		{"integers", 20_000, 20, ""},
		{"wide integers", 1000, 500, "12345678"},
		{"flat", 5000, 100, "member:"},
		{"tables of integers", 100, 1000, "1234567890"},
		{"tables", 200, 400, "member:"},
		{"tables of long members", 200, 200, strings.Repeat("member", 30)},
		{"a table", 1, 200_000, "member:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := make([]*set.Set, test.sets)
			before := heaptest.Used()
			for i := range all {
				all[i] = set.New()
				for j := range test.members {
					all[i].Add(fmt.Sprint(test.prefix, 1000+j))
				}
			}
			heaptest.Check(t, before, 10, all, (*set.Set).Bytes)
			for _, s := range all {
				for j := range test.members / 2 {
					s.Remove(fmt.Sprint(test.prefix, 1000+j))
				}
			}
			heaptest.Check(t, before, 10, all, (*set.Set).Bytes)
		})
	}
}
