package store

import (
	"sync"
	"sync/atomic"
)

// addSteps is how many steps of the wheel an Add that finds no room takes, to find expired entries,
// before it evicts others.
const addSteps = 8

// A shard has the entries of some keys, with all that decides about them.
type shard struct {
	store  *Store // never written after init
	leader bool   // never written after init: this one chooses the policy (advice.go)

	mu sync.Mutex
	// The fields below are guarded by mu. Those that each Add needs stand first, close together.
	table    *table // the shard's own of Store.tables
	eviction *eviction
	base     int64 // bookkeeping that init allocated, which is not counted
	bytes    int64 // of all entries in the table

	// grant is what the shard may take. Whenever mu is free, used() <= grant, and the grants of
	// all shards together are within MaxBytes (budget). It is written with mu held, and read
	// without.
	grant atomic.Int64
	tally tally
	wheel wheel

	_ [128]byte // keeps the next shard's words away
}

func (s *shard) init(of *Store, leader bool, t *table) {
	s.store, s.leader = of, leader
	s.grant.Store(of.budget.first)
	s.empty(t)
	s.base = s.metadata()
}

// empty makes the empty table t the shard's. The caller holds s.mu, or nobody else has s yet.
func (s *shard) empty(t *table) {
	of := s.store
	if s.leader {
		s.eviction = newEviction(t, of.budget.share, of.budget.share)
	} else {
		s.eviction = newEviction(t, of.budget.share, 0)
		s.eviction.advised = &of.advice
	}
	if s.leader && of.budget.shards > 1 {
		s.eviction.advises = &of.advice
	}
	s.table = t
	s.wheel = wheel{table: t}
	s.bytes = 0
}

// metadata returns the heap that bookkeeping takes. The caller holds s.mu.
func (s *shard) metadata() int64 { return s.table.bytes() + s.eviction.bytes() }

// used returns what counts against the grant. The caller holds s.mu.
func (s *shard) used() int64 { return s.bytes + s.metadata() - s.base }

// add puts e into the table, unless refused returns true, and reports whether it is kept. reserved
// is what the budget has granted for it alone.
func (s *shard) add(refused func() bool, hash uint64, key string, e *entry, reserved, now int64, gone *departures) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if reserved > 0 {
		s.grant.Add(reserved)
		defer s.returnSpare()
	}
	if refused != nil && refused() {
		return false
	}
	s.eviction.warm(hash)
	if old := s.table.find(hash, key); old != nil {
		s.replace(old, e, now)
		s.left(old, Replaced, now, gone)
	} else {
		s.insert(hash, e, now)
	}
	s.makeRoom(now, gone)
	return e.id != 0
}

// renew puts e in the place of the entry old of key, if it is still there.
func (s *shard) renew(hash uint64, key string, old Entry, e *entry, now int64, gone *departures) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	present := s.table.find(hash, key)
	if present == nil || !present.is(old) {
		return false
	}
	s.replace(present, e, now)
	s.makeRoom(now, gone)
	return true
}

// leaveOut removes the entry of key, whose new value is not kept.
func (s *shard) leaveOut(refused func() bool, hash uint64, key string, tooLarge bool, now int64, gone *departures) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refused != nil && refused() {
		return
	}
	if tooLarge {
		s.tally.rejected++
	}
	if old := s.table.find(hash, key); old != nil {
		s.eviction.remove(old)
		s.leave(old, Replaced, now, gone)
		s.returnSpare()
	}
}

// removeKey removes the entry of key, and reports whether there was one that had not expired.
func (s *shard) removeKey(hash uint64, key string, gone *departures) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.table.find(hash, key)
	if e == nil {
		return false
	}
	s.eviction.remove(e)
	fresh := s.leave(e, Removed, s.store.Now(), gone) == Removed
	s.returnSpare()
	return fresh
}

// insert adds e, whose key is not in the table. The caller holds s.mu.
func (s *shard) insert(hash uint64, e *entry, now int64) {
	s.table.insert(hash, e, bornAt(now))
	s.bytes += e.bytes()
	s.eviction.add(hash, e)
	s.expire(e, now)
}

// replace puts e in the place of old, which has the same key. The caller holds s.mu.
func (s *shard) replace(old, e *entry, now int64) {
	if old.expires() != 0 {
		s.wheel.remove(old)
	}
	s.eviction.replace(old, e)
	s.table.replace(old, e, bornAt(now))
	s.bytes += e.bytes() - old.bytes()
	s.expire(e, now)
}

// expire puts e into the wheel, if it expires. The caller holds s.mu.
func (s *shard) expire(e *entry, now int64) {
	if e.expires() != 0 {
		s.wheel.add(e, now)
		s.arm(now)
	}
}

// makeRoom removes entries until the others are within the grant and the table can take one more.
// It asks for a larger grant first. The caller holds s.mu.
func (s *shard) makeRoom(now int64, gone *departures) {
	steps, asked := addSteps, false
	for {
		grant, metadata := s.grant.Load(), s.metadata()-s.base
		over := s.bytes + metadata - grant
		switch {
		case over <= 0 && !s.table.full():
			return
		case over > 0 && !asked:
			asked = !s.grow(over, now, gone)
			continue
		}
		if !s.evict(max(grant-metadata, 0), &steps, now, gone) {
			return
		}
	}
}

// evict removes an entry, one that has expired if steps suffice to find one, and reports whether
// there was one. room is what the entries may take. The caller holds s.mu.
func (s *shard) evict(room int64, steps *int, now int64, gone *departures) bool {
	if e := s.wheel.expired(now, steps); e != nil {
		s.eviction.remove(e)
		s.drop(e, Expired, now, gone)
		return true
	}
	e := s.eviction.evict(room)
	if e == nil {
		return false
	}
	s.leave(e, Evicted, now, gone)
	return true
}

// clear makes the empty table t the shard's. The caller holds s.mu.
func (s *shard) clear(t *table) {
	s.tally.left[Removed] += s.table.items
	s.empty(t)
	s.returnSpare()
}

// appendBuckets appends the entries of some buckets of t, which is or was the shard's table.
func (s *shard) appendBuckets(dst []*entry, t *table, from uint32) []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := from; n < min(from+rangeBuckets, t.buckets()); n++ {
		dst = t.appendBucket(dst, n)
	}
	return dst
}

// stats returns the shard's figures. The caller holds s.mu.
func (s *shard) stats(now int64) Stats {
	return Stats{
		Items:           s.table.items,
		Bytes:           s.used(),
		Evicted:         s.tally.left[Evicted],
		Expired:         s.tally.left[Expired],
		Removed:         s.tally.left[Removed],
		Replaced:        s.tally.left[Replaced],
		Rejected:        s.tally.rejected,
		EvictedEarly:    s.tally.evictedEarly,
		YoungestEvicted: s.tally.youngest.get(now),
	}
}
