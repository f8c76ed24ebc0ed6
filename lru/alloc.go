package lru

import (
	"sort"
	"sync"
)

// How Go's allocator rounds, in bytes.
const (
	// Up to tinyBlock, things without pointers share a block, and one of them keeps
	// all of it. What they share it with may be gone, so each counts as a whole one.
	tinyBlock = 16

	// Up to largestClass, there are size classes; above it, whole pages.
	largestClass = 32 << 10
	pageSize     = 8 << 10
)

// sizeClasses returns the sizes that the allocator gives out up to largestClass,
// ascending. It asks the runtime, so that there is no copied list to grow old: a
// slice that grows gets all of the memory that its allocation has.
var sizeClasses = sync.OnceValue(func() []uint64 {
	var classes []uint64
	for n := 1; n <= largestClass; {
		class := cap(append([]byte(nil), make([]byte, n)...))
		classes = append(classes, uint64(class))
		n = class + 1
	}
	return classes
})

// allocSize returns how many bytes of heap an allocation of n bytes takes.
func allocSize(n uint64) uint64 {
	switch {
	case n == 0:
		return 0
	case n <= tinyBlock:
		return tinyBlock
	case n > largestClass:
		return (n + pageSize - 1) &^ (pageSize - 1)
	}
	classes := sizeClasses()
	return classes[sort.Search(len(classes), func(i int) bool { return classes[i] >= n })]
}
