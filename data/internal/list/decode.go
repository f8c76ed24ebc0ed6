package list

import (
	"encoding/binary"
	"errors"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/packed"
)

// AppendTo implements engine.Object: the number of strings, and the strings with their lengths as chunks have them.
func (l *List) AppendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(l.n))
	for c := l.head; c != nil; c = c.next {
		b = append(b, c.buf[c.lo:]...)
	}
	return b
}

// errDecode says that bytes are not those of a List.
var errDecode = errors.New("not a list")

// decode makes a List of all of b. It takes little more memory than b has.
func decode(b []byte) (engine.Object, error) {
	count, head := binary.Uvarint(b)
	if head <= 0 || count == 0 || head > 1 && b[head-1] == 0 {
		return nil, errDecode
	}
	b = b[head:]
	l := New()
	for len(b) > 0 {
		at, n := 0, 0
		for at < len(b) {
			size := check(b[at:])
			if size == 0 {
				return nil, errDecode
			}
			if n > 0 && at+size > chunkBytes {
				break
			}
			at += size
			n++
		}
		l.appendChunk(b[:at], n)
		b = b[at:]
	}
	if uint64(l.n) != count {
		return nil, errDecode
	}
	return l, nil
}

// check returns the size of the string with which b begins, with its length behind it, or 0 if it is none.
func check(b []byte) int {
	size := packed.Check(b)
	if size == 0 || len(b) < sizeWith(size) {
		return 0
	}
	var room [10]byte
	want := room[:lengthBytes(size)]
	putLength(want, size)
	if string(b[size:sizeWith(size)]) != string(want) {
		return 0
	}
	return sizeWith(size)
}
