package list

import "github.com/peercache/peercache/data/internal/packed"

// Iterator goes through the strings of a List that does not change meanwhile.
type Iterator struct {
	c         *chunk
	at        int // of the present string
	end       int // backwards: after the next one
	backwards bool
	next      int // forwards: of the next one
	buf       Buffer
}

// Forwards returns an Iterator whose first string is the i-th one, if there is one.
func (l *List) Forwards(i int) *Iterator {
	it := &Iterator{}
	if i < l.n {
		it.c, it.next = l.seek(i)
	}
	return it
}

// Backwards is Forwards that goes on towards the beginning.
func (l *List) Backwards(i int) *Iterator {
	it := &Iterator{backwards: true}
	if 0 <= i && i < l.n {
		it.c, it.end = l.seek(i)
		it.end = it.c.after(it.end)
	}
	return it
}

// Next goes to the next string, and returns false if there is none.
func (it *Iterator) Next() bool {
	if it.c == nil {
		return false
	}
	if it.backwards {
		if it.end == int(it.c.lo) {
			if it.c = it.c.prev; it.c == nil {
				return false
			}
			it.end = len(it.c.buf)
		}
		it.at = it.c.before(it.end)
		it.end = it.at
		return true
	}
	if it.next == len(it.c.buf) {
		if it.c = it.c.next; it.c == nil {
			return false
		}
		it.next = int(it.c.lo)
	}
	it.at = it.next
	it.next = it.c.after(it.at)
	return true
}

// Value returns the present string. It is not to be changed, and valid until Next.
func (it *Iterator) Value() []byte {
	s, _ := packed.Read(it.c.buf[it.at:], it.buf[:])
	return s
}

// Is reports whether the present string is the one of f.
func (it *Iterator) Is(f *packed.Form) bool {
	b := it.c.buf[it.at:]
	return f.Is(b[:packed.Size(b)])
}
