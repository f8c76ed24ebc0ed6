package peercache

import (
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/store"
	"github.com/peercache/peercache/lru"
)

// A Cache keeps the values of a group in this process, within a number of
// bytes. Its methods are called concurrently. They must not panic: within a load or a
// peer's request it would be an error of that, but otherwise it goes on in the goroutine that
// made the call, a caller's or one in the background.
type Cache interface {
	// Get returns the entry of key. It is called for every Get of the group, so
	// it should be quick. It may return an entry that has expired: the Group
	// looks.
	Get(key string) (Entry, bool)
	// Add keeps e under key in place of what was there, unless tainted returns
	// true, and reports whether it is kept. If e is too large to be kept, what
	// was there is gone all the same.
	//
	// To ask tainted and to put e in must be one step with respect to Remove of
	// the key, as under a lock that Remove takes too: this is what makes a
	// Remove win over a load that is in progress. tainted is quick and takes no
	// lock.
	//
	// The cache must not hold on to memory beyond what it counts against its
	// bytes; key and e.View are not parts of something larger.
	Add(key string, e Entry, tainted func() bool) bool
	// Renew gives the entry of key the Expires, Lease and Former of e, if what is there has
	// the View of e, the same one (ByteView.Same); it reports whether it had. No value
	// leaves: onLeave does not hear of it.
	Renew(key string, e Entry) bool
	// Remove drops key and reports whether it was there.
	Remove(key string) bool
	// Clear drops all entries. It stands in the same relation to Add as Remove.
	Clear()
	// Range calls f for the entries, in any order, until it returns false. What is
	// added or removed meanwhile may be missed, and an entry may come twice. f may
	// use the cache.
	Range(f func(key string, e Entry) bool)
	// Stats returns the cache's figures, but for Capacity, Hits and Misses.
	Stats() CacheStats
}

// Ranker is a Cache that knows what its entries are worth to it. If not all can be handed
// over to another peer, those are that are worth most; without it, those that Range comes
// to first.
type Ranker interface {
	Cache
	// Worth returns a higher number for an entry that is more likely to be asked
	// for. It does not count as a use of the entry.
	Worth(key string) uint32
}

// NewCache makes a Cache that takes at most maxBytes, with its keys and its
// bookkeeping. If onLeave is not nil the Cache calls it exactly once for every
// entry that leaves, after it has left, with no lock held: onLeave may call any
// method of the Cache and of the Group. (An Add that lets its own entry go again
// may call it as well.) A Group makes one Cache for what it owns and, if it has
// peers, another one for copies. The package cachetest checks a Cache.
type NewCache func(maxBytes int64, onLeave func(key string, e Entry, r Reason)) (Cache, error)

// Reason says why an entry left a cache. Its String is the reason in lower case, such as "evicted".
type Reason = lru.Reason

const (
	Evicted  Reason = lru.Evicted  // to make room
	Expired  Reason = lru.Expired  // its time was over
	Removed  Reason = lru.Removed  // by Remove, here or on another peer
	Replaced Reason = lru.Replaced // by a newer value of its key
)

// Entry is what a Cache keeps for a key.
type Entry struct {
	View ByteView
	// Expires is when the entry is of no use any more. Zero: never.
	Expires clock.Instant
	// Lease is until when it may be served without asking its owner again. Zero: it
	// is the owner's own.
	Lease clock.Instant
	// Former says, of an entry that has a Lease, that it was the owner's own before the
	// view changed.
	Former bool
	// Missing says that the origin has no such key, in words that are in View.
	Missing bool
}

// clone returns e with a copy of its value, in memory of its own.
func (e Entry) clone() Entry {
	e.View = ViewOf(e.View.bytes())
	return e
}

// CacheStats are the figures of one cache. A cache of the user's own may leave
// some of them at zero; Capacity, Hits and Misses are the group's.
type CacheStats struct {
	Items int64 // entries now
	Bytes int64 // what they cost now: values, keys and bookkeeping
	// Capacity is what they may cost: this cache's part of the group's bytes.
	Capacity int64

	Hits   int64 // Gets and peers' requests that this cache answered
	Misses int64 // those for which it was looked into in vain

	// Entries that left, by reason; see Reason.
	Evictions, Expired, Removed, Replaced int64

	Rejected int64 // values that were too large to be kept

	// What tells whether the cache is large enough. EvictedEarly are the entries
	// that were evicted before they expired, which says that it is too small for
	// the TTL. YoungestEvicted is the age of the youngest of those evicted
	// lately: what is asked for again within that time is found, as a rule.
	EvictedEarly    int64
	YoungestEvicted time.Duration
}

// Instant is a moment on this process's clock, in nanoseconds from an arbitrary start. It
// means nothing to another process: between peers, times travel as durations (P7). The
// zero Instant stands for never.
//
// The clock does not go back, and setting the wall clock does not move it. It counts the
// time in which the machine was suspended, in which leases run out and values expire as
// they do elsewhere. On Linux the kernel says how long that was (CLOCK_BOOTTIME), and on
// Windows Go's own clock counts it. On other systems, a wall clock that jumps forward is
// taken for a machine that was suspended: there, setting it forward ends leases and lets
// values expire. A virtual machine that is paused together with all its clocks, and a
// process that is restored from a checkpoint, cannot know how long that was.
type Instant = clock.Instant

// Now returns the present Instant.
func Now() Instant { return clock.Now() }

// NewStore is the NewCache that a Group uses by default, of the package store:
// read without a lock, with a policy that adapts to what is asked for, and with
// entries that leave by themselves when they expire. A value of more than a
// quarter of maxBytes is not kept.
func NewStore(maxBytes int64, onLeave func(key string, e Entry, r Reason)) (Cache, error) {
	c := store.Config{MaxBytes: maxBytes, Now: func() int64 { return int64(clock.Now()) }}
	if onLeave != nil {
		c.OnLeave = func(key string, e store.Entry, r Reason) { onLeave(key, entryOf(e), r) }
	}
	s, err := store.New(c)
	if err != nil {
		return nil, err
	}
	return storeCache{s}, nil
}

// storeCache makes a Cache of a store.Store, whose clock is that of Instant.
type storeCache struct{ *store.Store }

// What an Entry has beyond a store.Entry is in the latter's Meta, which costs nothing
// as long as it is zero: the Lease, and in the two highest bits, which no Instant has,
// Missing and Former.
const (
	missingBit = 1 << 63
	formerBit  = 1 << 62
)

func metaOf(e Entry) uint64 {
	meta := uint64(e.Lease)
	if e.Missing {
		meta |= missingBit
	}
	if e.Former {
		meta |= formerBit
	}
	return meta
}

func entryOf(e store.Entry) Entry {
	return Entry{
		View:    ByteView{e.Value},
		Expires: clock.Instant(e.Expires),
		Lease:   clock.Instant(e.Meta &^ (missingBit | formerBit)),
		Former:  e.Meta&formerBit != 0,
		Missing: e.Meta&missingBit != 0,
	}
}

func (c storeCache) Get(key string) (Entry, bool) {
	e, ok := c.Store.Get(key)
	return entryOf(e), ok
}

// peek does what Get does, and does not count as a use of the entry.
func (c storeCache) peek(key string) (Entry, bool) {
	e, ok := c.Peek(key)
	return entryOf(e), ok
}

func (c storeCache) Add(key string, e Entry, tainted func() bool) bool {
	_, kept := c.addCopy(key, e, tainted)
	return kept
}

// addCopy does what Add does, and returns the entry with the store's own copy of its value. So
// neither key nor e.View need be in memory of their own.
func (c storeCache) addCopy(key string, e Entry, tainted func() bool) (own Entry, kept bool) {
	stored, kept := c.AddUnless(tainted, key, e.View.bytes(), int64(e.Expires), metaOf(e))
	return entryOf(stored), kept
}

func (c storeCache) Renew(key string, e Entry) bool {
	old, ok := c.Peek(key)
	if !ok || !e.View.Same(ByteView{old.Value}) {
		return false
	}
	return c.Store.Renew(key, old, int64(e.Expires), metaOf(e))
}

func (c storeCache) Range(f func(key string, e Entry) bool) {
	c.Store.Range(func(key string, e store.Entry) bool { return f(key, entryOf(e)) })
}

func (c storeCache) Stats() CacheStats {
	s := c.Store.Stats()
	return CacheStats{
		Items:           s.Items,
		Bytes:           s.Bytes,
		Evictions:       s.Evicted,
		Expired:         s.Expired,
		Removed:         s.Removed,
		Replaced:        s.Replaced,
		Rejected:        s.Rejected,
		EvictedEarly:    s.EvictedEarly,
		YoungestEvicted: s.YoungestEvicted,
	}
}

// NewLRU is the NewCache of the package lru: what was not used for the longest
// time leaves first. It is for those who want just that; the default is NewStore.
func NewLRU(maxBytes int64, onLeave func(key string, e Entry, r Reason)) (Cache, error) {
	c, err := lru.New(maxBytes, func(_ string, e Entry) int64 { return int64(e.View.Len()) }, onLeave)
	if err != nil {
		return nil, err
	}
	return lruCache{c}, nil
}

// lruCache makes a Cache of an lru.Cache.
type lruCache struct{ *lru.Cache[Entry] }

func (c lruCache) Add(key string, e Entry, tainted func() bool) bool {
	return c.AddUnless(tainted, key, e)
}

func (c lruCache) Renew(key string, e Entry) bool {
	return c.Update(key, func(old Entry) (Entry, bool) {
		if !old.View.Same(e.View) {
			return old, false
		}
		old.Expires, old.Lease, old.Former = e.Expires, e.Lease, e.Former
		return old, true
	})
}

func (c lruCache) Stats() CacheStats {
	s := c.Cache.Stats()
	return CacheStats{Items: s.Items, Bytes: s.Bytes, Evictions: s.Evictions, Rejected: s.Rejected}
}
