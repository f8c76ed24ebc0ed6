package store

import (
	"math/bits"
	"unsafe"
)

// chunks is an array that grows by a chunk at a time and never moves. The first chunk is shorter
// than the others by lacking elements, so that a store with few entries is small. Element i is
// where element i+lacking would be if the first chunk were whole.
type chunks[T any] struct {
	list    [][]T
	lacking uint32
	shift   uint8 // all but the first have 1<<shift elements
}

// firstBytes is the size of the first chunk, if the others are not smaller.
const firstBytes = 64 << smallShift

// newChunks returns an array whose first element is valid. The size of an element is a power of
// two.
func newChunks[T any](shift uint8) chunks[T] {
	c := chunks[T]{shift: shift}
	if first := uint32(firstBytes / unsafe.Sizeof(*new(T))); first < 1<<shift {
		c.lacking = 1<<shift - first
	}
	c.reach(0)
	return c
}

// chunkLen returns how many elements chunk n has.
func chunkLen(n int, shift uint8, lacking uint32) uint32 {
	if n == 0 {
		return 1<<shift - lacking
	}
	return 1 << shift
}

// at returns element i, for which reach was called.
func (c *chunks[T]) at(i uint32) *T {
	i += c.lacking
	chunk := c.list[i>>(c.shift&31)]
	return &chunk[i&uint32(len(chunk)-1)]
}

// reach makes at(i) valid. All elements before i are valid already.
func (c *chunks[T]) reach(i uint32) {
	if int((i+c.lacking)>>c.shift) >= len(c.list) {
		c.list = append(c.list, make([]T, chunkLen(len(c.list), c.shift, c.lacking)))
	}
}

func (c *chunks[T]) bytes() int64 {
	return (int64(len(c.list))<<c.shift-int64(c.lacking))*int64(unsafe.Sizeof(*new(T))) + int64(cap(c.list))*chunkBytes
}

// parent returns the element from which element n takes over a part when the array grows to n+1
// elements (home).
func parent(n uint32) uint32 { return n - 1<<(bits.Len32(n)-1) }
