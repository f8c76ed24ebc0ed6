package store

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// A table finds the entries of a shard. Readers take no lock; writers hold the shard's lock, so
// there is one at a time.
//
// It is a linear hash table: a row of buckets that grows by one bucket at a time, which takes
// over its share of one older bucket. So growing never pauses for more than a handful of
// entries, and no entry is moved more often than the table doubles. A bucket that is full
// goes on in overflow buckets; only the last bucket of such a chain may have free slots.
//
// A reader must never miss an entry that is there, also while it is moved. The rule for
// everything that moves an entry or takes a bucket out of a chain:
//
//	store the entry in its new place; change table.state; clear the old place
//
// A reader that finds its key has found it, whatever else goes on. A reader that does not
// looks whether state is as it was when it began, and begins again if it is not. If state is
// the same and the reader looked into an old place after it was cleared, it began after the
// change of state, so after the entry was in its new place too, and has looked there.

const (
	slotsPerBucket = 6
	// fill is the mean number of entries in a bucket at which the table grows: more saves
	// memory and costs more overflow buckets, each a cache miss.
	fillNum, fillDen = 9, 2

	tagBits  = 8
	tagMask  = 1<<tagBits - 1
	tagLows  = 0x0000_0101_0101_0101 // the lowest bit of each tag
	tagHighs = 0x0000_8080_8080_8080 // the highest bit of each tag
)

// bucket fills a cache line, where pointers have 8 bytes.
type bucket struct {
	// tags holds a byte of each entry's hash, never 0, or 0 where the slot is free. It is
	// stored after the slot is filled and before it is cleared: a tag leads to an entry.
	tags atomic.Uint64
	next atomic.Uint32 // the overflow bucket's number and 1; 0: none
	// nextFree links overflow buckets that are not in use, like next. Readers leave it alone.
	nextFree uint32
	slot     [slotsPerBucket]atomic.Pointer[entry]
}

type table struct {
	// Read by every Get, and written only when the table grows or moves something.

	// state holds the number of buckets in its lower half. Its upper half counts the moves
	// that do not change that number.
	state atomic.Uint64
	// epoch is what a hit records in its entry: core.now, which goes on by one whenever a
	// sixteenth of the entries has been added.
	epoch atomic.Uint32
	// limit is the sample's, for hits: those whose keys are below it go into hits (ring.go).
	limit atomic.Uint32
	hits  *ring // nil if limit is always 0

	main     row // buckets [0, number of buckets)
	overflow row
	_        [128]byte // keeps what writers write away from what readers read

	// Guarded by the shard's lock.
	ids          ids
	items        int64
	overflowUsed uint32 // overflow buckets [0, overflowUsed) have been used
	overflowFree uint32 // the first of those given back, and 1
	hash         func(key string) uint64
	pause        func()    // for tests, which look at the table between a writer's stores; otherwise nil
	_            [128]byte // the same, for the table of the next shard
}

// row is an array of buckets that grows and never moves, so that readers need no lock. Its chunks
// are as long as those of the type chunks.
type row struct {
	// chunks may be replaced by a longer slice with the same chunks.
	chunks  atomic.Pointer[[][]bucket]
	lacking uint32
	shift   uint8
}

const (
	// A chunk of 1<<smallShift buckets has 512 bytes, one of 1<<largeShift has 32 KiB. The
	// allocator gives these sizes no header, so that buckets start at cache lines.
	smallShift, largeShift = 3, 9
	// largeTable is the size in bytes from which on a cache has large chunks.
	largeTable = 4 << 20

	bucketBytes = int64(unsafe.Sizeof(bucket{}))
	chunkBytes  = int64(unsafe.Sizeof([]bucket(nil)))
)

// init prepares a table for about maxBytes of entries.
func (t *table) init(maxBytes int64, hash func(string) uint64) {
	t.hash = hash
	shift := uint8(smallShift)
	if maxBytes >= largeTable {
		shift = largeShift
	}
	t.main.shift, t.main.lacking = shift, 1<<shift-1<<smallShift
	t.overflow.shift = shift // no chunk before the first overflow
	t.main.reach(0)
	// As many bytes in a chunk of ids as in one of buckets: a member has an eighth of a
	// bucket's.
	t.ids.members = newChunks[member](shift + 3)
	t.state.Store(1)
}

func (r *row) at(i uint32) *bucket {
	i += r.lacking
	chunk := (*r.chunks.Load())[i>>(r.shift&31)]
	return &chunk[i&uint32(len(chunk)-1)]
}

// reach makes at(i) valid.
func (r *row) reach(i uint32) {
	var chunks [][]bucket
	if p := r.chunks.Load(); p != nil {
		chunks = *p
	}
	if int((i+r.lacking)>>r.shift) < len(chunks) {
		return
	}
	chunks = append(chunks, make([]bucket, chunkLen(len(chunks), r.shift, r.lacking))) // a reader sees the old length
	r.chunks.Store(&chunks)
}

func (r *row) bytes() int64 {
	p := r.chunks.Load()
	if p == nil {
		return 0
	}
	return (int64(len(*p))<<r.shift-int64(r.lacking))*bucketBytes + int64(cap(*p))*chunkBytes
}

// bytes returns the heap that the table takes, without the entries.
func (t *table) bytes() int64 {
	return t.main.bytes() + t.overflow.bytes() + t.ids.bytes()
}

// home returns the bucket in which the chain of a hash begins, among n buckets.
func home(hash uint64, n uint32) uint32 {
	mask := uint32(1)<<bits.Len32(n) - 1
	b := uint32(hash) & mask
	if b >= n {
		b &= mask >> 1
	}
	return b
}

// tagOf returns the byte of a hash that its bucket keeps.
func tagOf(hash uint64) uint64 {
	tag := hash >> (64 - tagBits)
	if tag == 0 {
		tag = 1
	}
	return tag
}

// matching returns a word with the highest bit set in each tag that equals tag, and perhaps
// in others: a tag is a hint.
func matching(tags, tag uint64) uint64 {
	x := tags ^ tag*tagLows
	return (x - tagLows) &^ x & tagHighs
}

// find returns the entry of key, or nil. The caller need not hold the lock.
func (t *table) find(hash uint64, key string) *entry {
	if len(key) > maxKeyLen {
		return nil
	}
	tag := tagOf(hash)
	for {
		state := t.state.Load()
		b := t.main.at(home(hash, uint32(state)))
		for {
			for m := matching(b.tags.Load(), tag); m != 0; m &= m - 1 {
				i := uint(bits.TrailingZeros64(m)) / tagBits
				if i >= slotsPerBucket {
					break
				}
				if e := b.slot[i].Load(); e != nil && (e.has(key) || e.hasLong(key)) {
					return e
				}
			}
			next := b.next.Load()
			if next == 0 {
				break
			}
			b = t.overflow.at(next - 1)
		}
		if t.state.Load() == state {
			return nil
		}
	}
}

// hit records that e, whose key has that hash, was asked for. It returns what touch does.
func (t *table) hit(hash uint64, e *entry) (state uint32) {
	state = e.touch(t.epoch.Load())
	if drawn(hash) < t.limit.Load() {
		t.hits.put(hash)
	}
	return state
}

func (t *table) buckets() uint32 { return uint32(t.state.Load()) }

// step lets a test look at the table.
func (t *table) step() {
	if t.pause != nil {
		t.pause()
	}
}

// moved changes state without changing the number of buckets.
func (t *table) moved() { t.state.Add(1 << 32) }

func (t *table) bucketAt(p place) *bucket {
	if p&overflowPlace != 0 {
		return t.overflow.at(p.bucket())
	}
	return t.main.at(p.bucket())
}

// entry returns the entry of an id in use.
func (t *table) entry(id uint32) *entry {
	p := t.ids.member(id).at
	return t.bucketAt(p).slot[p.slot()].Load()
}

// hashOf and costOf are for eviction (residents).
func (t *table) hashOf(e *entry) uint64 { return t.hash(e.key()) }
func (t *table) costOf(e *entry) int64  { return e.bytes() }

// full reports whether the table can take no more entries: it has two thousand million.
func (t *table) full() bool {
	return t.items >= maxID
}

// insert adds e, whose key is not there. It sets its id.
func (t *table) insert(hash uint64, e *entry, born uint32) {
	if t.items*fillDen >= int64(t.buckets())*fillNum {
		t.grow()
	}
	e.id = t.ids.take()
	t.ids.member(e.id).born = born
	t.put(home(hash, t.buckets()), tagOf(hash), e)
	t.items++
}

// replace puts e, which has the same key, in the place of old. Readers see either old or e.
func (t *table) replace(old, e *entry, born uint32) {
	m := t.ids.member(old.id)
	m.born = born
	e.id, e.next, e.prev = old.id, old.next, old.prev
	t.bucketAt(m.at).slot[m.at.slot()].Store(e)
}

// remove takes e out, and takes its id back.
func (t *table) remove(e *entry) {
	t.take(home(t.hash(e.key()), t.buckets()), t.ids.member(e.id).at)
	t.ids.give(e.id)
	e.id = 0
	t.items--
}

// grow adds a bucket, and moves to it what belongs there.
func (t *table) grow() {
	n := t.buckets()
	if n >= maxBuckets {
		return
	}
	t.main.reach(n)
	from := n - 1<<(bits.Len32(n)-1)

	var chain [8]place
	places := t.chain(chain[:0], from)
	for _, p := range places {
		b := t.bucketAt(p)
		for i := range b.slot {
			if e := b.slot[i].Load(); e != nil {
				if hash := t.hash(e.key()); home(hash, n+1) == n {
					t.put(n, tagOf(hash), e)
				}
			}
		}
	}
	t.step()
	t.state.Add(1) // to n+1 buckets
	t.step()
	// From the last place to the first, so that an entry that moves into a cleared place stays
	// there.
	for k := len(places) - 1; k >= 0; k-- {
		b := t.bucketAt(places[k])
		for i := slotsPerBucket - 1; i >= 0; i-- {
			at := places[k] + place(i)
			if e := b.slot[i].Load(); e != nil && t.ids.member(e.id).at != at {
				t.take(from, at)
			}
		}
	}
}

// appendBucket appends the entries of the n-th chain to dst. The caller holds the shard's lock, or
// nobody writes to the table any more.
func (t *table) appendBucket(dst []*entry, n uint32) []*entry {
	for b := t.main.at(n); ; {
		for i := range b.slot {
			if e := b.slot[i].Load(); e != nil {
				dst = append(dst, e)
			}
		}
		next := b.next.Load()
		if next == 0 {
			return dst
		}
		b = t.overflow.at(next - 1)
	}
}
