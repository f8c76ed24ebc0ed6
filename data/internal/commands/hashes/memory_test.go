package hashes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/hash"
	"github.com/peercache/peercache/data/internal/heaptest"
)

// TestD1MemoryIsTrue compares what hashes say that they take with the heap, flat ones and tables, when they are new and
// after changes.
func TestD1MemoryIsTrue(t *testing.T) {
	for _, test := range []struct {
		name           string
		hashes, fields int
		value          string
	}{
		{"flat", 5000, 20, "value"},
		{"flat, of two", 20_000, 2, "v"},
		{"tables", 500, 400, "value"},
		{"tables of long values", 200, 200, strings.Repeat("value", 30)},
		{"a table", 1, 100_000, "another value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := make([]*hash.Hash, test.hashes)
			before := heaptest.Used()
			for i := range all {
				all[i] = hash.New()
				for j := range test.fields {
					all[i].Set(fmt.Sprintf("field:%04d", j), fmt.Sprint(test.value, i, j))
				}
			}
			heaptest.Check(t, before, 10, all, (*hash.Hash).Bytes)
			for _, h := range all {
				for j := range test.fields / 2 {
					h.Set(fmt.Sprintf("field:%04d", 2*j), strings.Repeat("other", j%7))
				}
			}
			heaptest.Check(t, before, 10, all, (*hash.Hash).Bytes)
			for _, h := range all {
				for j := range test.fields / 2 {
					h.Delete(fmt.Sprintf("field:%04d", j))
				}
			}
			heaptest.Check(t, before, 10, all, (*hash.Hash).Bytes)
		})
	}
}
