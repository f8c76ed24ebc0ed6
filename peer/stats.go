package peer

import (
	"math/bits"
	"time"
)

// Histogram counts durations: its element i those of at least 2^(i-1) and less
// than 2^i nanoseconds.
type Histogram [48]int64

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) { h[bits.Len64(uint64(max(d, 0)))%len(h)]++ }

// Add adds the counts of o.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o {
		h[i] += n
	}
}

// Quantile returns a duration that a share q of those counted, 0 to 1, does not
// exceed. It is exact within a factor of two, and zero if nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	var all int64
	for _, n := range h {
		all += n
	}
	rank := max(1, int64(q*float64(all)+0.5))
	for i, n := range h {
		if rank -= n; rank <= 0 && all > 0 {
			return time.Duration(1)<<i - 1
		}
	}
	return 0
}

// Stats are the figures of what one peer was asked by a Conn that has a method Stats.
type Stats struct {
	// Transport is how the peer is asked now: "stream", "plain", or another name.
	Transport string
	Requests  int64 // of all kinds
	Plain     int64 // those of them that took a request of their own
	Keys      int64 // that were asked for
	Batches   int64 // requests for many keys
	Changes   int64 // requests that are changes
	BytesIn   int64
	BytesOut  int64
	InFlight  int   // requests now
	Opened    int64 // connections
	Latency   Histogram
	// Failing says that the peer is not asked because it failed, and Trying that an attempt
	// to reach it is in progress. Failures is how often it failed.
	Failing, Trying bool
	Failures        int64
}
