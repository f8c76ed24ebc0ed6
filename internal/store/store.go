// Package store is the cache behind a group. It is bounded by the heap that it really takes, it is
// read without a lock, and its values expire by themselves.
//
// A store is cut into shards by the hash of the keys (shard.go), so that those who add do not wait
// for each other. All shards share one bound (budget.go), one timer (alarm.go), and one choice of
// the policy (advice.go). A small store has one shard.
//
// This is the life of an entry. Add copies key and value into one object (entry.go) and publishes
// it in its shard's table (table.go), from which Get reads it without a lock. If there is no room,
// eviction.go chooses the entries that leave. An entry that expires is in the wheel too (wheel.go).
// Each entry leaves the table once: evicted, expired, removed or replaced (leave.go). Then OnLeave
// is called. The object lives on as long as somebody holds a view of it.
package store

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/alloc"
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
	// allocator rounds them. What is there before the first entry comes on top: 1 KiB, and with
	// the first Add 12 KiB, and 6 KiB for each further shard.
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

	// shardBits is how many bits of a hash can choose a shard.
	shardBits = 5
	maxShards = 1 << shardBits
	// shardBytes is the least that a shard has. In a smaller one, chance would give some keys
	// much less room than others, above all where values are large. With larger ones, there
	// would be too few of them for those who add to a store of medium size.
	shardBytes = 2 << 20
)

// Store is a cache. Its methods may be called concurrently. It is made by New.
type Store struct {
	// These are never written after New.
	seed   maphash.Seed
	start  time.Time
	config Config

	// shards is nil until the first Add, so that a store without entries is small, whatever its
	// bound.
	shards atomic.Pointer[[]shard]
	making sync.Once
	// tables are those of the shards, or nothing. Clear replaces them all at once, with all shards
	// locked.
	tables atomic.Pointer[[]table]

	_      [128]byte // keeps writers' words away from what every Get reads
	budget budget
	advice advice
	alarm  alarm
}

// New returns an empty store.
func New(c Config) (*Store, error) {
	if c.MaxBytes <= 0 {
		return nil, fmt.Errorf("peercache: store of %d bytes: MaxBytes must be positive", c.MaxBytes)
	}
	return newSharded(c, shardsFor(c.MaxBytes)), nil
}

// shardsFor returns how many shards a store of so many bytes has: a power of two.
func shardsFor(maxBytes int64) int {
	n := min(max(maxBytes/shardBytes, 1), maxShards)
	return 1 << (bits.Len64(uint64(n)) - 1)
}

// newSharded returns an empty store with n shards, a power of two.
func newSharded(c Config, n int) *Store {
	s := &Store{seed: maphash.MakeSeed(), start: time.Now(), config: c}
	alloc.Prepare() // now, so that no Add has to wait for it
	s.budget.init(c.MaxBytes, n)
	s.alarm.init()
	s.tables.Store(nothing())
	return s
}

// nothing is the table of all stores that have no shards yet. Nobody writes to it.
var nothing = sync.OnceValue(func() *[]table {
	tables := make([]table, 1)
	tables[0].init(0, nil)
	return &tables
})

// all returns the shards, none before the first Add.
func (s *Store) all() []shard {
	if shards := s.shards.Load(); shards != nil {
		return *shards
	}
	return nil
}

// begun returns the shards, and makes them if there are none.
func (s *Store) begun() []shard {
	if shards := s.shards.Load(); shards != nil {
		return *shards
	}
	s.making.Do(func() {
		shards, tables := make([]shard, s.budget.shards), s.newTables()
		for i := range shards {
			shards[i].init(s, i == 0, &tables[i])
		}
		s.tables.Store(&tables) // first: whoever finds the shards finds their tables
		s.shards.Store(&shards)
	})
	return *s.shards.Load()
}

// newTables returns empty tables for all shards.
func (s *Store) newTables() []table {
	seed := s.seed
	hash := func(key string) uint64 { return maphash.String(seed, key) }
	tables := make([]table, s.budget.shards)
	for i := range tables {
		tables[i].init(s.budget.share, hash)
	}
	return tables
}

// Now returns the time on the store's clock.
func (s *Store) Now() int64 {
	if s.config.Now != nil {
		return s.config.Now()
	}
	return int64(time.Since(s.start))
}

// partOf returns the number of the shard, of n, that has the key of a hash. The product depends on
// all bits of the hash, so that the other uses of single bits find them as random in each shard.
func partOf(hash uint64, n int) uint64 { return hash * spread >> (64 - shardBits) & uint64(n-1) }

// tableOf returns the table that has the key of a hash. The caller need not hold a lock.
func (s *Store) tableOf(hash uint64) *table {
	tables := *s.tables.Load()
	return &tables[partOf(hash, len(tables))]
}

// shardOf returns the shard, of some, that has the key of a hash, or nil if there are none.
func shardOf(shards []shard, hash uint64) *shard {
	if len(shards) == 0 {
		return nil
	}
	return &shards[partOf(hash, len(shards))]
}

// Get returns the entry of key. It takes no lock and reads no clock: it also returns an entry that
// has expired and was not swept yet. The caller checks Entry.Expires.
func (s *Store) Get(key string) (Entry, bool) {
	hash := maphash.String(s.seed, key)
	t := s.tableOf(hash)
	e := t.find(hash, key)
	if e == nil {
		return Entry{}, false
	}
	if state := t.hit(hash, e); state&(hasExpiry|hasMeta|isLong) == 0 {
		return Entry{Value: e.plainValue(state)}, true
	}
	return e.view(), true
}

// Peek does what Get does, and does not count as a use of the entry.
func (s *Store) Peek(key string) (Entry, bool) {
	hash := maphash.String(s.seed, key)
	if e := s.tableOf(hash).find(hash, key); e != nil {
		return e.view(), true
	}
	return Entry{}, false
}

// Age returns for how long key has had its entry, to about 17 ms, and whether it has
// one. A Renew makes another entry.
func (s *Store) Age(key string) (time.Duration, bool) {
	hash := maphash.String(s.seed, key)
	shard := shardOf(s.all(), hash)
	if shard == nil {
		return 0, false
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	e := shard.table.find(hash, key)
	if e == nil {
		return 0, false
	}
	return time.Duration(ageOf(shard.table.ids.member(e.id).born, s.Now())), true
}

// Worth returns a number that is higher for an entry with more hits lately, and for later hits if
// there were as many. It returns zero if there is no entry.
func (s *Store) Worth(key string) uint32 {
	hash := maphash.String(s.seed, key)
	t := s.tableOf(hash)
	e := t.find(hash, key)
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

// AddUnless does what Add does, unless refused returns true. The shard of key is locked while
// refused runs, so that neither a Remove of key nor a Clear comes between its answer and the Add.
// So it must be quick and must not use the store. A nil refused never refuses.
func (s *Store) AddUnless(refused func() bool, key string, value []byte, expires int64, meta uint64) (Entry, bool) {
	bytes := cost(len(key), len(value), expires, meta)
	tooLarge := len(key) > maxKeyLen || uint64(len(value)) > maxValLen || bytes > s.config.MaxBytes/maxPart
	hash := maphash.String(s.seed, key)
	shard := shardOf(s.begun(), hash)
	now := s.Now()
	var gone departures
	if tooLarge || expires != 0 && expires <= now {
		shard.leaveOut(refused, hash, key, tooLarge, now, &gone)
		s.announce(gone)
		return Entry{Value: string(value), Expires: expires, Meta: meta}, false
	}
	e := newEntry(key, value, expires, meta)
	reserved := s.reserve(bytes, now, &gone)
	kept := shard.add(refused, hash, key, e, reserved, now, &gone)
	s.announce(gone)
	return e.view(), kept
}

// Renew gives key's entry another expiry and meta if it is still the entry old, as Get returned it.
// It reports whether it is. OnLeave is not called: no value leaves. A large value is not copied.
func (s *Store) Renew(key string, old Entry, expires int64, meta uint64) bool {
	now := s.Now()
	if expires != 0 && expires <= now {
		return false
	}
	e := renewed(key, old, expires, meta)
	hash := maphash.String(s.seed, key)
	var gone departures
	shard := shardOf(s.all(), hash)
	same := shard != nil && shard.renew(hash, key, old, e, now, &gone)
	s.announce(gone)
	return same
}

// Remove removes the entry of key, and reports whether there was one that had not expired.
func (s *Store) Remove(key string) bool {
	hash := maphash.String(s.seed, key)
	var gone departures
	shard := shardOf(s.all(), hash)
	fresh := shard != nil && shard.removeKey(hash, key, &gone)
	s.announce(gone)
	return fresh
}

// Range calls f for each entry until f returns false. f and others may use the store meanwhile.
// Range may miss what is added or removed meanwhile, and an entry may come twice.
func (s *Store) Range(f func(key string, e Entry) bool) {
	var some []*entry
	shards := s.all()
	for i := range shards {
		t := &(*s.tables.Load())[i]
		for from := uint32(0); from < t.buckets(); from += rangeBuckets {
			some = shards[i].appendBuckets(some[:0], t, from)
			for _, e := range some {
				if !f(e.key(), e.view()) {
					return
				}
			}
		}
	}
}

// rangeBuckets is how many buckets Range reads at a time while it holds the lock.
const rangeBuckets = 64

// Clear removes all entries at once: no Get sees one of them after another Get has seen that they
// are gone. Apart from the calls of OnLeave, its time does not depend on their number.
func (s *Store) Clear() {
	shards := s.all()
	if shards == nil {
		return // nothing was ever added
	}
	tables := s.newTables()
	lock(shards)
	old := *s.tables.Load()
	for i := range shards {
		shards[i].clear(&tables[i])
	}
	s.tables.Store(&tables)
	unlock(shards)
	if s.config.OnLeave == nil {
		return
	}
	var some []*entry
	for i := range old {
		for n := range old[i].buckets() {
			some = old[i].appendBucket(some[:0], n)
			for _, e := range some {
				s.config.OnLeave(e.key(), e.view(), Removed)
			}
		}
	}
}

// lock locks all shards. Nobody else waits for a shard while it holds another one's lock.
func lock(shards []shard) {
	for i := range shards {
		shards[i].mu.Lock()
	}
}

func unlock(shards []shard) {
	for i := range shards {
		shards[i].mu.Unlock()
	}
}

// Stats returns the store's figures, all of the same moment.
func (s *Store) Stats() (sum Stats) {
	shards := s.all()
	lock(shards)
	defer unlock(shards)
	now := s.Now()
	for i := range shards {
		sum.add(shards[i].stats(now))
	}
	return sum
}
