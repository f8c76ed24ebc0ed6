package store

import (
	"math/bits"
	"unsafe"
)

// chunks is an array that grows without being moved, a chunk at a time. The first chunk is
// short, so that a store with few entries is small: it lacks that many of the elements which
// the others have, and element i stands where i+lacking would, if it had them.
type chunks[T any] struct {
	list    [][]T
	lacking uint32
	shift   uint8 // all but the first have 1<<shift elements
}

// firstBytes is how long a first chunk is, if the others are not shorter.
const firstBytes = 64 << smallShift

// newChunks makes an array whose first element has been reached. An element's size is a power
// of two.
func newChunks[T any](shift uint8) chunks[T] {
	c := chunks[T]{shift: shift}
	if first := uint32(firstBytes / unsafe.Sizeof(*new(T))); first < 1<<shift {
		c.lacking = 1<<shift - first
	}
	c.reach(0)
	return c
}

// chunkLen is how many elements chunk n has.
func chunkLen(n int, shift uint8, lacking uint32) uint32 {
	if n == 0 {
		return 1<<shift - lacking
	}
	return 1 << shift
}

// at returns element i, which has been reached.
func (c *chunks[T]) at(i uint32) *T {
	i += c.lacking
	chunk := c.list[i>>(c.shift&31)]
	return &chunk[i&uint32(len(chunk)-1)]
}

// reach makes at(i) valid. i is at most one beyond those that are.
func (c *chunks[T]) reach(i uint32) {
	if int((i+c.lacking)>>c.shift) >= len(c.list) {
		c.list = append(c.list, make([]T, chunkLen(len(c.list), c.shift, c.lacking)))
	}
}

func (c *chunks[T]) bytes() int64 {
	return (int64(len(c.list))<<c.shift-int64(c.lacking))*int64(unsafe.Sizeof(*new(T))) + int64(cap(c.list))*chunkBytes
}

// parent returns the element of which element n takes over a part when n more are there (home).
func parent(n uint32) uint32 { return n - 1<<(bits.Len32(n)-1) }
