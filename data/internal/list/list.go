// Package list is the lists of the memory driver.
//
// A List is a chain of chunks, each a block of up to chunkBytes that has strings one after the other, as package packed writes
// them, with their lengths behind them, so that it is read from both ends. What is pushed or popped touches the first or
// the last chunk; what is inserted or removed in the middle touches the chunk it is in, which may split or join its neighbour.
// A string that is longer than a chunk has one to itself. A small list is one small block.
package list

import (
	"math/bits"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/packed"
)

// Kind is the kind of lists.
var Kind = &engine.Kind{Name: "list", ID: 1, Decode: decode}

// List is strings in an order. It is made by New.
type List struct {
	head, tail *chunk
	n          int
	bytes      int64 // of blocks and chunks, but for first
	first      chunk // the only one, as long as that is so
}

// listBytes is what the allocator takes for a List.
const listBytes = 80

// Buffer is room for an integer, which a List does not keep as a string.
type Buffer = [20]byte

// New makes an empty List.
func New() *List {
	l := &List{}
	l.head, l.tail = &l.first, &l.first
	return l
}

// Kind implements engine.Object.
func (l *List) Kind() *engine.Kind { return Kind }

// Encoding implements engine.Object. Redis 7.0 has no other one.
func (l *List) Encoding() string { return "quicklist" }

// Len implements engine.Object.
func (l *List) Len() int { return l.n }

// Bytes implements engine.Object.
func (l *List) Bytes() int64 { return listBytes + l.bytes }

// PushRight adds a string at the end.
func (l *List) PushRight(s string) {
	var f packed.Form
	f.Set(s)
	size := sizeWith(f.Size())
	c := l.tail
	if !l.makeRoom(c, size, false) {
		l.seal(c)
		c = l.insertChunk(c, l.startSize(size), 0)
	}
	at := len(c.buf)
	c.buf = c.buf[:at+size]
	put(c.buf[at:], &f)
	c.n++
	l.n++
}

// PushLeft adds a string at the beginning.
func (l *List) PushLeft(s string) {
	var f packed.Form
	f.Set(s)
	size := sizeWith(f.Size())
	c := l.head
	if !l.makeRoom(c, size, true) {
		l.seal(c)
		start := l.startSize(size)
		c = l.insertChunk(nil, start, start)
	}
	c.lo -= uint32(size)
	put(c.buf[c.lo:int(c.lo)+size], &f)
	c.n++
	l.n++
}

// PopLeft takes the first string away, of which there must be one. What it returns is valid until the List changes, and may
// be in buf.
func (l *List) PopLeft(buf *Buffer) []byte {
	c := l.head
	s, size := packed.Read(c.buf[c.lo:], buf[:])
	c.lo += uint32(sizeWith(size))
	l.removed(c)
	return s
}

// PopRight takes the last string away, of which there must be one. What it returns is valid until the List changes, and
// may be in buf.
func (l *List) PopRight(buf *Buffer) []byte {
	c := l.tail
	at := c.before(len(c.buf))
	s, _ := packed.Read(c.buf[at:], buf[:])
	c.buf = c.buf[:at]
	l.removed(c)
	return s
}

// removed counts a string that was taken from an end of c.
func (l *List) removed(c *chunk) {
	c.n--
	l.n--
	if c.n == 0 {
		l.drop(c)
		return
	}
	l.shrink(c)
}

// At returns the i-th string, from 0, which must be there. It is not to be changed, valid until the List changes, and may be in buf.
func (l *List) At(i int, buf *Buffer) []byte {
	c, at := l.seek(i)
	s, _ := packed.Read(c.buf[at:], buf[:])
	return s
}

// seek returns the chunk of the i-th string, which must be there, and its place in the block.
func (l *List) seek(i int) (c *chunk, at int) {
	if i < l.n-i {
		for c = l.head; i >= int(c.n); c = c.next {
			i -= int(c.n)
		}
	} else {
		i = l.n - 1 - i
		for c = l.tail; i >= int(c.n); c = c.prev {
			i -= int(c.n)
		}
		i = int(c.n) - 1 - i
	}
	return c, c.seek(i)
}

// Set has s in the place of the i-th string, which must be there.
func (l *List) Set(i int, s string) {
	var f packed.Form
	f.Set(s)
	size := sizeWith(f.Size())
	c, at := l.seek(i)
	old := sizeWith(packed.Size(c.buf[at:]))
	if c.n == 1 || c.used()-old+size <= chunkBytes {
		at = l.splice(c, at, old, size)
		put(c.buf[at:at+size], &f)
		l.shrink(c)
		return
	}
	l.splice(c, at, old, 0)
	c.n--
	l.n--
	l.insert(c, at, &f)
}

// Insert has s before the i-th string; i may be Len.
func (l *List) Insert(i int, s string) {
	switch i {
	case 0:
		l.PushLeft(s)
	case l.n:
		l.PushRight(s)
	default:
		var f packed.Form
		f.Set(s)
		c, at := l.seek(i)
		l.insert(c, at, &f)
	}
}

// insert has a string in a chunk, which is not empty, before the one at that place, or after the last one.
func (l *List) insert(c *chunk, at int, f *packed.Form) {
	size := sizeWith(f.Size())
	if c.used()+size > chunkBytes {
		c, at = l.split(c, at, size)
	}
	at = l.splice(c, at, 0, size)
	put(c.buf[at:at+size], f)
	c.n++
	l.n++
	l.join(c)
}

// Remove takes the i-th string away, which must be there.
func (l *List) Remove(i int) {
	c, at := l.seek(i)
	l.splice(c, at, sizeWith(packed.Size(c.buf[at:])), 0)
	l.removed(c)
	if c.n > 0 {
		l.join(c)
	}
}

// Clone implements engine.Object.
func (l *List) Clone() engine.Object {
	o := New()
	for c := l.head; c != nil; c = c.next {
		if c.n > 0 {
			o.appendChunk(c.buf[c.lo:], int(c.n))
		}
	}
	return o
}

// Assign makes l what o is, which is not to be used any more.
func (l *List) Assign(o *List) {
	*l = *o
	if o.head == &o.first {
		l.head = &l.first
	}
	if o.tail == &o.first {
		l.tail = &l.first
	}
	if l.first.next != nil {
		l.first.next.prev = &l.first
	}
	if l.first.prev != nil {
		l.first.prev.next = &l.first
	}
}

// sizeWith returns the size of a form with its length behind it: seven bits a byte, of which the last one in memory has the
// lowest and all but the first one have the high bit.
func sizeWith(size int) int { return size + lengthBytes(size) }

func lengthBytes(size int) int { return (bits.Len(uint(size)) + 6) / 7 }

// put writes a string with its length to b, which it fills.
func put(b []byte, f *packed.Form) {
	f.Put(b)
	putLength(b[f.Size():], f.Size())
}

// putLength fills b with a length.
func putLength(b []byte, size int) {
	at := len(b) - 1
	for ; at > 0; at-- {
		b[at] = byte(size) | 0x80
		size >>= 7
	}
	b[0] = byte(size)
}
