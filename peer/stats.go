package peer

import (
	"math/bits"
	"time"
)

// Histogram counts durations. Its element i counts those of at least 2^(i-1) and less than 2^i
// nanoseconds. The zero value has counted none.
type Histogram [48]int64

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) { h[bits.Len64(uint64(max(d, 0)))%len(h)]++ }

// Add adds the counts of o.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o {
		h[i] += n
	}
}

// Quantile returns a duration that the share q of the counted ones, 0 to 1, does not exceed. It is
// exact within a factor of two. It returns zero if nothing was counted.
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

// Stats are the figures of a Conn. A Conn that has them has a method
//
//	Stats() Stats
type Stats struct {
	// Transport says how the peer is asked now: "stream", "plain", or another name.
	Transport string
	Requests  int64     // requests of all kinds
	Plain     int64     // those requests that had an HTTP request, or the like, of their own
	Keys      int64     // keys that were asked for
	Batches   int64     // requests for several keys
	Changes   int64     // requests that are Changes
	BytesIn   int64     // bytes of answers
	BytesOut  int64     // bytes of requests
	InFlight  int       // requests in progress
	Opened    int64     // connections that were opened
	Latency   Histogram // of requests that were answered
	// Failing says that the peer is not asked because it has failed, and Trying that an attempt
	// to reach it is in progress. Failures is how often it has failed.
	Failing, Trying bool
	Failures        int64
}
