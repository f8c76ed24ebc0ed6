package stream

import "github.com/peercache/peercache/peer"

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
	Latency peer.Histogram
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
