package peercache

import (
	"cmp"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
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

	// LoadTime counts how long the runs of the getter took, without the wait for a slot
	// (WithMaxLoads). A run of a BatchGetter is one, however many keys it loads.
	LoadTime Histogram

	// Shared are the Gets that waited for a load or a fetch which another one had started: what
	// the group has spared the origin and the peers, beside Hits.
	Shared int64

	Refreshes int64 // those of Loads that ran in the background, before a value expired or after
	StaleHits int64 // expired values that were served, see WithStaleWhileRevalidate and WithStaleIfError
	Handovers int64 // values got from their previous owners after a change of the view, in place of a load
	// HandoversGiven are values that their new owners got from this process.
	HandoversGiven int64
	Restored       int64 // values got from the process before this one, see WithSnapshot

	PeerLoads  int64 // values got from peers
	Renewals   int64 // copies whose leases were renewed in the background
	PeerErrors int64 // times a peer could not be reached, or gave no answer in time

	ServerRequests int64 // keys that peers asked this process for
	ServerHits     int64 // those of Hits that were peers' requests; the others were callers' here
	ServerMisses   int64 // those of ServerRequests that no cache here answered

	Removes, Sets, Clears ChangeStats // what was called here

	// Panics counts the panics of callbacks other than the getter: the function of
	// WithOnEvict, a ContextCodec, a Codec, a Tracer, the handler of a logger. All but the last are logged.
	Panics int64

	Main CacheStats // values that were loaded here: of keys this process owns, as a rule
	Hot  CacheStats // copies of values that other peers own
}

// ChangeStats are the figures of calls of Remove, Set or Clear, but for those that were refused
// because of their arguments.
type ChangeStats struct {
	Done       int64 // returned nil
	Incomplete int64 // returned an error: somebody may still serve an older value
	Time       Histogram
}

func (c *changeCount) stats() ChangeStats {
	return ChangeStats{Done: c.done.Load(), Incomplete: c.incomplete.Load(), Time: c.times.Histogram()}
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
		LoadTime:       g.loadTimes.Histogram(),
		Shared:         g.loads.Joined() + g.past.Joined() + g.fetches.Joined(),
		LoadErrors:     g.loader.counts.loadErrors.Load(),
		NotFound:       g.loader.counts.notFound.Load(),
		Refreshes:      g.loader.counts.refreshes.Load(),
		StaleHits:      g.caches.counts.staleHits.Load(),
		Handovers:      g.caches.counts.handovers.Load(),
		HandoversGiven: g.caches.counts.handedOver.Load(),
		Restored:       g.caches.counts.restored.Load(),
		Renewals:       g.fetcher.counts.renewals.Load(),
		PeerLoads:      g.fetcher.counts.peerLoads.Load(),
		PeerErrors:     g.fetcher.counts.peerErrors.Load(),
		ServerRequests: served,
		ServerHits:     max(0, served-servedMisses),
		ServerMisses:   servedMisses,
		Removes:        g.changes.removes.stats(),
		Sets:           g.changes.sets.stats(),
		Clears:         g.changes.clears.stats(),
		Panics:         g.panics.Load(),
		Main:           g.main.Stats(),
	}
	s.Main.Capacity, s.Main.Hits, s.Main.Misses = g.mainBytes, mainHits, hotHits+misses+servedMisses
	if g.hot != nil {
		s.Hot = g.hot.Stats()
		s.Hot.Capacity, s.Hot.Hits, s.Hot.Misses = g.hotBytes, hotHits, misses
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
	Keys       int64 // that were asked for
	Batches    int64 // requests for several keys
	BytesIn    int64 // of its answers
	BytesOut   int64 // of the requests
	Plain      int64 // those of Requests by the plain way: an HTTP request each
	PlainIn    int64 // those of BytesIn by the plain way
	PlainOut   int64 // those of BytesOut by the plain way
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
		s := PeerStats{Peer: m.Name(), Problem: p.cluster.ProblemOf(m.Name())}
		t := m.Traffic()
		s.add(&t)
		s.Transport = t.Transport
		switch {
		case t.Trying:
			s.Breaker = BreakerHalfOpen
		case t.Failing:
			s.Breaker = BreakerOpen
		}
		all = append(all, s)
	}
	return all
}

// add adds what was asked of a peer.
func (s *PeerStats) add(t *cluster.Traffic) {
	s.Requests += t.Requests
	s.Keys += t.Keys
	s.Batches += t.Batches
	s.BytesIn += t.BytesIn
	s.BytesOut += t.BytesOut
	s.Plain += t.Plain
	s.PlainIn += t.PlainIn
	s.PlainOut += t.PlainOut
	s.InFlight += t.InFlight
	s.Reconnects += t.Reconnects
	s.Disagreements += t.Disagreements
	s.BreakerOpened += t.Failures
	s.Latency.Add(&t.Latency)
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

// PoolStatus is where a process stands among its peers.
type PoolStatus struct {
	Ready   bool   // Ready would return nil
	Lapsed  bool   // the registration of the process may have run out, see WithConsistency
	Problem string // what is wrong at its own address; empty, if nothing is known to be

	Peers       int           // in the view, this process among them
	ViewAge     time.Duration // since the view was last replaced
	ViewChanges int64         // how often it was

	Disagreeing   int // peers that have another view now
	Failing       int // peers whose breakers are not closed
	Misconfigured int // peers that have a Problem

	// All has the sums of the figures of all peers there have been, since the process began. None
	// of its counts ever goes back, because what was asked of peers that have left stays in it.
	All PeerStats
}

// Status returns where this process stands among its peers.
func (p *Pool) Status() PoolStatus {
	s := PoolStatus{Ready: p.cluster.IsReady(), Lapsed: p.cluster.Lapsed()}
	if err := p.cluster.OwnProblem(); err != nil {
		s.Problem = err.Error()
	}
	s.Peers, s.ViewAge, s.ViewChanges, s.Disagreeing = p.cluster.ViewStats()
	for _, m := range p.cluster.Members() {
		if t := m.Traffic(); t.Failing {
			s.Failing++
		}
		if p.cluster.ProblemOf(m.Name()) != "" {
			s.Misconfigured++
		}
	}
	total := p.cluster.Traffic()
	s.All.add(&total)
	return s
}

// Whereabouts says where a key of a group lives, as far as one process knows.
type Whereabouts struct {
	// Owner is the base URL of the peer that owns the key, and Candidates those of all that keep
	// values of it, in order: the owner, then those that stand in for it. Both are empty in a group
	// without peers, and while nobody of the view owns anything.
	Owner      string
	Candidates []string
	Main, Hot  *Held  // what is cached here, as the process's own and as a copy; nil: nothing
	Holders    []Hold // peers that may have copies which they got from here, in the order of their names
}

// Held is a value that is cached in this process.
type Held struct {
	View    ByteView
	Missing bool          // it says that the origin has no such key, in words that are in View
	Age     time.Duration // since it was cached here, or its lease renewed; less than 0: not known
	// Left is for how long it is fresh from now on. Zero means without end. Less than zero says that
	// it has expired, and may be served as WithStaleWhileRevalidate and WithStaleIfError say.
	Left time.Duration
	// Lease is for how long it may be served without asking its owner. Zero: it is this process's own.
	// Less than zero: the lease is over.
	Lease time.Duration
}

// Hold is a lease: a peer may have a copy.
type Hold struct {
	Peer string        // its base URL
	Left time.Duration // for which it may serve the copy
}

// Whereabouts returns what this process knows of a key. It asks no peer: the owner alone knows who
// else has copies. It does not count as a use of the value, if the caches are those of NewStore.
func (g *Group) Whereabouts(key string) Whereabouts {
	var w Whereabouts
	if g.home != nil {
		if w.Candidates = g.candidates(key); len(w.Candidates) > 0 {
			w.Owner = w.Candidates[0]
		}
	}
	w.Main, w.Hot = g.held(g.main, key), g.held(g.hot, key)
	if g.holders == nil {
		return w
	}
	now := clock.Now()
	for peer, until := range g.holders.Of(key, g.peerNames) {
		w.Holders = append(w.Holders, Hold{peer, time.Duration(until - now)})
	}
	slices.SortFunc(w.Holders, func(a, b Hold) int { return cmp.Compare(a.Peer, b.Peer) })
	return w
}

// candidates returns the preference list of key, this process perhaps in it. The group has a home.
func (g *Group) candidates(key string) (names []string) {
	for n := range min(cluster.Candidates, g.home.Owners()) {
		if p := g.pick(key, n); p != nil {
			names = append(names, p.Name())
		} else {
			names = append(names, g.home.Self())
		}
	}
	return names
}

// held returns what a cache, which may be nil, has of key; nil, if nothing.
func (g *Group) held(c Cache, key string) *Held {
	if c == nil {
		return nil
	}
	get := c.Get
	if s, ok := c.(storeCache); ok {
		get = s.peek
	}
	e, ok := get(key)
	now := clock.Now()
	if !ok || e.Expires != 0 && e.Expires <= now {
		return nil
	}
	h := &Held{View: e.View, Missing: e.Missing, Age: -1}
	if aging, ok := c.(interface {
		Age(key string) (time.Duration, bool)
	}); ok {
		if age, ok := aging.Age(key); ok {
			h.Age = age
		}
	}
	if e.Expires != 0 {
		h.Left = cmp.Or(g.times.fresh(e, now), -1)
	}
	if e.Lease != 0 {
		h.Lease = cmp.Or(time.Duration(e.Lease-now), -1)
	}
	return h
}
