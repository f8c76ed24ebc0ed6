package peercache

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestByteView(t *testing.T) {
	for _, s := range []string{"", "x", "hello, world", "\x00\xff"} {
		for name, v := range map[string]ByteView{"bytes": ViewOf([]byte(s)), "string": ViewOfString(s), "own": viewOfOwn([]byte(s))} {
			if v.Len() != len(s) || v.String() != s || string(v.ByteSlice()) != s || string(v.AppendTo([]byte("<"))) != "<"+s {
				t.Errorf("%s of %q: %d bytes, %q", name, s, v.Len(), v.String())
			}
			if !v.Equal(ViewOfString(s)) || !v.EqualString(s) || !v.EqualBytes([]byte(s)) || v.EqualString(s+"x") {
				t.Errorf("%s of %q is not equal to itself, or to more", name, s)
			}
			if err := iotest.TestReader(v.Reader(), []byte(s)); err != nil {
				t.Errorf("%s of %q: %v", name, s, err)
			}
			var buf bytes.Buffer
			if n, err := v.WriteTo(&buf); err != nil || n != int64(len(s)) || buf.String() != s {
				t.Errorf("%s of %q: WriteTo wrote %q, %v", name, s, buf.String(), err)
			}
			dst := make([]byte, 3)
			if n := v.Copy(dst); n != min(3, len(s)) || string(dst[:n]) != s[:n] {
				t.Errorf("%s of %q: Copy gave %q", name, s, dst[:n])
			}
			for i := range len(s) {
				if v.At(i) != s[i] || v.Slice(i, len(s)).String() != s[i:] {
					t.Errorf("%s of %q differs at %d", name, s, i)
				}
			}
		}
	}
}

func TestP4ViewsDoNotShareWithSlices(t *testing.T) {
	b := []byte("before")
	v := ViewOf(b)
	copy(b, "after!")
	copy(v.ByteSlice(), "again!")
	if v.String() != "before" {
		t.Fatalf("the view is now %q", v)
	}
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestByteViewWriteToSaysThatItWasShort(t *testing.T) {
	if n, err := ViewOfString("four").WriteTo(shortWriter{}); n != 2 || !errors.Is(err, io.ErrShortWrite) {
		t.Fatalf("%d, %v", n, err)
	}
}
