// Package packed keeps a few strings in one piece of memory: small hashes, sets and sorted sets are made of it.
//
// A string takes its length and its bytes. One that is an integer, in the form in which Redis writes it, takes up to 8 bytes instead.
// Each string has one form only, so that a search compares bytes.
package packed

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/internal/alloc"
)

// List is strings, one after the other. The zero List is empty.
//
// A position is the place of a string, from Start to before End. It is valid until the List changes.
type List struct {
	b []byte // how many strings there are, in headerBytes; then the strings. nil if there are none
}

const (
	headerBytes = 4

	// The first byte of a string is its length, if that is less than maxShort; or intBase and the number of bytes that
	// its integer has; or long, before the length as an Uvarint.
	maxShort = 240
	intBase  = maxShort // 241 to 248
	long     = intBase + 9
)

// Len returns the number of strings.
func (l *List) Len() int {
	if l.b == nil {
		return 0
	}
	return int(binary.LittleEndian.Uint32(l.b))
}

// Bytes returns the memory that the strings take.
func (l *List) Bytes() int64 { return int64(cap(l.b)) }

// Start returns the position of the first string.
func (l *List) Start() int { return headerBytes }

// End returns the position after the last string. It is less than Start if there is none.
func (l *List) End() int { return len(l.b) }

// At returns the string at a position, and the position of the next one. What it returns is not to be changed, and valid
// until the List changes; of an integer, it is appended to buf[:0].
func (l *List) At(at int, buf []byte) (s []byte, next int) {
	h := l.b[at]
	switch {
	case h < maxShort:
		next = at + 1 + int(h)
		return l.b[at+1 : next : next], next
	case h < long:
		next = at + 1 + int(h-intBase)
		return appendInt(buf[:0], l.b[at+1:next]), next
	}
	size, n := binary.Uvarint(l.b[at+1:])
	next = at + 1 + n + int(size)
	return l.b[at+1+n : next : next], next
}

// Text returns the string at a position. It shares no memory with the List.
func (l *List) Text(at int) string {
	var buf [maxDigits]byte
	s, _ := l.At(at, buf[:])
	return string(s)
}

// Next returns the position of the string after that at a position.
func (l *List) Next(at int) int {
	h := l.b[at]
	switch {
	case h < maxShort:
		return at + 1 + int(h)
	case h < long:
		return at + 1 + int(h-intBase)
	}
	size, n := binary.Uvarint(l.b[at+1:])
	return at + 1 + n + int(size)
}

// Seek returns the position of the i-th string, which is found in time O(i).
func (l *List) Seek(i int) int {
	at := headerBytes
	for range i {
		at = l.Next(at)
	}
	return at
}

// Random returns the position of one of the strings, each step-th, each with the same probability. There must be one.
func (l *List) Random(step int) int { return l.Seek(rand.IntN(l.Len()/step) * step) }

// Find returns the position of the first string that is s, of those at the places 0, step, 2 step …; or -1.
func (l *List) Find(s string, step int) int {
	var e entry
	e.set(s)
	if e.head[0] == long {
		return l.findLong(s, step)
	}
	b, first, rest := l.b, e.head[0], e.text
	if e.headLen > 1 {
		rest = string(e.head[1:e.headLen])
	}
	last := first // names differ at the end more often than at the beginning
	if rest != "" {
		last = rest[len(rest)-1]
	}
	for at, skip := headerBytes, 0; at < len(b); {
		h := b[at]
		next := at + 1 + int(h)
		switch {
		case h == long:
			next = l.Next(at)
		case h >= intBase:
			next = at + 1 + int(h-intBase)
		}
		if skip == 0 {
			if h == first && b[next-1] == last && string(b[at+1:next]) == rest {
				return at
			}
			skip = step
		}
		skip--
		at = next
	}
	return -1
}

// findLong is Find for strings that are so long that there are few.
func (l *List) findLong(s string, step int) int {
	for i, at := 0, headerBytes; at < len(l.b); i++ {
		if i%step == 0 && l.b[at] == long {
			if text, _ := l.At(at, nil); string(text) == s {
				return at
			}
		}
		at = l.Next(at)
	}
	return -1
}

// Append adds strings at the end.
func (l *List) Append(strings ...string) { l.Insert(max(len(l.b), headerBytes), strings...) }

// Insert puts strings before the one at a position, which may be End.
func (l *List) Insert(at int, strings ...string) {
	var e entry
	size := 0
	for _, s := range strings {
		e.set(s)
		size += e.size()
	}
	if size == 0 {
		return
	}
	if l.b == nil {
		at = headerBytes
		l.splice(0, 0, headerBytes+size)
	} else {
		l.splice(at, 0, size)
	}
	for _, s := range strings {
		e.set(s)
		at += e.put(l.b[at:])
	}
	l.count(len(strings))
}

// Replace puts s in the place of the string at a position.
func (l *List) Replace(at int, s string) {
	var e entry
	e.set(s)
	l.splice(at, l.Next(at)-at, e.size())
	e.put(l.b[at:])
}

// Delete takes n strings away, from a position on.
func (l *List) Delete(at, n int) {
	if n == l.Len() {
		l.b = nil
		return
	}
	end := at
	for range n {
		end = l.Next(end)
	}
	l.splice(at, end-at, 0)
	l.count(-n)
}

// Clone returns a copy.
func (l *List) Clone() List {
	if l.b == nil {
		return List{}
	}
	b := make([]byte, len(l.b), cap(l.b))
	copy(b, l.b)
	return List{b}
}

// count adds to the number of strings.
func (l *List) count(by int) {
	binary.LittleEndian.PutUint32(l.b, uint32(l.Len()+by))
}

// splice has size bytes in the place of the old bytes at a position. The memory is always the least that the allocator has for it.
func (l *List) splice(at, old, size int) {
	n := len(l.b) - old + size
	rest := l.b[at+old:]
	if want := int(alloc.Size(int64(n))); want != cap(l.b) {
		b := make([]byte, n, want)
		copy(b, l.b[:at])
		copy(b[at+size:], rest)
		l.b = b
		return
	}
	b := l.b[:n]
	copy(b[at+size:], rest)
	l.b = b
}

// maxDigits is how long an integer is at most.
const maxDigits = 20

// entry is a string as a List has it: head, and text.
type entry struct {
	head    [1 + binary.MaxVarintLen64]byte
	headLen int
	text    string // "" of an integer, which head has
}

func (e *entry) set(s string) {
	switch n, ok := asInt(s); {
	case ok:
		size := intBytes(n)
		e.head[0] = intBase + byte(size)
		binary.LittleEndian.PutUint64(e.head[1:], uint64(n))
		e.headLen, e.text = 1+size, ""
	case len(s) < maxShort:
		e.head[0] = byte(len(s))
		e.headLen, e.text = 1, s
	default:
		e.head[0] = long
		e.headLen, e.text = 1+binary.PutUvarint(e.head[1:], uint64(len(s))), s
	}
}

// asInt returns the integer that s is, if it takes less memory than the string.
func asInt(s string) (int64, bool) {
	if len(s) < 2 || len(s) > maxDigits {
		return 0, false
	}
	return number.Int(s)
}

func (e *entry) size() int { return e.headLen + len(e.text) }

func (e *entry) put(b []byte) (n int) {
	n = copy(b, e.head[:e.headLen])
	return n + copy(b[n:], e.text)
}

// intBytes returns in how many bytes n fits, with its sign.
func intBytes(n int64) int { return bits.Len64(uint64(n^n>>63))/8 + 1 }
