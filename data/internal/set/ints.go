package set

import (
	"encoding/binary"

	"github.com/peercache/peercache/internal/alloc"
)

// ints is integers in ascending order, all of one width: 2, 4 or 8 bytes, as the widest needs.
type ints struct {
	b     []byte // nil if there are none
	width uint8
}

func (s *ints) len() int {
	if s.b == nil {
		return 0
	}
	return len(s.b) / int(s.width)
}

func (s *ints) bytes() int64 { return int64(cap(s.b)) }

// at returns the i-th integer.
func (s *ints) at(i int) int64 {
	switch s.width {
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(s.b[2*i:])))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(s.b[4*i:])))
	}
	return int64(binary.LittleEndian.Uint64(s.b[8*i:]))
}

// put writes the i-th integer.
func (s *ints) put(i int, n int64) {
	switch s.width {
	case 2:
		binary.LittleEndian.PutUint16(s.b[2*i:], uint16(n))
	case 4:
		binary.LittleEndian.PutUint32(s.b[4*i:], uint32(n))
	default:
		binary.LittleEndian.PutUint64(s.b[8*i:], uint64(n))
	}
}

// find returns the place of n, or where it belongs.
func (s *ints) find(n int64) (i int, ok bool) {
	low, high := 0, s.len()
	for low < high {
		if mid := int(uint(low+high) / 2); s.at(mid) < n {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low, low < s.len() && s.at(low) == n
}

// widthOf returns how wide n is.
func widthOf(n int64) int {
	switch {
	case n == int64(int16(n)):
		return 2
	case n == int64(int32(n)):
		return 4
	}
	return 8
}

// makeInts returns room for n integers.
func makeInts(n, width int) ints {
	size := n * width
	return ints{make([]byte, size, alloc.Size(int64(size))), uint8(width)}
}

// add adds an integer, and reports whether it is new.
func (s *ints) add(n int64) bool {
	i, ok := s.find(n)
	if ok {
		return false
	}
	count, width := s.len(), widthOf(n)
	if s.b != nil {
		width = max(width, int(s.width))
	}
	if s.b != nil && width == int(s.width) {
		s.splice(i, 0, 1)
		s.put(i, n)
		return true
	}
	wider := makeInts(count+1, width)
	for j := range count {
		at := j
		if j >= i {
			at++
		}
		wider.put(at, s.at(j))
	}
	wider.put(i, n)
	*s = wider
	return true
}

// remove removes an integer, and reports whether it was there.
func (s *ints) remove(n int64) bool {
	i, ok := s.find(n)
	switch {
	case !ok:
		return false
	case s.len() == 1:
		s.b = nil
	default:
		s.splice(i, 1, 0)
	}
	return true
}

// splice has room for some integers in the place of old ones, from the i-th on. The memory is always the least that the allocator has for it.
func (s *ints) splice(i, old, size int) {
	w := int(s.width)
	at, n := i*w, len(s.b)+(size-old)*w
	rest := s.b[at+old*w:]
	b := s.b
	if want := int(alloc.Size(int64(n))); want != cap(b) {
		b = make([]byte, n, want)
		copy(b, s.b[:at])
	}
	b = b[:n]
	copy(b[at+size*w:], rest)
	s.b = b
}

func (s *ints) clone() ints {
	if s.b == nil {
		return ints{}
	}
	b := make([]byte, len(s.b), cap(s.b))
	copy(b, s.b)
	return ints{b, s.width}
}
