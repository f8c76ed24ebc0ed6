package peercache

import (
	"bytes"
	"io"
	"strings"
	"unsafe"
)

// ByteView is an immutable view of bytes. It is small: pass it by value. The
// zero ByteView is empty. A view stays valid as long as somebody holds it, also
// after its key has left the cache.
type ByteView struct {
	s string // a string, because nobody can write to one (P4)
}

// ViewOf returns a view of a copy of b.
func ViewOf(b []byte) ByteView { return ByteView{string(b)} }

// ViewOfString returns a view of s. It copies nothing.
func ViewOfString(s string) ByteView { return ByteView{s} }

// viewOfOwn returns a view of b itself, which nobody may write to any more.
func viewOfOwn(b []byte) ByteView { return ByteView{unsafe.String(unsafe.SliceData(b), len(b))} }

// Len returns the number of bytes.
func (v ByteView) Len() int { return len(v.s) }

// At returns the byte at i. It panics if i is out of range, as a slice does.
func (v ByteView) At(i int) byte { return v.s[i] }

// Slice returns the view of the bytes from from up to, not including, to. It
// copies nothing, and panics where a slice would.
func (v ByteView) Slice(from, to int) ByteView { return ByteView{v.s[from:to]} }

// String returns the bytes as a string. It copies nothing.
func (v ByteView) String() string { return v.s }

// ByteSlice returns a copy of the bytes.
func (v ByteView) ByteSlice() []byte { return []byte(v.s) }

// AppendTo appends the bytes to dst, as append does.
func (v ByteView) AppendTo(dst []byte) []byte { return append(dst, v.s...) }

// Copy copies into dst and returns the number of bytes copied, as copy does.
func (v ByteView) Copy(dst []byte) int { return copy(dst, v.s) }

// Equal reports whether both views have the same bytes.
func (v ByteView) Equal(w ByteView) bool { return v.s == w.s }

// Same reports whether both are views of the same piece of memory, so that they are
// equal and one cannot have come in the place of the other. It looks at no bytes.
func (v ByteView) Same(w ByteView) bool {
	return len(v.s) == len(w.s) && unsafe.StringData(v.s) == unsafe.StringData(w.s)
}

// EqualString reports whether the bytes are those of s.
func (v ByteView) EqualString(s string) bool { return v.s == s }

// EqualBytes reports whether the bytes are those of b.
func (v ByteView) EqualBytes(b []byte) bool { return bytes.Equal(v.bytes(), b) }

// Reader returns a reader of the bytes that can seek. It copies nothing.
func (v ByteView) Reader() *strings.Reader { return strings.NewReader(v.s) }

// WriteTo implements io.WriterTo. It copies nothing; w must not change what it
// is given, as io.Writer demands.
func (v ByteView) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(v.bytes())
	if err == nil && n < len(v.s) {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// bytes returns the bytes themselves, for callees that only read them.
func (v ByteView) bytes() []byte { return unsafe.Slice(unsafe.StringData(v.s), len(v.s)) }
