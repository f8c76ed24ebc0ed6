package peercache

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// holders knows which peers may hold a copy of a key, or be about to get one, and
// until when. It is what makes a Remove cost a message for each of them, and none
// for the other peers.
//
// A lease is noted before the answer that it is for is looked up, and a change takes
// the value away before it asks for the holders. So whoever was answered with a value
// that is taken away is among them.
//
// Its memory is bounded. Where there is no room for a lease of one key, the peer is
// noted as the holder of all of them: a change then has one message more.
type holders struct {
	seed   maphash.Seed
	most   int           // leases in each generation of a shard
	lease  time.Duration // the group's own; longer ones may be asked for
	shards [holderShards]holderShard

	// strangers is until when every peer counts as a holder of every key: what an
	// earlier process at this address noted is not known.
	strangers Instant

	// numbers has a number for each peer that was ever noted, and names the way back.
	// numbers is never written to, but swapped whole with mu held.
	numbers atomic.Pointer[map[string]uint32]
	mu      sync.Mutex
	names   []string // guarded by mu
}

const (
	holderShards = 16
	// leaseBytes is about what a lease takes: itself, and its share of the map.
	leaseBytes = 48
	// holdersShare of a group's bytes are for holders.
	holdersShare = 1.0 / 32
	// fewestLeases is what a shard has room for in the smallest group.
	fewestLeases = 16
	// longestLease is the longest that is noted.
	longestLease = time.Minute
)

// holderShard has the leases of some of the keys. They are noted in the young
// generation, which becomes the old one when all that was in the old one is over: so
// leases are forgotten many at a time and without a look at each.
type holderShard struct {
	mu         sync.Mutex
	young, old generation         // guarded by mu
	ofAll      map[uint32]Instant // guarded by mu; peers that count as holders of all keys, until then
	_          [64]byte           // keeps shards out of each other's cache line
}

type generation struct {
	began Instant
	last  Instant          // when all of it is over
	first map[uint64]int32 // by the key's hash: the place of its first lease, and 1
	all   []lease
}

// lease says until when a peer may hold a copy of a key. Keys of one hash share
// theirs: that costs a message, at most.
type lease struct {
	until Instant
	peer  uint32
	next  int32 // place of the key's next lease, and 1; 0: there is none
}

func newHolders(bytes int64, lease time.Duration) *holders {
	h := &holders{
		seed:      maphash.MakeSeed(),
		most:      max(fewestLeases, int(bytes/leaseBytes/holderShards/2)),
		lease:     lease,
		strangers: Now() + Instant(lease),
	}
	h.numbers.Store(&map[string]uint32{})
	return h
}

// number returns the number of a peer, and gives it one if known says that it is a
// peer at all.
func (h *holders) number(peer string, known func(string) bool) (n uint32, ok bool) {
	if n, ok := (*h.numbers.Load())[peer]; ok {
		return n, true
	}
	if !known(peer) {
		return 0, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	old := *h.numbers.Load()
	if n, ok := old[peer]; ok {
		return n, true
	}
	n = uint32(len(h.names))
	h.names = append(h.names, peer)
	numbers := maps.Clone(old)
	numbers[peer] = n
	h.numbers.Store(&numbers)
	return n, true
}

func (h *holders) shard(key string) (*holderShard, uint64) {
	hash := maphash.String(h.seed, key)
	return &h.shards[hash%holderShards], hash
}

// note takes note that a peer asks for key and will use the answer for d. It reports
// whether it did: not, if d is longer than any lease.
func (h *holders) note(key string, peer uint32, d time.Duration) bool {
	if d <= 0 || d > longestLease {
		return false
	}
	now := Now()
	until := now + Instant(d)
	s, hash := h.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.old.last <= now && (s.young.began+Instant(h.lease) <= now || len(s.young.all) == h.most) {
		s.old, s.young = s.young, s.old
		s.young.reset(now)
	}
	if !s.young.note(hash, peer, until, h.most) {
		if s.ofAll == nil {
			s.ofAll = make(map[uint32]Instant)
		}
		s.ofAll[peer] = max(s.ofAll[peer], until)
	}
	return true
}

func (g *generation) reset(now Instant) {
	if g.first == nil {
		g.first = make(map[uint64]int32)
	}
	clear(g.first)
	g.all, g.began, g.last = g.all[:0], now, 0
}

// note reports whether there was room.
func (g *generation) note(hash uint64, peer uint32, until Instant, most int) bool {
	first := g.first[hash]
	for at := first; at != 0; at = g.all[at-1].next {
		if l := &g.all[at-1]; l.peer == peer {
			l.until = max(l.until, until)
			g.last = max(g.last, until)
			return true
		}
	}
	if len(g.all) == most {
		return false
	}
	if g.first == nil {
		g.first = make(map[uint64]int32)
	}
	g.all = append(g.all, lease{until, peer, first})
	g.first[hash] = int32(len(g.all))
	g.last = max(g.last, until)
	return true
}

// of returns the peers that may hold copies of key, and until when each may. It asks for
// the peers only if any of them may, because of a process before this one.
func (h *holders) of(key string, peers func() []Peer) map[string]Instant {
	now := Now()
	found := make(map[string]Instant)
	if now < h.strangers {
		for _, p := range peers() {
			found[p.Name()] = h.strangers
		}
	}
	until := make(map[uint32]Instant)
	s, hash := h.shard(key)
	s.mu.Lock()
	for _, g := range [...]*generation{&s.young, &s.old} {
		for at := g.first[hash]; at != 0; at = g.all[at-1].next {
			l := &g.all[at-1]
			until[l.peer] = max(until[l.peer], l.until)
		}
	}
	for peer, end := range s.ofAll {
		if end <= now {
			delete(s.ofAll, peer)
		} else {
			until[peer] = max(until[peer], end)
		}
	}
	s.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	for peer, end := range until {
		if end > now {
			name := h.names[peer]
			found[name] = max(found[name], end)
		}
	}
	return found
}
