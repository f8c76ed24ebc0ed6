package durations

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/peer"
)

// A Recorder counts what a Histogram does, whoever counts at the same time.
func TestRecorderCountsAsAHistogram(t *testing.T) {
	all := []time.Duration{-1, 0, 1, 2, 3, time.Microsecond, time.Second, 1 << 46, 1 << 47, math.MaxInt64 / 16}
	var want peer.Histogram
	var r Recorder
	if r.Histogram() != want {
		t.Error("a Recorder that has counted nothing has figures")
	}
	var over sync.WaitGroup
	for range 4 {
		for _, d := range all {
			want.Observe(d)
		}
		over.Go(func() {
			for _, d := range all {
				r.Observe(d)
			}
		})
	}
	over.Wait()
	if got := r.Histogram(); got != want || got.Count() != int64(4*len(all)) {
		t.Errorf("%v, want %v", got, want)
	}
}
