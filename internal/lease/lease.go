// Package lease records which peers may hold copies of which keys, and until when.
package lease

import (
	"hash/maphash"
	"iter"
	"math"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Table records which peers may hold a copy of a key, or are about to get one, and until when. They
// are the holders of the key. With it, a Remove costs one message for each holder, and none for the
// other peers.
//
// A lease is recorded before its answer is looked up, and a change removes the value before it asks
// for the holders. So every peer that was answered with the removed value is among them.
//
// The memory of a Table is bounded. If there is no room for a lease of one key, the peer is
// recorded as a holder of all keys: then a change has one message more.
type Table struct {
	seed   maphash.Seed
	most   int           // the most leases in each generation of a shard
	lease  time.Duration // the group's own; peers may ask for longer ones
	shards [holderShards]holderShard

	// allUntil is until when every peer counts as a holder of every key: an earlier process at
	// this address may have given leases that this one does not know.
	allUntil clock.Instant

	peers peerNumbers
	all   leasesOfAll
}

const (
	holderShards = 16
	// leaseBytes is about how many bytes a lease takes: its own, its share of heads, and the
	// spare room of both slices.
	leaseBytes = 40
	// Share is the part of a group's bytes that its Table may take.
	Share = 1.0 / 32
	// fewestLeases is how many leases a shard has room for in the smallest group.
	fewestLeases = 16
	// Longest is the longest lease.
	Longest = time.Minute
)

// holderShard has the leases of some of the keys. They are recorded in the young generation. It
// becomes the old one when all leases of the old one are over. So leases are forgotten many at a
// time, without a look at each.
type holderShard struct {
	mu         sync.Mutex
	young, old generation               // guarded by mu
	ofAll      map[uint32]clock.Instant // guarded by mu; peers that count as holders of all keys, until then
	_          [64]byte                 // keeps two shards out of one cache line
}

// generation is a hash table of leases in chains. A Go map would hash each key once more, for each
// request of a peer.
type generation struct {
	began clock.Instant
	last  clock.Instant // when its last lease ends
	heads []int32       // by hash: 1 + the place of the first lease of the chain, or 0; their number is a power of two
	all   []lease
}

// lease says until when a peer may hold a copy of a key. Keys with the same hash share their
// leases, which costs a message at most.
type lease struct {
	hash  uint64 // of the key
	until clock.Instant
	peer  uint32
	next  int32 // 1 + the place of the next lease in the chain, or 0
}

// New returns a Table that takes about bytes of memory. lease is the time that most leases last.
func New(bytes int64, lease time.Duration) *Table {
	h := &Table{
		seed:     maphash.MakeSeed(),
		most:     int(max(fewestLeases, min(bytes/leaseBytes/holderShards/2, math.MaxInt32))), // the places are 32-bit numbers
		lease:    lease,
		allUntil: clock.Now().Plus(lease),
	}
	h.peers.init(bytes)
	return h
}

// shard returns the shard of key, and its hash.
func (h *Table) shard(key string) (*holderShard, uint64) {
	hash := maphash.String(h.seed, key)
	return &h.shards[hash%holderShards], hash
}

// Record records that peer asks for key and will use the answer for d. It reports whether it did.
// It does not if d is no valid lease, if known says that peer is none, or if too many peers came
// and left lately.
func (h *Table) Record(key, peer string, d time.Duration, known func(string) bool) bool {
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
	until := now + clock.Instant(d) // cannot overflow: a lease is short
	s, hash := h.shard(key)
	s.mu.Lock()
	if s.old.last <= now && (now-s.young.began >= clock.Instant(h.lease) || len(s.young.all) == h.most) {
		s.old, s.young = s.young, s.old
		s.young.reset(now)
	}
	if !s.young.record(hash, n, until, h.most) {
		if s.ofAll == nil {
			s.ofAll = make(map[uint32]clock.Instant)
		}
		s.ofAll[n] = max(s.ofAll[n], until)
	}
	s.mu.Unlock()
	if h.peers.given.Load() == given || h.peers.still(peer, n) {
		return true
	}
	return h.Record(key, peer, d, known) // the number was taken back meanwhile
}

// reset forgets all leases.
func (g *generation) reset(now clock.Instant) {
	clear(g.heads)
	g.all, g.began, g.last = g.all[:0], now, 0
}

// head returns the head of the chain of hash. The lowest bits of hash choose the shard.
func (g *generation) head(hash uint64) *int32 {
	return &g.heads[hash/holderShards&uint64(len(g.heads)-1)]
}

// of returns the leases with that hash.
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

// record records a lease, and reports whether there was room for it. most is how many leases g may
// have.
func (g *generation) record(hash uint64, peer uint32, until clock.Instant, most int) bool {
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

// chain puts the lease at place into its chain.
func (g *generation) chain(place int) {
	l := &g.all[place]
	head := g.head(l.hash)
	l.next, *head = *head, int32(place+1)
}

// grow doubles the number of heads.
func (g *generation) grow() {
	g.heads = make([]int32, max(fewestLeases, 2*len(g.heads)))
	for place := range g.all {
		g.chain(place)
	}
}

// Of returns the holders of key, and until when each of them may hold its copy. It calls names,
// which returns the names of all peers, only while an earlier process may have given leases to any
// of them.
func (h *Table) Of(key string, names func() []string) map[string]clock.Instant {
	now := clock.Now()
	found := make(map[string]clock.Instant)
	if now < h.allUntil {
		for _, name := range names() {
			found[name] = h.allUntil
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
	h.all.add(found, now)
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

// Forget forgets the names of peers that are not in the view any more, as known says, and whose
// leases are over. It is called when the view has changed.
func (h *Table) Forget(known func(string) bool) {
	h.peers.forget(known)
	h.all.forget(known)
}
