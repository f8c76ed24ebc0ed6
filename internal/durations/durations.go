// Package durations counts durations that many goroutines measure at the same time.
package durations

import (
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/peer"
)

// A Recorder counts durations, without a lock. The zero value has counted none. It has no memory of
// its own before the first one: most groups are never changed by all three kinds of a change.
type Recorder struct{ counts atomic.Pointer[counts] }

type counts struct {
	of  [len(peer.Histogram{}.Counts)]atomic.Int64
	sum atomic.Int64
}

// Observe counts a duration. A negative one counts as zero.
func (r *Recorder) Observe(d time.Duration) {
	c := r.counts.Load()
	for c == nil {
		r.counts.CompareAndSwap(nil, new(counts))
		c = r.counts.Load()
	}
	c.of[peer.Bucket(d)].Add(1)
	c.sum.Add(int64(max(d, 0)))
}

// Histogram returns what was counted. No count is ever lower than in a Histogram that was returned
// before.
func (r *Recorder) Histogram() (h peer.Histogram) {
	c := r.counts.Load()
	if c == nil {
		return h
	}
	for i := range c.of {
		h.Counts[i] = c.of[i].Load()
	}
	h.Sum = time.Duration(c.sum.Load())
	return h
}
