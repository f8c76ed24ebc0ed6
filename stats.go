package peercache

import (
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/peer"
)

// Histogram counts durations.
type Histogram = peer.Histogram

// Stats are the figures of a group in this process since it was made.
type Stats struct {
	Gets int64 // every Get, a key of GetMulti each, peers' requests among them
	Hits int64 // those answered from a cache

	Loads      int64 // runs of the getter here
	LoadErrors int64 // those that failed, but for those of NotFound
	NotFound   int64 // those whose answer was ErrNotFound

	Refreshes int64 // those of Loads that ran in the background, before a value expired or after
	StaleHits int64 // expired values that were served, see WithStaleWhileRevalidate and WithStaleIfError
	Handovers int64 // values got from their previous owners after a change of the view, in place of a load
	Restored  int64 // values got from the process before this one, see WithSnapshot

	PeerLoads  int64 // values got from peers
	Renewals   int64 // copies whose leases were renewed in the background
	PeerErrors int64 // times a peer could not be reached, or gave no answer in time

	ServerRequests int64 // keys that peers asked this process for
	ServerHits     int64 // those of Hits that were peers' requests; the others were callers' here

	// Panics counts the panics of callbacks other than the getter: the function of
	// WithOnEvict, a ContextCodec, a Codec, the handler of a logger. All but the last are logged.
	Panics int64

	Main CacheStats // values that were loaded here: of keys this process owns, as a rule
	Hot  CacheStats // copies of values that other peers own
}

// CacheStats are the figures of one cache. A cache of the user's own may leave
// some of them at zero; Hits and Misses are the group's.
type CacheStats struct {
	Items int64 // entries now
	Bytes int64 // what they cost now: values, keys and bookkeeping

	Hits   int64 // Gets and peers' requests that this cache answered
	Misses int64 // those for which it was looked into in vain

	// Entries that left, by reason; see Reason.
	Evictions, Expired, Removed, Replaced int64

	Rejected int64 // values that were too large to be kept

	// What tells whether the cache is large enough. EvictedEarly are the entries
	// that were evicted before they expired, which says that it is too small for
	// the TTL. YoungestEvicted is the age of the youngest of those evicted
	// lately: what is asked for again within that time is found, as a rule.
	EvictedEarly    int64
	YoungestEvicted time.Duration
}

// The counts of the parts of a group, from which Stats is read with their hits.
type (
	cacheCounts struct {
		misses       atomic.Int64 // Gets that no cache here answered
		servedMisses atomic.Int64 // peers' requests that the main cache did not answer
		staleHits    atomic.Int64
		handovers    atomic.Int64
		restored     atomic.Int64
	}
	loadCounts  struct{ loads, loadErrors, notFound, refreshes atomic.Int64 }
	fetchCounts struct{ renewals, peerLoads, peerErrors atomic.Int64 }
)

// Stats returns the group's figures. They are read one after the other while
// the group goes on, so that sums may be off by what happens meanwhile.
func (g *Group) Stats() Stats {
	mainHits, hotHits, served := g.hits.Sum()
	misses, servedMisses := g.caches.counts.misses.Load(), g.caches.counts.servedMisses.Load()
	s := Stats{
		Gets:           mainHits + hotHits + misses + servedMisses,
		Hits:           mainHits + hotHits,
		Loads:          g.loader.counts.loads.Load(),
		LoadErrors:     g.loader.counts.loadErrors.Load(),
		NotFound:       g.loader.counts.notFound.Load(),
		Refreshes:      g.loader.counts.refreshes.Load(),
		StaleHits:      g.caches.counts.staleHits.Load(),
		Handovers:      g.caches.counts.handovers.Load(),
		Restored:       g.caches.counts.restored.Load(),
		Renewals:       g.fetcher.counts.renewals.Load(),
		PeerLoads:      g.fetcher.counts.peerLoads.Load(),
		PeerErrors:     g.fetcher.counts.peerErrors.Load(),
		ServerRequests: served,
		ServerHits:     max(0, served-servedMisses),
		Panics:         g.panics.Load(),
		Main:           g.main.Stats(),
	}
	s.Main.Hits, s.Main.Misses = mainHits, hotHits+misses+servedMisses
	if g.hot != nil {
		s.Hot = g.hot.Stats()
		s.Hot.Hits, s.Hot.Misses = hotHits, misses
	}
	return s
}

// PeerStats are the figures of what this process asked one peer, since the peer came into
// the view, and was not out of it for less than 30 seconds before: on streams and by the
// plain way together.
type PeerStats struct {
	Peer string // its base URL
	// Transport is how the peer is asked now: "stream" or "plain". Large values take the
	// plain way in any case.
	Transport string
	// Problem is what is wrong with the configuration of the peer, as far as it is known;
	// empty, if nothing is. See ConfigError.
	Problem    string
	Requests   int64 // of all kinds
	Plain      int64 // those of them by the plain way: an HTTP request each
	Keys       int64 // that were asked for
	Batches    int64 // requests for many keys
	BytesIn    int64
	BytesOut   int64
	InFlight   int   // requests now
	Reconnects int64 // connections after the first
	// Disagreements counts how often the peer said that it has another view.
	Disagreements int64
	Breaker       BreakerState // whether the peer is asked, by either way
	BreakerOpened int64        // times it failed, so that its keys went to the next peer
	Latency       Histogram    // from a request to its answer, a load included
}

// Stats returns the figures of all peers in the view, in the order of Set.
func (p *Pool) Stats() []PeerStats {
	others := p.cluster.Members()
	all := make([]PeerStats, 0, len(others))
	for _, m := range others {
		s := PeerStats{Peer: m.Name(), Problem: p.cluster.ProblemOf(m.Name()), Disagreements: m.Disagreements()}
		if conn, ok := m.Conn().(interface{ Stats() peer.Stats }); ok {
			s.add(conn.Stats())
		}
		all = append(all, s)
	}
	return all
}

// add adds the figures of a connection.
func (s *PeerStats) add(c peer.Stats) {
	s.Transport, s.Requests, s.Plain, s.Keys, s.Batches = c.Transport, c.Requests, c.Plain, c.Keys, c.Batches
	s.BytesIn, s.BytesOut, s.InFlight, s.Reconnects, s.Latency = c.BytesIn, c.BytesOut, c.InFlight, max(0, c.Opened-1), c.Latency
	s.BreakerOpened = c.Failures
	switch {
	case c.Trying:
		s.Breaker = BreakerHalfOpen
	case c.Failing:
		s.Breaker = BreakerOpen
	}
}

// A BreakerState is what a process makes of a peer: see PeerStats.
type BreakerState = breaker.State

// The states of a breaker.
const (
	// BreakerClosed: the peer is asked.
	BreakerClosed = breaker.Closed
	// BreakerOpen: the peer has failed. Its keys go to the next peer at once.
	BreakerOpen = breaker.Open
	// BreakerHalfOpen: as BreakerOpen, while an attempt to reach the peer is in progress
	// in the background.
	BreakerHalfOpen = breaker.HalfOpen
)
