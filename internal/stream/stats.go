package stream

import (
	"math/bits"
	"time"
)

// Stats are the figures of one stream, from its beginning.
type Stats struct {
	Requests int64 // of all kinds
	Keys     int64 // asked for, in gets and batches
	Batches  int64
	Changes  int64
	Canceled int64
	Loads    int64 // keys that were not cached, on the answering side
	BytesIn  int64
	BytesOut int64
	InFlight int // requests, now
	// Latency is from a request to each of its answers, on the asking side.
	Latency Histogram
}

// Add adds the figures of another stream.
func (s *Stats) Add(o *Stats) {
	s.Requests += o.Requests
	s.Keys += o.Keys
	s.Batches += o.Batches
	s.Changes += o.Changes
	s.Canceled += o.Canceled
	s.Loads += o.Loads
	s.BytesIn += o.BytesIn
	s.BytesOut += o.BytesOut
	s.InFlight += o.InFlight
	s.Latency.Add(&o.Latency)
}

// asked counts a request.
func (s *Stats) asked(kind body, keys int) {
	s.Requests++
	switch kind {
	case bodyChange:
		s.Changes++
	case bodyBatch:
		s.Batches++
		s.Keys += int64(keys)
	default:
		s.Keys++
	}
}

// Stats returns the link's figures.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.InFlight = l.pending.open
	s.BytesIn, s.BytesOut = l.r.src.count.Load(), l.w.count.Load()
	return s
}

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
