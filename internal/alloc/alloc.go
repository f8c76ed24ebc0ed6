// Package alloc knows what memory the allocator takes for an object.
package alloc

import (
	"slices"
	"sync"
)

const wordBytes = 8

// maxSmall is the largest size for which the allocator may have a class. It rounds larger sizes up
// to whole pages.
const maxSmall = 32 << 10

// sizeClasses are the sizes in which the allocator hands out objects without pointers, in
// ascending order; the last is the first beyond the classes, and pageBytes what it was rounded to.
// The allocator is asked, by what it grows a slice to, so that this stays true in later
// versions of Go. Asking costs a hundred allocations, once.
var sizeClasses = sync.OnceValue(func() (classes []int64) {
	for n := 1; n*wordBytes <= maxSmall; {
		n = cap(slices.Grow([]uint64(nil), n))
		classes = append(classes, int64(n)*wordBytes)
		n++
	}
	return classes
})

// classOf is the size class of an object, by its words: sizeClasses, to be looked up at once.
var classOf = sync.OnceValue(func() *[maxSmall/wordBytes + 1]uint16 {
	var of [maxSmall/wordBytes + 1]uint16
	for n := range of {
		i, _ := slices.BinarySearch(sizeClasses(), int64(n)*wordBytes)
		of[n] = uint16(sizeClasses()[i])
	}
	return &of
})

// pageBytes is what objects beyond the classes are rounded up to.
var pageBytes = sync.OnceValue(func() int64 {
	n := cap(slices.Grow([]uint64(nil), maxSmall/wordBytes+1)) * wordBytes
	return int64(n) - maxSmall
})

// Prepare makes the tables of Size now, so that no later call waits for them.
func Prepare() { classOf() }

// Size returns the heap that an object of n bytes without pointers takes.
func Size(n int64) int64 {
	if n > maxSmall {
		page := pageBytes()
		return (n + page - 1) / page * page
	}
	return int64(classOf()[(n+wordBytes-1)/wordBytes])
}
