// Package lease knows which peers may hold copies of which keys, and until when.
package lease

import (
	"hash/maphash"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Table knows which peers may hold a copy of a key, or be about to get one, and
// until when. It is what makes a Remove cost a message for each of them, and none
// for the other peers.
//
// A lease is noted before the answer that it is for is looked up, and a change takes
// the value away before it asks for the holders. So whoever was answered with a value
// that is taken away is among them.
//
// Its memory is bounded. Where there is no room for a lease of one key, the peer is
// noted as the holder of all of them: a change then has one message more.
type Table struct {
	seed   maphash.Seed
	most   int           // leases in each generation of a shard
	lease  time.Duration // the group's own; longer ones may be asked for
	shards [holderShards]holderShard

	// strangers is until when every peer counts as a holder of every key: what an
	// earlier process at this address noted is not known.
	strangers clock.Instant

	peers peerNumbers
}

const (
	holderShards = 16
	// leaseBytes is about what a lease takes: itself, its share of heads, and what
	// either has to spare.
	leaseBytes = 40
	// Share of a group's bytes are for holders.
	Share = 1.0 / 32
	// fewestLeases is what a shard has room for in the smallest group.
	fewestLeases = 16
	// Longest is the longest that is noted.
	Longest = time.Minute
)

// holderShard has the leases of some of the keys. They are noted in the young
// generation, which becomes the old one when all that was in the old one is over: so
// leases are forgotten many at a time and without a look at each.
type holderShard struct {
	mu         sync.Mutex
	young, old generation               // guarded by mu
	ofAll      map[uint32]clock.Instant // guarded by mu; peers that count as holders of all keys, until then
	_          [64]byte                 // keeps shards out of each other's cache line
}

// generation is a hash table of leases, each in the chain of its head. A map from keys to
// their leases would hash once more, for each request of a peer.
type generation struct {
	began clock.Instant
	last  clock.Instant // when all of it is over
	heads []int32       // a power of two: place of the first lease of each chain, and 1; 0: there is none
	all   []lease
}

// lease says until when a peer may hold a copy of a key. Keys of one hash share
// theirs: that costs a message, at most.
type lease struct {
	hash  uint64 // of the key
	until clock.Instant
	peer  uint32
	next  int32 // place of the chain's next lease, and 1; 0: there is none
}

func New(bytes int64, lease time.Duration) *Table {
	h := &Table{
		seed:      maphash.MakeSeed(),
		most:      int(max(fewestLeases, min(bytes/leaseBytes/holderShards/2, math.MaxInt32))), // a place has 32 bits
		lease:     lease,
		strangers: clock.Now().Plus(lease),
	}
	h.peers.init(bytes)
	return h
}

func (h *Table) shard(key string) (*holderShard, uint64) {
	hash := maphash.String(h.seed, key)
	return &h.shards[hash%holderShards], hash
}

// Note takes note that a peer asks for key and will use the answer for d. It reports
// whether it did: not, if d is longer than any lease, or known says that it is no peer.
func (h *Table) Note(key, peer string, d time.Duration, known func(string) bool) bool {
	if d <= 0 || d > Longest {
		return false
	}
	given := h.peers.given.Load()
	n, ok := (*given)[peer]
	if !ok {
		if n, given, ok = h.peers.give(peer, known); !ok {
			return false
		}
	}
	now := clock.Now()
	until := now + clock.Instant(d) // a lease is short
	s, hash := h.shard(key)
	s.mu.Lock()
	if s.old.last <= now && (now-s.young.began >= clock.Instant(h.lease) || len(s.young.all) == h.most) {
		s.old, s.young = s.young, s.old
		s.young.reset(now)
	}
	if !s.young.note(hash, n, until, h.most) {
		if s.ofAll == nil {
			s.ofAll = make(map[uint32]clock.Instant)
		}
		s.ofAll[n] = max(s.ofAll[n], until)
	}
	s.mu.Unlock()
	if h.peers.given.Load() == given || h.peers.still(peer, n) {
		return true
	}
	return h.Note(key, peer, d, known) // the number was taken back meanwhile
}

func (g *generation) reset(now clock.Instant) {
	clear(g.heads)
	g.all, g.began, g.last = g.all[:0], now, 0
}

// head returns the head of a hash's chain. The lowest bits are those of its shard.
func (g *generation) head(hash uint64) *int32 {
	return &g.heads[hash/holderShards&uint64(len(g.heads)-1)]
}

// of returns the leases of a hash.
func (g *generation) of(hash uint64) iter.Seq[*lease] {
	return func(each func(*lease) bool) {
		if len(g.heads) == 0 {
			return
		}
		for at := *g.head(hash); at != 0; {
			l := &g.all[at-1]
			if l.hash == hash && !each(l) {
				return
			}
			at = l.next
		}
	}
}

// note reports whether there was room.
func (g *generation) note(hash uint64, peer uint32, until clock.Instant, most int) bool {
	for l := range g.of(hash) {
		if l.peer == peer {
			l.until = max(l.until, until)
			g.last = max(g.last, until)
			return true
		}
	}
	if len(g.all) == most {
		return false
	}
	if len(g.all) == len(g.heads) {
		g.grow()
	}
	g.all = append(g.all, lease{hash: hash, until: until, peer: peer})
	g.chain(len(g.all) - 1)
	g.last = max(g.last, until)
	return true
}

// chain puts the lease at a place into its chain.
func (g *generation) chain(place int) {
	l := &g.all[place]
	head := g.head(l.hash)
	l.next, *head = *head, int32(place+1)
}

// grow doubles the heads.
func (g *generation) grow() {
	g.heads = make([]int32, max(fewestLeases, 2*len(g.heads)))
	for place := range g.all {
		g.chain(place)
	}
}

// Of returns the peers that may hold copies of key, and until when each may. It asks for
// the names of the peers only if any of them may, because of a process before this one.
func (h *Table) Of(key string, names func() []string) map[string]clock.Instant {
	now := clock.Now()
	found := make(map[string]clock.Instant)
	if now < h.strangers {
		for _, name := range names() {
			found[name] = h.strangers
		}
	}
	until := make(map[uint32]clock.Instant)
	s, hash := h.shard(key)
	s.mu.Lock()
	for _, g := range [...]*generation{&s.young, &s.old} {
		for l := range g.of(hash) {
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
	h.peers.mu.Lock()
	defer h.peers.mu.Unlock()
	for peer, end := range until {
		if end > now {
			name := h.peers.name(peer)
			found[name] = max(found[name], end)
		}
	}
	return found
}

// Forget lets go of the names of peers that have no part in the view any more, as known says,
// when their leases are over. It is called when the view has changed.
func (h *Table) Forget(known func(string) bool) { h.peers.forget(known) }
