package channel

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/peercache/peercache/internal/alloc"
)

func TestSize(t *testing.T) {
	if n := alloc.Size(int64(unsafe.Sizeof(Channel{}))); n != channelBytes {
		t.Errorf("a Channel takes %d bytes, not %d", n, channelBytes)
	}
}

func FuzzDecode(f *testing.F) {
	c := New(3)
	for _, s := range []string{"a", "12", "", ""} {
		f.Add(c.AppendTo(nil))
		c.List.PushRight(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		object, err := decode(b)
		if err != nil {
			return
		}
		if object.Bytes() > 100*int64(len(b))+1000 {
			t.Fatalf("%d bytes become %d", len(b), object.Bytes())
		}
		for _, c := range []*Channel{object.(*Channel), object.Clone().(*Channel)} {
			if int64(c.Len()) > c.Capacity || c.Capacity < 1 {
				t.Fatalf("%d values in a channel for %d", c.Len(), c.Capacity)
			}
			if again := c.AppendTo(nil); !bytes.Equal(again, b) {
				t.Fatalf("%q becomes %q", b, again)
			}
		}
	})
}
