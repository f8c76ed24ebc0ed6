package store

import (
	"math/bits"
	"unsafe"
)

// chunks is an array that grows without being moved, a chunk at a time.
type chunks[T any] struct {
	list  [][]T // of 1<<shift each
	shift uint8
}

// at returns element i, which has been reached.
func (c *chunks[T]) at(i uint32) *T {
	return &c.list[i>>(c.shift&31)][i&(1<<(c.shift&31)-1)]
}

// reach makes at(i) valid. i is at most one beyond those that are.
func (c *chunks[T]) reach(i uint32) {
	if int(i>>c.shift) >= len(c.list) {
		c.list = append(c.list, make([]T, 1<<c.shift))
	}
}

func (c *chunks[T]) bytes() int64 {
	return int64(len(c.list))<<c.shift*int64(unsafe.Sizeof(*new(T))) + int64(cap(c.list))*chunkBytes
}

// parent returns the element of which element n takes over a part when n more are there (home).
func parent(n uint32) uint32 { return n - 1<<(bits.Len32(n)-1) }
