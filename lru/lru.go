// Package lru is a cache that is bounded in bytes. When it is full, the entry that was not used for
// the longest time leaves first.
//
// The bound is for what the entries really cost on the heap: values, keys and bookkeeping, each
// rounded up as the allocator rounds it. That is the live heap. A process takes more than its live
// heap, as GOGC says.
//
// The cache has no clock. A caller that caches values which expire checks what Get returns, and
// removes it with [Cache.RemoveIf].
package lru

import (
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"unsafe"
)

// Reason says why an entry left. It is also the Reason of package peercache.
type Reason uint8

const (
	Evicted  Reason = iota // to make room
	Expired                // its time was over: this cache has no clock, so only a RemoveIf says that
	Removed                // by Remove or Clear
	Replaced               // by a later Add of the same key, kept or not
)

// String returns the reason in lower case.
func (r Reason) String() string {
	switch r {
	case Evicted:
		return "evicted"
	case Expired:
		return "expired"
	case Removed:
		return "removed"
	case Replaced:
		return "replaced"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// Stats are the figures of a cache. Items and Bytes say what is in it now. The others only grow.
type Stats struct {
	Items     int64
	Bytes     int64 // what the entries cost, never more than the bound
	Evictions int64 // entries that left to make room
	Rejected  int64 // Adds of something larger than the whole bound
}

// Cache is a bounded map from strings to values. It is made by New, and is safe for concurrent use.
// Apart from the callbacks, all methods but Range and Clear take constant time.
type Cache[V any] struct {
	maxBytes int64
	size     func(key string, v V) int64
	onLeave  func(key string, v V, r Reason)
	seed     maphash.Seed

	mu        sync.Mutex // guards the fields below, and all entries
	table     table[V]
	order     list[V]
	bytes     int64
	evictions int64
	rejected  int64
}

// entry is a key and its value. While it is in the cache, it is in one chain of the
// table and in the list.
type entry[V any] struct {
	prev, next *entry[V] // in the list
	chain      *entry[V] // next in the same bucket of the table
	hash       uint64
	cost       int64 // what it adds to the cache's bytes
	key        string
	value      V
}

// New returns an empty cache that holds at most maxBytes.
//
// size returns the bytes that v has on the heap outside of itself: for a []byte, its length. It is
// called once for each Add, must always return the same for a value that is in the cache, and
// counts as 0 if it is negative. The cache adds the rest: the key, the bookkeeping, and the
// rounding of the allocator. It assumes that key and value are one allocation each.
//
// onLeave, if not nil, is called exactly once for every entry that leaves. It is called after the
// entry has left, by the goroutine that made it leave and before that call returns, with no lock
// held, so that it may use the cache. For one goroutine the calls come in the order in which the
// entries left. Calls of several goroutines run at the same time and in any order. It must not
// panic.
//
// New fails if maxBytes is not positive or size is nil.
func New[V any](maxBytes int64, size func(key string, v V) int64, onLeave func(key string, v V, r Reason)) (*Cache[V], error) {
	if maxBytes <= 0 {
		return nil, fmt.Errorf("peercache: lru: the bound must be positive, not %d bytes", maxBytes)
	}
	if size == nil {
		return nil, errors.New("peercache: lru: size is nil")
	}
	return &Cache[V]{
		maxBytes: maxBytes,
		size:     size,
		onLeave:  onLeave,
		seed:     maphash.MakeSeed(),
		table:    newTable[V](),
	}, nil
}

// Get returns the value of key, and marks it as just used. It does not allocate.
func (c *Cache[V]) Get(key string) (v V, ok bool) {
	hash := maphash.String(c.seed, key)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.table.find(hash, key)
	if e == nil {
		return v, false
	}
	c.order.moveToFront(e)
	return e.value, true
}

// Add caches v under key, as just used, in place of an older value, and makes room for it. It
// reports whether v is in the cache. A value that is larger than the whole bound is not, and the
// older value leaves all the same, as Replaced.
//
// The cache keeps the string key. If key is a part of a larger string, that stays in memory too,
// and is not counted: the caller clones key before.
func (c *Cache[V]) Add(key string, v V) bool { return c.AddUnless(nil, key, v) }

// AddUnless does what Add does, unless refused returns true. It reports whether v is in the cache.
// The cache is locked while refused runs, so that no Remove comes between its answer and the Add.
// So it must be quick and must not use the cache. A nil refused never refuses.
func (c *Cache[V]) AddUnless(refused func() bool, key string, v V) bool {
	cost, fits := c.cost(key, v)
	hash := maphash.String(c.seed, key)

	c.mu.Lock()
	if refused != nil && refused() {
		c.mu.Unlock()
		return false
	}
	e := c.table.find(hash, key)
	if !fits {
		c.rejected++
		if e != nil {
			c.unlink(e)
		}
		c.mu.Unlock()
		if e != nil {
			c.tell(e.key, e.value, Replaced)
		}
		return false
	}
	replaced := e != nil
	var old V
	if replaced {
		old, e.value = e.value, v
		c.bytes += cost - e.cost
		e.cost = cost
		c.order.moveToFront(e)
	} else {
		c.link(&entry[V]{hash: hash, cost: cost, key: key, value: v})
	}
	evicted := c.makeRoom()
	c.mu.Unlock()

	if replaced {
		c.tell(key, old, Replaced)
	}
	for e := evicted; e != nil; e = e.next {
		c.tell(e.key, e.value, Evicted)
	}
	return true
}

// Remove removes the entry of key, and reports whether there was one.
func (c *Cache[V]) Remove(key string) bool {
	return c.RemoveIf(key, Removed, nil)
}

// RemoveIf removes the entry of key, for the reason r, if there is one and cond returns true for
// its value. It reports whether it did. A nil cond is always true.
//
// With cond, a caller removes exactly the value that it has seen, and not one that was added since.
// The cache is locked while cond runs: it must be quick and must not use the cache.
func (c *Cache[V]) RemoveIf(key string, r Reason, cond func(V) bool) bool {
	e := c.take(key, cond)
	if e == nil {
		return false
	}
	c.tell(e.key, e.value, r)
	return true
}

// take unlinks the entry of key, if there is one and cond holds.
func (c *Cache[V]) take(key string, cond func(V) bool) *entry[V] {
	hash := maphash.String(c.seed, key)
	c.mu.Lock()
	defer c.mu.Unlock() // cond may panic
	e := c.table.find(hash, key)
	if e == nil || cond != nil && !cond(e.value) {
		return nil
	}
	c.unlink(e)
	return e
}

// Update replaces the value of key by what f returns for it, if there is one and f returns true. It
// reports whether it did. No value leaves, and nothing is marked as used. The new value must have
// the size of the old one. The cache is locked while f runs: it must be quick and must not use the
// cache.
func (c *Cache[V]) Update(key string, f func(V) (V, bool)) bool {
	hash := maphash.String(c.seed, key)
	c.mu.Lock()
	defer c.mu.Unlock() // f may panic
	e := c.table.find(hash, key)
	if e == nil {
		return false
	}
	v, ok := f(e.value)
	if ok {
		e.value = v
	}
	return ok
}

// Range calls f for each entry until f returns false, the entry that was used last first. It takes
// the entries that are in the cache at one moment. f may use the cache.
func (c *Cache[V]) Range(f func(key string, v V) bool) {
	type pair struct {
		key   string
		value V
	}
	c.mu.Lock()
	pairs := make([]pair, 0, c.table.count)
	for e := c.order.front; e != nil; e = e.next {
		pairs = append(pairs, pair{e.key, e.value})
	}
	c.mu.Unlock()
	for _, p := range pairs {
		if !f(p.key, p.value) {
			return
		}
	}
}

// Clear removes all entries, as Removed. onLeave is called for the longest unused one first.
func (c *Cache[V]) Clear() {
	c.mu.Lock()
	e := c.order.back
	c.order = list[V]{}
	c.table = newTable[V]()
	c.bytes = 0
	c.mu.Unlock()
	for ; e != nil && c.onLeave != nil; e = e.prev {
		c.tell(e.key, e.value, Removed)
	}
}

// Stats returns how full the cache is and what has happened so far.
func (c *Cache[V]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Items:     int64(c.table.count),
		Bytes:     c.bytes,
		Evictions: c.evictions,
		Rejected:  c.rejected,
	}
}

// bucketBytes is an entry's share of the table. The table has about as many buckets as entries, and
// a bucket is one pointer. The list of segments adds 1/64 of that.
const bucketBytes = int64(unsafe.Sizeof(uintptr(0)))

// cost returns all that an entry for v costs, and whether that is within the bound. The entry
// itself, which has the value's header in it, is one more allocation.
func (c *Cache[V]) cost(key string, v V) (cost int64, fits bool) {
	size := max(0, c.size(key, v))
	if size > c.maxBytes { // before rounding up, which may overflow
		return 0, false
	}
	cost = int64(allocSize(uint64(size)) +
		allocSize(uint64(len(key))) +
		allocSize(uint64(unsafe.Sizeof(entry[V]{}))))
	cost += bucketBytes
	// Rounding the largest sizes overflows to something negative.
	return cost, 0 < cost && cost <= c.maxBytes
}

// link puts e into the cache. The caller holds c.mu.
func (c *Cache[V]) link(e *entry[V]) {
	c.table.insert(e)
	c.order.pushFront(e)
	c.bytes += e.cost
}

// unlink takes e out of the cache. The caller holds c.mu.
func (c *Cache[V]) unlink(e *entry[V]) {
	c.table.remove(e)
	c.order.remove(e)
	c.bytes -= e.cost
}

// makeRoom unlinks the longest unused entries until the others are within the bound. It returns
// them linked by next, in the order in which they left. The entry that was just added is never
// among them: it is the last to leave, and fits alone.
func (c *Cache[V]) makeRoom() (first *entry[V]) {
	var last *entry[V]
	for c.bytes > c.maxBytes {
		e := c.order.back
		c.unlink(e)
		c.evictions++
		if last == nil {
			first = e
		} else {
			last.next = e
		}
		last = e
	}
	return first
}

// tell calls onLeave, if there is one. The caller does not hold c.mu.
func (c *Cache[V]) tell(key string, v V, r Reason) {
	if c.onLeave != nil {
		c.onLeave(key, v, r)
	}
}

// list has all entries, the one that was used last at the front.
type list[V any] struct {
	front, back *entry[V]
}

func (l *list[V]) pushFront(e *entry[V]) {
	e.prev, e.next = nil, l.front
	if l.front == nil {
		l.back = e
	} else {
		l.front.prev = e
	}
	l.front = e
}

func (l *list[V]) remove(e *entry[V]) {
	if e.prev == nil {
		l.front = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.back = e.prev
	} else {
		e.next.prev = e.prev
	}
	e.prev, e.next = nil, nil
}

func (l *list[V]) moveToFront(e *entry[V]) {
	if l.front != e {
		l.remove(e)
		l.pushFront(e)
	}
}
