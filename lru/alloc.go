package lru

import (
	"sort"
	"sync"
)

// How Go's allocator rounds, in bytes.
const (
	// Objects of up to tinyBlock bytes without pointers share a block, which stays in memory as
	// long as one of them does. The others may be gone, so each object counts as a whole block.
	tinyBlock = 16

	// The allocator rounds up to size classes up to largestClass, and to whole pages above it.
	largestClass = 32 << 10
	pageSize     = 8 << 10
)

// sizeClasses returns the size classes up to largestClass, in ascending order. It asks the runtime,
// because a copied list could become wrong: a slice that grows gets all the memory of its
// allocation.
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
