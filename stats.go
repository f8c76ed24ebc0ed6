package peercache

import "sync/atomic"

// Stats are the figures of a group in this process since it was made.
type Stats struct {
	Gets int64 // every Get, a key of GetMulti each, peers' requests among them
	Hits int64 // those answered from a cache

	Loads      int64 // runs of the getter here
	LoadErrors int64 // those that failed, ErrNotFound among them

	PeerLoads  int64 // values got from peers
	PeerErrors int64 // times a peer could not be reached

	ServerRequests int64 // keys that peers asked this process for

	Main CacheStats // values of keys this process owns
	Hot  CacheStats // copies of values that other peers own
}

// CacheStats are the figures of one cache.
type CacheStats struct {
	Items     int64 // entries now
	Bytes     int64 // what they cost now: values, keys and bookkeeping
	Evictions int64 // entries that left for want of room
	Rejected  int64 // values not kept, because one alone is larger than the cache
}

// counters are what Stats is read from.
type counters struct {
	gets, hits, loads, loadErrors, peerLoads, peerErrors, serverRequests atomic.Int64
}

// Stats returns the group's figures. They are read one after the other while
// the group goes on, so that sums may be off by what happens meanwhile.
func (g *Group) Stats() Stats {
	s := Stats{
		Gets:           g.stats.gets.Load(),
		Hits:           g.stats.hits.Load(),
		Loads:          g.stats.loads.Load(),
		LoadErrors:     g.stats.loadErrors.Load(),
		PeerLoads:      g.stats.peerLoads.Load(),
		PeerErrors:     g.stats.peerErrors.Load(),
		ServerRequests: g.stats.serverRequests.Load(),
		Main:           g.main.Stats(),
	}
	if g.hot != nil {
		s.Hot = g.hot.Stats()
	}
	return s
}
