package hashes_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/hash"
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
			check := func(when string, before int64) {
				t.Helper()
				counted := int64(0)
				for _, h := range all {
					counted += h.Bytes()
				}
				if real := heap() - before; real > counted*11/10 || real < counted*9/10 {
					t.Errorf("%s: %d bytes of the heap, %d are counted", when, real, counted)
				}
			}
			before := heap()
			for i := range all {
				all[i] = hash.New()
				for j := range test.fields {
					all[i].Set(fmt.Sprintf("field:%04d", j), fmt.Sprint(test.value, i, j))
				}
			}
			check("new", before)
			for _, h := range all {
				for j := range test.fields / 2 {
					h.Set(fmt.Sprintf("field:%04d", 2*j), strings.Repeat("other", j%7))
				}
			}
			check("other values", before)
			for _, h := range all {
				for j := range test.fields / 2 {
					h.Delete(fmt.Sprintf("field:%04d", j))
				}
			}
			check("fewer fields", before)
			runtime.KeepAlive(all)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
