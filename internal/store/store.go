// Package store is the cache behind a group. It is bounded by the heap that it really takes, it is
// read without a lock, and its values expire by themselves.
//
// This is the life of an entry. Add copies key and value into one object (entry.go) and publishes
// it in the table (table.go), from which Get reads it without a lock. If there is no room,
// eviction.go chooses the entries that leave. An entry that expires is in the wheel too (wheel.go).
// Each entry leaves the table once: evicted, expired, removed or replaced (leave.go). Then OnLeave
// is called. The object lives on as long as somebody holds a view of it.
package store

import (
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Entry is what a store has for a key.
type Entry struct {
	// Value is a view into the store's own object. It never changes, and stays valid as long as
	// it is referenced, even after the entry has left the store.
	Value string
	// Expires is when the entry expires, on the store's clock (Store.Now). Zero means never.
	Expires int64
	// Meta belongs to the caller. The store only keeps it. It costs 8 bytes if it is not zero.
	Meta uint64
}

// Config says how a store behaves.
type Config struct {
	// MaxBytes bounds the heap that the store takes: keys, values and bookkeeping, as the
	// allocator rounds them. What New allocates, at most 40 KiB, comes on top.
	MaxBytes int64
	// Now is the clock, in nanoseconds. It must not go back, and should go as fast as time.Now.
	// Nil means the monotonic time since New.
	Now func() int64
	// OnLeave, if not nil, is called once for every entry that leaves, after it has left and
	// without a lock, so it may call the store. It runs in the goroutine whose call made the
	// entry leave. For an entry that expires, that may be a goroutine of the store's, which
	// waits for it. Calls for one key may come out of order if the calls that caused them were
	// concurrent.
	OnLeave func(key string, e Entry, r Reason)
}

const (
	// maxPart bounds an entry: one of more than 1/maxPart of MaxBytes is not kept, because too
	// many others would have to leave for it.
	maxPart = 4
	// sweepSteps bounds how many steps of the wheel a sweep takes while it holds the lock.
	sweepSteps = 128
	// addSteps is how many steps of the wheel an Add that finds no room takes, to find expired
	// entries, before it evicts others.
	addSteps = 8

	asleep   = int64(1<<63 - 1) // Store.armed: no timer runs
	sweeping = int64(-1 << 63)  // Store.armed: sweep is running, and will arm the timer
)

// Store is a cache. Its methods may be called concurrently. It is made by New.
type Store struct {
	// These are never written after New.
	seed   maphash.Seed
	start  time.Time
	config Config

	// table is replaced by Clear, with the lock held.
	table atomic.Pointer[table]
	_     [128]byte // keeps writers' words away from what every Get reads

	mu sync.Mutex
	// The fields below are guarded by mu.
	eviction *eviction
	wheel    wheel
	tally    tally
	base     int64 // bookkeeping that New allocated, which is not counted
	bytes    int64 // of all entries in the table
	timer    *time.Timer
	armed    int64 // when timer will run sweep, on the store's clock; or asleep, or sweeping
}

// New returns an empty store.
func New(c Config) (*Store, error) {
	if c.MaxBytes <= 0 {
		return nil, fmt.Errorf("peercache: store of %d bytes: MaxBytes must be positive", c.MaxBytes)
	}
	s := &Store{seed: maphash.MakeSeed(), start: time.Now(), config: c, armed: asleep}
	classOf() // now, so that no Add has to wait for it
	s.empty()
	s.base = s.metadata()
	return s, nil
}

// empty installs a new table. The caller holds s.mu, or nobody else has s yet.
func (s *Store) empty() {
	seed := s.seed
	t := newTable(s.config.MaxBytes, func(key string) uint64 { return maphash.String(seed, key) })
	s.eviction = newEviction(t, s.config.MaxBytes)
	s.wheel = wheel{table: t}
	s.bytes = 0
	s.table.Store(t)
}

// Now returns the time on the store's clock.
func (s *Store) Now() int64 {
	if s.config.Now != nil {
		return s.config.Now()
	}
	return int64(time.Since(s.start))
}

// Get returns the entry of key. It takes no lock and reads no clock: it also returns an entry that
// has expired and was not swept yet. The caller checks Entry.Expires.
func (s *Store) Get(key string) (Entry, bool) {
	t := s.table.Load()
	hash := maphash.String(s.seed, key)
	e := t.find(hash, key)
	if e == nil {
		return Entry{}, false
	}
	t.hit(hash, e)
	return e.view(), true
}

// Peek does what Get does, and does not count as a use of the entry.
func (s *Store) Peek(key string) (Entry, bool) {
	if e := s.table.Load().find(maphash.String(s.seed, key), key); e != nil {
		return e.view(), true
	}
	return Entry{}, false
}

// Worth returns a number that is higher for an entry with more hits lately, and for later hits if
// there were as many. It returns zero if there is no entry.
func (s *Store) Worth(key string) uint32 {
	t := s.table.Load()
	e := t.find(maphash.String(s.seed, key), key)
	if e == nil {
		return 0
	}
	return e.count()<<epochBits | (1<<epochBits - 1 - e.age(t.epoch.Load()))
}

// Add caches a copy of value until expires, on the store's clock, in place of what key had. Zero
// means that it does not expire. Add returns the entry, and whether it is kept: not if it is too
// large (more than a quarter of MaxBytes, a key of 2 MiB, a value of 4 GiB) or has expired.
func (s *Store) Add(key string, value []byte, expires int64, meta uint64) (Entry, bool) {
	return s.AddUnless(nil, key, value, expires, meta)
}

// AddUnless does what Add does, unless refused returns true. The store is locked while refused
// runs, so that no Remove comes between its answer and the Add. So it must be quick and must not
// use the store. A nil refused never refuses.
func (s *Store) AddUnless(refused func() bool, key string, value []byte, expires int64, meta uint64) (Entry, bool) {
	tooLarge := len(key) > maxKeyLen || uint64(len(value)) > maxValLen || cost(len(key), len(value), expires, meta) > s.config.MaxBytes/maxPart
	now := s.Now()
	if tooLarge || expires != 0 && expires <= now {
		s.leaveOut(refused, key, tooLarge)
		return Entry{Value: string(value), Expires: expires, Meta: meta}, false
	}
	e := newEntry(key, value, expires, meta)
	hash := maphash.String(s.seed, key)

	var gone departures
	s.mu.Lock()
	if refused != nil && refused() {
		s.mu.Unlock()
		return e.view(), false
	}
	if old := s.table.Load().find(hash, key); old != nil {
		s.replace(old, e, now)
		s.left(old, Replaced, now, &gone)
		s.makeRoom(now, &gone)
	} else {
		s.insert(hash, e, now, &gone)
	}
	kept := e.id != 0
	s.mu.Unlock()
	s.announce(gone)
	return e.view(), kept
}

// Renew gives key's entry another expiry and meta if it is still the entry old, as Get returned it.
// It reports whether it is. OnLeave is not called: no value leaves.
func (s *Store) Renew(key string, old Entry, expires int64, meta uint64) bool {
	now := s.Now()
	if expires != 0 && expires <= now {
		return false
	}
	e := newEntry(key, bytesOf(old.Value), expires, meta)
	hash := maphash.String(s.seed, key)

	var gone departures
	s.mu.Lock()
	present := s.table.Load().find(hash, key)
	same := present != nil && present.is(old)
	if same {
		s.replace(present, e, now)
		s.makeRoom(now, &gone)
	}
	s.mu.Unlock()
	s.announce(gone)
	return same
}

// leaveOut removes the entry of key, whose new value is not kept.
func (s *Store) leaveOut(refused func() bool, key string, tooLarge bool) {
	var gone departures
	s.mu.Lock()
	if refused != nil && refused() {
		s.mu.Unlock()
		return
	}
	if tooLarge {
		s.tally.rejected++
	}
	if old := s.table.Load().find(maphash.String(s.seed, key), key); old != nil {
		s.eviction.remove(old)
		s.leave(old, Replaced, s.Now(), &gone)
	}
	s.mu.Unlock()
	s.announce(gone)
}

// insert adds e, whose key is not in the table. The caller holds s.mu.
func (s *Store) insert(hash uint64, e *entry, now int64, gone *departures) {
	s.table.Load().insert(hash, e, bornAt(now))
	s.bytes += e.bytes()
	s.eviction.add(hash, e)
	if e.expires() != 0 {
		s.wheel.add(e, now)
		s.arm(now)
	}
	s.makeRoom(now, gone)
}

// replace puts e in the place of old, which has the same key. The caller holds s.mu.
func (s *Store) replace(old, e *entry, now int64) {
	if old.expires() != 0 {
		s.wheel.remove(old)
	}
	s.eviction.replace(old, e)
	s.table.Load().replace(old, e, bornAt(now))
	s.bytes += e.bytes() - old.bytes()
	if e.expires() != 0 {
		s.wheel.add(e, now)
		s.arm(now)
	}
}

// makeRoom removes entries until the others are within the bound and the table can take one more.
// The caller holds s.mu.
func (s *Store) makeRoom(now int64, gone *departures) {
	t := s.table.Load()
	steps := addSteps
	for {
		room := s.config.MaxBytes - (s.metadata() - s.base) // for entries
		if s.bytes <= room && !t.full() {
			return
		}
		if e := s.wheel.expired(now, &steps); e != nil {
			s.eviction.remove(e)
			s.drop(e, Expired, now, gone)
			continue
		}
		e := s.eviction.evict(room)
		if e == nil {
			return
		}
		s.leave(e, Evicted, now, gone)
	}
}

// metadata returns the heap that bookkeeping takes. The caller holds s.mu.
func (s *Store) metadata() int64 { return s.table.Load().bytes() + s.eviction.bytes() }

// Remove removes the entry of key, and reports whether there was one that had not expired.
func (s *Store) Remove(key string) bool {
	var gone departures
	fresh := false
	s.mu.Lock()
	if e := s.table.Load().find(maphash.String(s.seed, key), key); e != nil {
		s.eviction.remove(e)
		fresh = s.leave(e, Removed, s.Now(), &gone) == Removed
	}
	s.mu.Unlock()
	s.announce(gone)
	return fresh
}

// Range calls f for each entry until f returns false. f and others may use the store meanwhile.
// Range may miss what is added or removed meanwhile, and an entry may come twice.
func (s *Store) Range(f func(key string, e Entry) bool) {
	t := s.table.Load()
	var some []*entry
	for from := uint32(0); from < t.buckets(); from += rangeBuckets {
		some = some[:0]
		s.mu.Lock()
		for n := from; n < min(from+rangeBuckets, t.buckets()); n++ {
			some = t.appendBucket(some, n)
		}
		s.mu.Unlock()
		for _, e := range some {
			if !f(e.key(), e.view()) {
				return
			}
		}
	}
}

// rangeBuckets is how many buckets Range reads at a time while it holds the lock.
const rangeBuckets = 64

// Clear removes all entries at once. Apart from the calls of OnLeave, its time does not depend on
// their number.
func (s *Store) Clear() {
	s.mu.Lock()
	t := s.table.Load()
	s.tally.left[Removed] += t.items
	s.empty()
	s.mu.Unlock()
	if s.config.OnLeave == nil {
		return
	}
	var some []*entry
	for n := range t.buckets() {
		some = t.appendBucket(some[:0], n)
		for _, e := range some {
			s.config.OnLeave(e.key(), e.view(), Removed)
		}
	}
}

// Stats returns the store's figures.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Items:           s.table.Load().items,
		Bytes:           s.bytes + s.metadata() - s.base,
		Evicted:         s.tally.left[Evicted],
		Expired:         s.tally.left[Expired],
		Removed:         s.tally.left[Removed],
		Replaced:        s.tally.left[Replaced],
		Rejected:        s.tally.rejected,
		EvictedEarly:    s.tally.evictedEarly,
		YoungestEvicted: s.tally.youngest.get(s.Now()),
	}
}
