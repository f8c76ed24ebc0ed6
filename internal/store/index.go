package store

import (
	"math/bits"
	"unsafe"
)

// An index maps numbers to numbers. It is a small open-addressing table with linear probing. A key
// is not zero.
type index struct {
	slots []indexed // a power of two of them
	n     int
}

type indexed struct{ key, value uint32 }

// spread is 2^64 divided by the golden ratio. Numbers that are close to each other lie far apart
// when they are multiplied by it.
const spread = 0x9e37_79b9_7f4a_7c15

// newIndex makes an index with room for n keys.
func newIndex(n int) index {
	return index{slots: make([]indexed, indexLen(n))}
}

// indexLen is how many slots an index for n keys has.
func indexLen(n int) int { return 1 << bits.Len(uint(n+n/2)) }

// home returns the slot at which the search for a key begins.
func (x *index) home(key uint32) int {
	return int(uint64(key) * spread >> (64 - bits.Len(uint(len(x.slots)-1))))
}

// fit makes room for one more key.
func (x *index) fit() {
	if 3*(x.n+1) <= 2*len(x.slots) {
		return
	}
	slots := x.slots
	*x = newIndex(2 * x.n)
	for _, in := range slots {
		if in.key != 0 {
			x.put(in.key, in.value)
		}
	}
}

// find returns the key's slot, or the free one where it would be.
func (x *index) find(key uint32) (*indexed, bool) {
	for i := x.home(key); ; i++ {
		s := &x.slots[i&(len(x.slots)-1)]
		if s.key == key || s.key == 0 {
			return s, s.key == key
		}
	}
}

// put sets the value of a key.
func (x *index) put(key, value uint32) {
	s, ok := x.find(key)
	if !ok {
		x.n++
	}
	*s = indexed{key, value}
}

// take removes a key and returns its value.
func (x *index) take(key uint32) (value uint32, ok bool) {
	mask := len(x.slots) - 1
	i := x.home(key)
	for ; x.slots[i].key != key; i = (i + 1) & mask {
		if x.slots[i].key == 0 {
			return 0, false
		}
	}
	value = x.slots[i].value
	x.n--
	// Close the gap, at which a search would end too soon.
	for j := (i + 1) & mask; x.slots[j].key != 0; j = (j + 1) & mask {
		if home := x.home(x.slots[j].key); (j-home)&mask >= (j-i)&mask {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = indexed{}
	return value, true
}

func (x *index) bytes() int64 { return int64(len(x.slots)) * int64(unsafe.Sizeof(indexed{})) }
