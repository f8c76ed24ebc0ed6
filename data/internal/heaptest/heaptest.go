// Package heaptest compares what values say that they take with what the heap has.
package heaptest

import (
	"runtime"
	"testing"
)

// Used returns how many bytes of the heap are in use.
func Used() int64 {
	runtime.GC()
	runtime.GC() // which ends what the first one has begun
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Check fails the test if the heap has not grown by what values take, give or take that many percent. before is what was
// used when there were none, and bytes returns what one of them says that it takes.
func Check[T any](t testing.TB, before, percent int64, values []T, bytes func(T) int64) {
	t.Helper()
	real, counted := Used()-before, int64(0)
	for _, v := range values {
		counted += bytes(v)
	}
	t.Logf("%d bytes of the heap, %d are counted", real, counted)
	if off := max(real-counted, counted-real); off > counted*percent/100 {
		t.Errorf("%d bytes too many or too few are counted, of %d", off, real)
	}
	runtime.KeepAlive(values)
}
