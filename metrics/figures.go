package metrics

import (
	"slices"
	"strings"

	"github.com/peercache/peercache"
)

type (
	pool   = peercache.PoolStatus
	access = peercache.AccessStats
	group  = peercache.Stats
	cache  = peercache.CacheStats
	peer   = peercache.PeerStats
)

// poolRows are the figures of a process among its peers. Those of what was asked of peers are sums
// over all of them.
var poolRows = []row[pool]{
	flag("peercache.ready", "1 if this process is warm, and does not leave.", func(s *pool) bool { return s.Ready }),
	flag("peercache.lapsed", "1 if the registration of this process may have run out. Groups with WithConsistency bypass their caches.", func(s *pool) bool { return s.Lapsed }),
	flag("peercache.own_address.wrong", "1 if another process, or none, answers at this process's own address.", func(s *pool) bool { return s.Problem != "" }),
	count(Gauge, "peercache.view.peers", "{peer}", "Peers in the view, this process among them.", func(s *pool) int64 { return int64(s.Peers) }),
	{Figure: Figure{Name: "peercache.view.age", Unit: "s", Kind: Gauge, Help: "Time since the view was last replaced."}, points: one(func(s *pool) float64 { return s.ViewAge.Seconds() })},
	count(Counter, "peercache.view.changes", "{change}", "Times that the view was replaced.", func(s *pool) int64 { return s.ViewChanges }),
	count(Gauge, "peercache.peers.disagreeing", "{peer}", "Peers that have another view now.", func(s *pool) int64 { return int64(s.Disagreeing) }),
	count(Gauge, "peercache.peers.failing", "{peer}", "Peers that are not asked now, because they have failed.", func(s *pool) int64 { return int64(s.Failing) }),
	count(Gauge, "peercache.peers.misconfigured", "{peer}", "Peers with a wrong configuration, see the log.", func(s *pool) int64 { return int64(s.Misconfigured) }),

	count(Counter, "peercache.peer.requests", "{request}", "Requests to peers, of all kinds.", func(s *pool) int64 { return s.All.Requests }),
	distribution("peercache.peer.request.duration", "Time from a request to a peer to its answer, a load included.", fine, func(s *pool) *peercache.Histogram { return &s.All.Latency }),
	count(Gauge, "peercache.peer.in_flight", "{request}", "Requests to peers that are not answered yet.", func(s *pool) int64 { return int64(s.All.InFlight) }),
	count(Counter, "peercache.peer.keys", "{key}", "Keys that peers were asked for.", func(s *pool) int64 { return s.All.Keys }),
	count(Counter, "peercache.peer.batches", "{request}", "Requests to peers for several keys.", func(s *pool) int64 { return s.All.Batches }),
	count(Counter, "peercache.peer.received", "By", "Bytes of peers' answers.", func(s *pool) int64 { return s.All.BytesIn }),
	count(Counter, "peercache.peer.sent", "By", "Bytes of requests to peers.", func(s *pool) int64 { return s.All.BytesOut }),
	count(Counter, "peercache.peer.reconnects", "{connection}", "Connections to peers after the first one to each.", func(s *pool) int64 { return s.All.Reconnects }),
	count(Counter, "peercache.peer.failures", "{failure}", "Times that a peer failed, so that its keys went to the next one.", func(s *pool) int64 { return s.All.BreakerOpened }),
	count(Counter, "peercache.peer.disagreements", "{answer}", "Times that a peer said that it has another view.", func(s *pool) int64 { return s.All.Disagreements }),
	count(Counter, "peercache.plain.requests", "{request}", "Those of the requests to peers that were an HTTP request each.", func(s *pool) int64 { return s.All.Plain }),
	count(Counter, "peercache.plain.received", "By", "Those of the bytes received that came by the plain way.", func(s *pool) int64 { return s.All.PlainIn }),
	count(Counter, "peercache.plain.sent", "By", "Those of the bytes sent that went by the plain way.", func(s *pool) int64 { return s.All.PlainOut }),
}

// accessRows are the figures of what others did to a process.
var accessRows = []row[access]{
	by("reason", count[access](Counter, "peercache.refusals", "{request}", "Connections and requests of others that were refused: unauthenticated if the sender has not proven who it is, unauthorized if it may not do that. See the log.", nil),
		is("unauthenticated", func(s *access) int64 { return s.Unauthenticated }), is("unauthorized", func(s *access) int64 { return s.Unauthorized })),
	count(Counter, "peercache.peers.left", "{peer}", "Times that a peer has left, by its own word or that of others.", func(s *access) int64 { return s.Leaves }),
	count(Counter, "peercache.groups.cleared", "{clear}", "Times that a group was cleared: by a call here, or by a request of a peer, which sends at least two for each call there.", func(s *access) int64 { return s.Clears }),
}

// groupRows are the figures of a group, but for those of its caches.
var groupRows = labelled("group", []row[group]{
	count(Counter, "peercache.gets", "{get}", "Gets, peers' requests among them. A key of a GetMulti is one.", func(s *group) int64 { return s.Gets }),
	by("cache", count[group](Counter, "peercache.hits", "{get}", "Gets that a cache here answered: main has what was loaded here, hot has copies.", nil),
		is("main", func(s *group) int64 { return s.Main.Hits }), is("hot", func(s *group) int64 { return s.Hot.Hits })),
	count(Counter, "peercache.stale_hits", "{get}", "Expired values that were served, as the group's options allow.", func(s *group) int64 { return s.StaleHits }),
	count(Counter, "peercache.shared_gets", "{get}", "Gets that waited for a load or a fetch which another one had started.", func(s *group) int64 { return s.Shared }),

	count(Counter, "peercache.loads", "{load}", "Keys that the getter was asked for here.", func(s *group) int64 { return s.Loads }),
	by("reason", count[group](Counter, "peercache.load.failures", "{load}", "Those of the loads that gave no value: error, or not_found where the origin has no such key.", nil),
		is("error", func(s *group) int64 { return s.LoadErrors }), is("not_found", func(s *group) int64 { return s.NotFound })),
	distribution("peercache.load.duration", "Duration of a run of the getter, which is one for a batch.", fine, func(s *group) *peercache.Histogram { return &s.LoadTime }),
	count(Counter, "peercache.refreshes", "{load}", "Those of the loads that ran in the background.", func(s *group) int64 { return s.Refreshes }),

	by("result", count[group](Counter, "peercache.fetches", "{fetch}", "Keys that peers were asked for: ok with a value, error if there was no answer.", nil),
		is("ok", func(s *group) int64 { return s.PeerLoads }), is("error", func(s *group) int64 { return s.PeerErrors })),
	count(Counter, "peercache.renewals", "{fetch}", "Copies whose leases were renewed in the background.", func(s *group) int64 { return s.Renewals }),
	count(Counter, "peercache.served.requests", "{get}", "Keys that peers asked this process for.", func(s *group) int64 { return s.ServerRequests }),
	count(Counter, "peercache.served.misses", "{get}", "Those of the keys that peers asked for which were not cached here.", func(s *group) int64 { return s.ServerMisses }),

	count(Counter, "peercache.handovers.taken", "{value}", "Values got from their previous owners after a change of the view.", func(s *group) int64 { return s.Handovers }),
	count(Counter, "peercache.handovers.given", "{value}", "Values given to their new owners after a change of the view.", func(s *group) int64 { return s.HandoversGiven }),
	count(Counter, "peercache.restored", "{value}", "Values got from the snapshot of the process before this one.", func(s *group) int64 { return s.Restored }),

	changes("remove", func(s *group) *peercache.ChangeStats { return &s.Removes }),
	changeTime("remove", func(s *group) *peercache.ChangeStats { return &s.Removes }),
	changes("set", func(s *group) *peercache.ChangeStats { return &s.Sets }),
	changeTime("set", func(s *group) *peercache.ChangeStats { return &s.Sets }),
	changes("clear", func(s *group) *peercache.ChangeStats { return &s.Clears }),
	changeTime("clear", func(s *group) *peercache.ChangeStats { return &s.Clears }),

	count(Gauge, "peercache.watchers", "{watcher}", "Watchers of the group, such as front doors whose clients cache.", func(s *group) int64 { return int64(s.Watchers) }),
	flag("peercache.watching", "1 if the group has watchers, and these hear of each change.", func(s *group) bool { return s.Watching }),

	count(Counter, "peercache.panics", "{panic}", "Panics of callbacks, see the log.", func(s *group) int64 { return s.Panics }),
})

// method returns the name of a method of Group: "Remove".
func method(what string) string { return strings.ToUpper(what[:1]) + what[1:] }

func changes(what string, of func(s *group) *peercache.ChangeStats) row[group] {
	return by("result", count[group](Counter, "peercache."+what+"s", "{call}", "Calls of "+method(what)+" here: incomplete if somebody may still serve an older value.", nil),
		is("ok", func(s *group) int64 { return of(s).Done }), is("incomplete", func(s *group) int64 { return of(s).Incomplete }))
}

func changeTime(what string, of func(s *group) *peercache.ChangeStats) row[group] {
	return distribution("peercache."+what+".duration", "Duration of a call of "+method(what)+".", coarse, func(s *group) *peercache.Histogram { return &of(s).Time })
}

// cacheRows are the figures of each cache of a group.
var cacheRows = labelled("group", labelled("cache", []row[cache]{
	count(Gauge, "peercache.cache.entries", "{entry}", "Entries in a cache.", func(s *cache) int64 { return s.Items }),
	count(Gauge, "peercache.cache.used", "By", "What the entries cost: values, keys and bookkeeping.", func(s *cache) int64 { return s.Bytes }),
	count(Gauge, "peercache.cache.capacity", "By", "What the entries may cost.", func(s *cache) int64 { return s.Capacity }),
	by("reason", count[cache](Counter, "peercache.cache.removals", "{entry}", "Entries that left a cache: evicted to make room, expired, removed by a change, replaced by a newer value.", nil),
		is(peercache.Evicted.String(), func(s *cache) int64 { return s.Evictions }), is(peercache.Expired.String(), func(s *cache) int64 { return s.Expired }),
		is(peercache.Removed.String(), func(s *cache) int64 { return s.Removed }), is(peercache.Replaced.String(), func(s *cache) int64 { return s.Replaced })),
	count(Counter, "peercache.cache.rejected", "{value}", "Values that were too large to be kept.", func(s *cache) int64 { return s.Rejected }),
	count(Counter, "peercache.cache.evicted_early", "{entry}", "Entries that were evicted before they expired.", func(s *cache) int64 { return s.EvictedEarly }),
	{Figure: Figure{Name: "peercache.cache.youngest_evicted.age", Unit: "s", Kind: Gauge, Help: "Age of the youngest entry that was evicted in the last ten to twenty minutes; 0 if none was."},
		points: one(func(s *cache) float64 { return s.YoungestEvicted.Seconds() })},
}))

// peerRows are the figures of each peer, which are exported only where they are asked for.
var peerRows = labelled("peer", []row[peer]{
	flag("peercache.per_peer.failing", "1 if the peer is not asked now, because it has failed.", func(s *peer) bool { return s.Breaker != peercache.BreakerClosed }),
	flag("peercache.per_peer.misconfigured", "1 if something is wrong with the peer's configuration, see the log.", func(s *peer) bool { return s.Problem != "" }),
	count(Counter, "peercache.per_peer.requests", "{request}", "Requests to the peer, of all kinds.", func(s *peer) int64 { return s.Requests }),
	distribution("peercache.per_peer.request.duration", "Time from a request to the peer to its answer, a load included.", coarse, func(s *peer) *peercache.Histogram { return &s.Latency }),
	count(Gauge, "peercache.per_peer.in_flight", "{request}", "Requests to the peer that are not answered yet.", func(s *peer) int64 { return int64(s.InFlight) }),
	count(Counter, "peercache.per_peer.keys", "{key}", "Keys that the peer was asked for.", func(s *peer) int64 { return s.Keys }),
	count(Counter, "peercache.per_peer.received", "By", "Bytes of the peer's answers.", func(s *peer) int64 { return s.BytesIn }),
	count(Counter, "peercache.per_peer.sent", "By", "Bytes of requests to the peer.", func(s *peer) int64 { return s.BytesOut }),
	count(Counter, "peercache.per_peer.reconnects", "{connection}", "Connections to the peer after the first one.", func(s *peer) int64 { return s.Reconnects }),
	count(Counter, "peercache.per_peer.failures", "{failure}", "Times that the peer failed, so that its keys went to the next one.", func(s *peer) int64 { return s.BreakerOpened }),
	count(Counter, "peercache.per_peer.disagreements", "{answer}", "Times that the peer said that it has another view.", func(s *peer) int64 { return s.Disagreements }),
	count(Counter, "peercache.per_peer.plain.requests", "{request}", "Those of the requests to the peer that were an HTTP request each.", func(s *peer) int64 { return s.Plain }),
})

// Figures returns all figures but those of PeerFigures.
func Figures() []*Figure {
	return slices.Concat(figuresOf(poolRows), figuresOf(accessRows), figuresOf(groupRows), figuresOf(cacheRows))
}

// PeerFigures returns the figures of each peer.
func PeerFigures() []*Figure { return figuresOf(peerRows) }

func figuresOf[T any](rows []row[T]) (all []*Figure) {
	for i := range rows {
		all = append(all, &rows[i].Figure)
	}
	return all
}
