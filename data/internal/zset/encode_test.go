package zset

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestDecodeRefuses(t *testing.T) {
	item := func(score float64, member string) []byte {
		z := From([]Pair{{member, score}})
		return z.AppendTo(nil)[2:]
	}
	join := func(head ...[]byte) []byte { return slices.Concat(head...) }
	nan := item(0, "a")
	copy(nan, []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f})
	for _, tc := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"form", join([]byte{2, 1}, item(1, "a"))},
		{"empty", []byte{0, 0}},
		{"empty, large", []byte{1, 0}},
		{"no count", []byte{0}},
		{"more than there is", join([]byte{0, 2}, item(1, "a"))},
		{"far more than there is", join([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, item(1, "a"))},
		{"less than there is", join([]byte{0, 1}, item(1, "a"), item(2, "b"))},
		{"scores not in order", join([]byte{0, 2}, item(2, "a"), item(1, "b"))},
		{"members not in order", join([]byte{1, 2}, item(1, "b"), item(1, "a"))},
		{"twice", join([]byte{0, 2}, item(1, "a"), item(2, "a"))},
		{"twice, large", join([]byte{1, 2}, item(1, "a"), item(2, "a"))},
		{"NaN", join([]byte{0, 1}, nan)},
		{"long", join([]byte{0, 1}, item(1, strings.Repeat("x", 65)))},
		{"cut", join([]byte{0, 1}, item(1, "abcdef")[:12])},
	} {
		if _, err := Decode(tc.b); err == nil {
			t.Errorf("%s: no error", tc.name)
		}
	}
	for size := range 200 {
		var pairs []Pair
		for i := range size + 1 {
			pairs = append(pairs, Pair{fmt.Sprint(i), float64(i % 5)})
		}
		b := From(pairs).AppendTo(nil)
		for cut := range b {
			if _, err := Decode(b[:cut]); err == nil {
				t.Fatalf("%d bytes of %d were taken for a set", cut, len(b))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(From([]Pair{{"a", 1}, {"b", 2}}).AppendTo(nil))
	f.Add(From([]Pair{{strings.Repeat("a", 70), 1}, {"b", 2}}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := Decode(b)
		if err != nil {
			return
		}
		if bound := int64(len(b))*16 + 4096; z.Bytes() > bound {
			t.Fatalf("%d bytes were made of %d", z.Bytes(), len(b))
		}
		check(t, z, collect(z.Ascend, 0))
		again, err := Decode(z.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.AppendTo(nil), z.AppendTo(nil)) {
			t.Fatal("it is not the same again")
		}
	})
}
