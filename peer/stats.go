package peer

import (
	"math/bits"
	"time"
)

// Histogram counts durations. The zero value has counted none.
type Histogram struct {
	// Counts[i] are the durations of at least 2^(i-1) and less than 2^i nanoseconds, and the last
	// one those that are longer as well.
	Counts [48]int64
	Sum    time.Duration // of all
}

// Bucket returns the place of a duration in Counts. A negative one counts as zero.
func Bucket(d time.Duration) int {
	return min(bits.Len64(uint64(max(d, 0))), len(Histogram{}.Counts)-1)
}

// Observe counts one duration.
func (h *Histogram) Observe(d time.Duration) {
	h.Counts[Bucket(d)]++
	h.Sum += max(d, 0)
}

// Add adds what o has counted.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (all int64) {
	for _, n := range h.Counts {
		all += n
	}
	return all
}

// Quantile returns a duration that the share q of the counted ones, 0 to 1, does not exceed. It is
// exact within a factor of two. It returns zero if nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	all := h.Count()
	rank := max(1, int64(q*float64(all)+0.5))
	for i, n := range h.Counts {
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
	PlainIn   int64     // those of BytesIn by the requests of Plain
	PlainOut  int64     // those of BytesOut by the requests of Plain
	InFlight  int       // requests in progress
	Opened    int64     // connections that were opened
	Latency   Histogram // of requests that were answered
	// Failing says that the peer is not asked because it has failed, and Trying that an attempt
	// to reach it is in progress. Failures is how often it has failed.
	Failing, Trying bool
	Failures        int64
}

// Add adds what o has counted, and its requests in progress. What else s has stays.
func (s *Stats) Add(o *Stats) {
	s.Requests += o.Requests
	s.Plain += o.Plain
	s.Keys += o.Keys
	s.Batches += o.Batches
	s.Changes += o.Changes
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	s.PlainIn += o.PlainIn
	s.PlainOut += o.PlainOut
	s.InFlight += o.InFlight
	s.Opened += o.Opened
	s.Latency.Add(&o.Latency)
	s.Failures += o.Failures
}
