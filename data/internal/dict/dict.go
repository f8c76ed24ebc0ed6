// Package dict is a hash table with string keys that grows without a pause, is scanned while it
// changes, and is read without a lock.
//
// It is an extendible hash table (Fagin, Nievergelt, Pippenger, Strong, 1979): a directory of
// segments that is addressed by the high bits of a key's hash. A segment that is full splits in two;
// the directory doubles if it must, which copies pointers and nothing else. Because the high bits
// address, the order of segments is the order of hashes whatever the size, and a place in a scan is
// a hash.
//
// One goroutine at a time may change a Dict. Get may be called at the same time: nodes never move
// within a segment, and a segment that was split is left as it is.
package dict

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

const (
	// slots is how many nodes a segment has at most.
	slots = 32
	words = slots / 8
	// mergeAt is how many nodes two neighbours have at most that become one segment: so few that
	// they do not split again at once.
	mergeAt = slots / 4
	// deepest bounds the directory, whatever hashes there are.
	deepest = 32
)

var seed = maphash.MakeSeed()

// Hash returns the hash of a key: the place of the key in a scan.
func Hash(key string) uint64 { return maphash.String(seed, key) }

// Node is a key with its value. The key must not be changed. It is last, since a value without a size would take memory there.
type Node[V any] struct {
	Value V
	Key   string
}

// segment has the nodes whose hashes begin with the same depth bits.
type segment[V any] struct {
	// tags has a byte for each slot: 0 if it is empty, else 0x80 and seven bits of the hash. A tag
	// is written after its node, so that who sees it sees the node.
	tags  [words]atomic.Uint64
	nodes [slots]atomic.Pointer[Node[V]]
	depth uint8 // relative to Dict.skip
	count uint8
}

type directory[V any] struct {
	depth    uint8
	segments []atomic.Pointer[segment[V]]
	deep     int // how many segments have that depth
}

// Dict is a hash table. The zero Dict is empty; New makes one that is part of a larger table.
type Dict[V any] struct {
	dir   atomic.Pointer[directory[V]]
	count atomic.Int64
	bytes int64 // of directory and segments
	skip  uint8 // the first bits of hashes, which all keys have in common
}

// New returns a Dict for keys whose hashes have their first skip bits in common.
func New[V any](skip int) *Dict[V] { return &Dict[V]{skip: uint8(skip)} }

// Len returns the number of keys. It may be called at any time.
func (d *Dict[V]) Len() int { return int(d.count.Load()) }

// Bytes returns the memory that the table takes beside the nodes.
func (d *Dict[V]) Bytes() int64 { return d.bytes }

// index returns the place of a hash in a directory of that depth.
func (d *Dict[V]) index(hash uint64, depth uint8) uint64 {
	return hash << d.skip >> 1 >> (63 - depth)
}

const (
	low  = 0x0101010101010101
	high = 0x8080808080808080
)

func tagOf(hash uint64) uint64 { return hash&0x7f | 0x80 }

// matches returns a word whose bits 7, 15, … are set where bytes of w may equal tag.
func matches(w, tag uint64) uint64 {
	x := w ^ low*tag
	return (x - low) &^ x & high
}

// Get returns the node of a key, or nil. It may be called while the Dict is changed.
func (d *Dict[V]) Get(key string) *Node[V] { return d.GetHashed(key, Hash(key)) }

// GetHashed is Get for who knows the hash of the key.
func (d *Dict[V]) GetHashed(key string, hash uint64) *Node[V] {
	dir := d.dir.Load()
	if dir == nil {
		return nil
	}
	s := dir.segments[d.index(hash, dir.depth)].Load()
	tag := tagOf(hash)
	for w := range words {
		for m := matches(s.tags[w].Load(), tag); m != 0; m &= m - 1 {
			if n := s.nodes[w*8+bits.TrailingZeros64(m)/8].Load(); n != nil && n.Key == key {
				return n
			}
		}
	}
	return nil
}

// Put adds a node, or puts it in the place of the node of the same key, which it returns.
func (d *Dict[V]) Put(n *Node[V]) (before *Node[V]) { return d.PutHashed(n, Hash(n.Key)) }

// PutHashed is Put for who knows the hash of the key.
func (d *Dict[V]) PutHashed(n *Node[V], hash uint64) (before *Node[V]) {
	for {
		s := d.segmentOf(hash)
		if i := s.find(n.Key, hash); i >= 0 {
			return s.nodes[i].Swap(n)
		}
		if s.count < slots {
			s.add(n, hash)
			d.count.Add(1)
			return nil
		}
		d.split(s, hash)
	}
}

// Delete takes a key away and returns its node, or nil if there was none.
func (d *Dict[V]) Delete(key string) *Node[V] { return d.DeleteHashed(key, Hash(key)) }

// DeleteHashed is Delete for who knows the hash of the key.
func (d *Dict[V]) DeleteHashed(key string, hash uint64) *Node[V] {
	if d.dir.Load() == nil {
		return nil
	}
	s := d.segmentOf(hash)
	i := s.find(key, hash)
	if i < 0 {
		return nil
	}
	s.setTag(i, 0)
	n := s.nodes[i].Swap(nil)
	s.count--
	d.count.Add(-1)
	d.merge(s, hash)
	return n
}

func (d *Dict[V]) segmentOf(hash uint64) *segment[V] {
	dir := d.dir.Load()
	if dir == nil {
		dir = &directory[V]{segments: make([]atomic.Pointer[segment[V]], 1), deep: 1}
		dir.segments[0].Store(new(segment[V]))
		d.bytes = segmentBytes + 8 + directoryBytes
		d.dir.Store(dir)
	}
	return dir.segments[d.index(hash, dir.depth)].Load()
}

// segmentBytes and directoryBytes are what the allocator takes for one.
const segmentBytes, directoryBytes = 320, 48

func (s *segment[V]) find(key string, hash uint64) int {
	tag := tagOf(hash)
	for w := range words {
		for m := matches(s.tags[w].Load(), tag); m != 0; m &= m - 1 {
			i := w*8 + bits.TrailingZeros64(m)/8
			if n := s.nodes[i].Load(); n != nil && n.Key == key {
				return i
			}
		}
	}
	return -1
}

// add puts a node into an empty slot, of which there must be one.
func (s *segment[V]) add(n *Node[V], hash uint64) {
	for w := range words {
		if empty := ^s.tags[w].Load() & high; empty != 0 {
			i := w*8 + bits.TrailingZeros64(empty)/8
			s.nodes[i].Store(n)
			s.setTag(i, tagOf(hash))
			s.count++
			return
		}
	}
	panic("dict: a full segment")
}

func (s *segment[V]) setTag(i int, tag uint64) {
	w, shift := i/8, i%8*8
	s.tags[w].Store(s.tags[w].Load()&^(0xff<<shift) | tag<<shift)
}

// split puts two segments in the place of s, which is full.
func (d *Dict[V]) split(s *segment[V], hash uint64) {
	dir := d.dir.Load()
	if s.depth == dir.depth {
		dir = d.double(dir)
	}
	two := [2]*segment[V]{{depth: s.depth + 1}, {depth: s.depth + 1}}
	d.bytes += segmentBytes
	for i := range s.nodes {
		n := s.nodes[i].Load()
		h := Hash(n.Key)
		two[d.index(h, s.depth+1)&1].add(n, h)
	}
	if s.depth+1 == dir.depth {
		dir.deep += 2
	}
	d.point(dir, hash, s.depth+1, two)
}

// point has the directory lead to two segments of that depth, for the hashes that begin as hash does,
// but for the last of these bits.
func (d *Dict[V]) point(dir *directory[V], hash uint64, depth uint8, two [2]*segment[V]) {
	each := uint64(1) << (dir.depth - depth)
	from := d.index(hash, dir.depth) &^ (2*each - 1)
	for i := range 2 * each {
		dir.segments[from+i].Store(two[i/each])
	}
}

func (d *Dict[V]) double(dir *directory[V]) *directory[V] {
	if dir.depth == deepest {
		panic("dict: too many keys with one hash")
	}
	twice := &directory[V]{depth: dir.depth + 1, segments: make([]atomic.Pointer[segment[V]], 2*len(dir.segments))}
	for i := range dir.segments {
		s := dir.segments[i].Load()
		twice.segments[2*i].Store(s)
		twice.segments[2*i+1].Store(s)
	}
	d.bytes += 8 * int64(len(dir.segments))
	d.dir.Store(twice)
	return twice
}

// merge makes s and its neighbour one segment if they have few nodes.
func (d *Dict[V]) merge(s *segment[V], hash uint64) {
	for s.depth > 0 {
		dir := d.dir.Load()
		neighbour := dir.segments[d.index(hash, dir.depth)^(1<<(dir.depth-s.depth))].Load()
		if neighbour.depth != s.depth || s.count+neighbour.count > mergeAt {
			return
		}
		one := &segment[V]{depth: s.depth - 1}
		for _, from := range []*segment[V]{s, neighbour} {
			for i := range from.nodes {
				if n := from.nodes[i].Load(); n != nil {
					one.add(n, Hash(n.Key))
				}
			}
		}
		d.bytes -= segmentBytes
		if s.depth == dir.depth {
			dir.deep -= 2
		}
		d.point(dir, hash, s.depth, [2]*segment[V]{one, one})
		for dir.depth > 0 && dir.deep == 0 {
			dir = d.halve(dir)
		}
		s = one
	}
	if d.Len() == 0 {
		d.dir.Store(nil)
		d.bytes = 0
	}
}

func (d *Dict[V]) halve(dir *directory[V]) *directory[V] {
	half := &directory[V]{depth: dir.depth - 1, segments: make([]atomic.Pointer[segment[V]], len(dir.segments)/2)}
	var last *segment[V]
	for i := range half.segments {
		s := dir.segments[2*i].Load()
		half.segments[i].Store(s)
		if s != last && s.depth == half.depth {
			half.deep++
		}
		last = s
	}
	d.bytes -= 8 * int64(len(half.segments))
	d.dir.Store(half)
	return half
}

// Scan calls visit for the keys of some hashes from place on, and returns the place from which to go on,
// or 0 if that was all. Of scans that begin at 0 and go on to the end, each visits every key that is
// there all the time, and visits no key twice.
func (d *Dict[V]) Scan(place uint64, visit func(n *Node[V])) (next uint64) {
	dir := d.dir.Load()
	if dir == nil {
		return 0
	}
	at := d.index(place, dir.depth)
	s := dir.segments[at].Load()
	for i := range s.nodes {
		if n := s.nodes[i].Load(); n != nil && Hash(n.Key) >= place {
			visit(n)
		}
	}
	// The hashes of s are those that begin with the first bits of place: go on after the last of them.
	if s.depth == 0 {
		return 0
	}
	shift := 64 - s.depth - d.skip
	next = (place>>shift + 1) << shift
	if d.skip > 0 && next>>(64-d.skip) != place>>(64-d.skip) {
		return 0
	}
	return next
}

// All calls visit for each key, until it returns false.
func (d *Dict[V]) All(visit func(n *Node[V]) bool) {
	dir := d.dir.Load()
	if dir == nil {
		return
	}
	var last *segment[V]
	for i := range dir.segments {
		s := dir.segments[i].Load()
		if s == last {
			continue
		}
		last = s
		for j := range s.nodes {
			if n := s.nodes[j].Load(); n != nil && !visit(n) {
				return
			}
		}
	}
}

// Random returns a node, each with the same probability, or nil if there is none.
func (d *Dict[V]) Random() *Node[V] {
	dir := d.dir.Load()
	if dir == nil {
		return nil
	}
	for {
		// A segment is in the directory more often the less deep it is; it is taken where it is first. It is not looked at
		// before, since it is not in the cache.
		r := rand.Uint64()
		i := r & uint64(len(dir.segments)-1)
		s := dir.segments[i].Load()
		if i > 0 && dir.segments[i-1].Load() == s {
			continue
		}
		if n := s.nodes[r>>32&(slots-1)].Load(); n != nil {
			return n
		}
	}
}
