package packed

import (
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/peercache/peercache/internal/alloc"
)

// AppendTo appends what Decode makes an equal List of.
func (l *List) AppendTo(b []byte) []byte { return append(b, l.b...) }

// errDecode says that bytes are not those of a List.
var errDecode = errors.New("not packed strings")

// Decode makes a List of all of b, which AppendTo has written. It keeps nothing of b.
func Decode(b []byte) (List, error) {
	if len(b) == 0 {
		return List{}, nil
	}
	if len(b) <= headerBytes {
		return List{}, errDecode
	}
	count := uint32(0)
	for at := headerBytes; at < len(b); count++ {
		size := check(b[at:])
		if size == 0 {
			return List{}, errDecode
		}
		at += size
	}
	if count != binary.LittleEndian.Uint32(b) {
		return List{}, errDecode
	}
	l := List{make([]byte, len(b), alloc.Size(int64(len(b))))}
	copy(l.b, b)
	return l, nil
}

// check returns how long the string is with which b begins, or 0 if it is not in the one form that it may have.
func check(b []byte) int {
	var e entry
	switch h := b[0]; {
	case h > long || h == intBase:
		return 0
	case h == long:
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size < maxShort || size > uint64(len(b)-1-n) || n > 1 && b[n] == 0 {
			return 0
		}
		return 1 + n + int(size)
	case h > intBase:
		size := int(h - intBase)
		if len(b) < 1+size {
			return 0
		}
		var buf [maxDigits]byte
		e.set(string(appendInt(buf[:0], b[1:1+size])))
		if e.headLen != 1+size || e.head[0] != h {
			return 0
		}
		return 1 + size
	default:
		size := int(h)
		if len(b) < 1+size {
			return 0
		}
		if size <= maxDigits {
			if _, ok := asInt(string(b[1 : 1+size])); ok {
				return 0
			}
		}
		return 1 + size
	}
}

// appendInt appends an integer as a string.
func appendInt(buf, b []byte) []byte {
	var u uint64
	for i := len(b) - 1; i >= 0; i-- {
		u = u<<8 | uint64(b[i])
	}
	shift := 64 - 8*len(b)
	return strconv.AppendInt(buf, int64(u<<shift)>>shift, 10)
}
