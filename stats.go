package peercache

import "github.com/peercache/peercache/peer"

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
