package list

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/peercache/peercache/data/internal/heaptest"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/internal/alloc"
)

func TestSizes(t *testing.T) {
	if n := alloc.Size(int64(unsafe.Sizeof(List{}))); n != listBytes {
		t.Errorf("a List takes %d bytes, not %d", n, listBytes)
	}
	if n := alloc.Size(int64(unsafe.Sizeof(chunk{}))); n != bytesOfChunk {
		t.Errorf("a chunk takes %d bytes, not %d", n, bytesOfChunk)
	}
}

// checkList compares a List with what it should be, and looks at all that it keeps of itself.
func checkList(t *testing.T, l *List, want []string) {
	t.Helper()
	if l.Len() != len(want) {
		t.Fatalf("%d strings, want %d", l.Len(), len(want))
	}
	var got []string
	for it := l.Forwards(0); it.Next(); {
		got = append(got, string(it.Value()))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("forwards: %.80q\nwant %.80q", got, want)
	}
	got = got[:0]
	for it := l.Backwards(l.Len() - 1); it.Next(); {
		got = append(got, string(it.Value()))
	}
	slices.Reverse(got)
	if !slices.Equal(got, want) {
		t.Fatalf("backwards: %.80q\nwant %.80q", got, want)
	}
	var before *chunk
	memory := int64(0)
	for c := l.head; c != nil; c = c.next {
		if c.prev != before || c.count(len(c.buf)) != c.n {
			t.Fatal("a chunk with wrong neighbours, or a wrong number of strings")
		}
		if c.n > 1 && c.used() > chunkBytes || c.n == 0 && l.n > 0 {
			t.Fatalf("a chunk with %d strings of %d bytes", c.n, c.used())
		}
		if memory += int64(cap(c.buf)); c != &l.first {
			memory += bytesOfChunk
		}
		before = c
	}
	if l.tail != before || l.bytes != memory {
		t.Fatalf("the last chunk is not the tail, or %d bytes are counted that are %d", l.bytes, memory)
	}
}

// text returns a random string: an integer, a short one, one that fills a good part of a chunk, or more than one.
func text(r *rand.Rand) string {
	switch n := r.IntN(100); {
	case n < 40:
		return strconv.FormatInt(r.Int64()>>r.IntN(64), 10)
	case n < 90:
		return strings.Repeat(string(rune('a'+r.IntN(3))), r.IntN(12))
	case n < 97:
		return strings.Repeat("m", r.IntN(600))
	case n < 99:
		return strings.Repeat("l", r.IntN(chunkBytes))
	}
	return strings.Repeat("x", chunkBytes-20+r.IntN(chunkBytes))
}

// step does something random with a List, and with a slice.
func step(r *rand.Rand, l *List, m []string, grow int) (*List, []string) {
	var buf Buffer
	s := text(r)
	op := r.IntN(100)
	switch {
	case op < grow || len(m) == 0:
		switch op % 3 {
		case 0:
			l.PushLeft(s)
			return l, slices.Insert(m, 0, s)
		case 1:
			l.PushRight(s)
			return l, append(m, s)
		}
		i := r.IntN(len(m) + 1)
		l.Insert(i, s)
		return l, slices.Insert(m, i, s)
	case op < 75:
		i := r.IntN(len(m))
		switch op % 3 {
		case 0:
			if got := string(l.PopLeft(&buf)); got != m[0] {
				panic(fmt.Sprintf("the first is %.80q, not %.80q", got, m[0]))
			}
			return l, m[1:]
		case 1:
			if got := string(l.PopRight(&buf)); got != m[len(m)-1] {
				panic(fmt.Sprintf("the last is %.80q, not %.80q", got, m[len(m)-1]))
			}
			return l, m[:len(m)-1]
		}
		l.Remove(i)
		return l, slices.Delete(m, i, i+1)
	case op < 85:
		i := r.IntN(len(m))
		l.Set(i, s)
		m[i] = s
		return l, m
	case op < 90:
		i := r.IntN(len(m))
		if got := string(l.At(i, &buf)); got != m[i] {
			panic(fmt.Sprintf("the string %d is %.80q, not %.80q", i, got, m[i]))
		}
	case op < 92:
		o := l.Clone().(*List)
		step(r, l, slices.Clone(m), grow) // which must not change o
		l.Assign(o)
	case op < 94:
		object, err := decode(l.AppendTo(nil))
		if err != nil {
			panic(err)
		}
		return object.(*List), m
	case op < 95:
		n := r.IntN(min(len(m), 30) + 1)
		l.DropLeft(n)
		return l, m[n:]
	case op < 96:
		n := r.IntN(min(len(m), 30) + 1)
		l.DropRight(n)
		return l, m[:len(m)-n]
	default:
		s, most, fromEnd := m[r.IntN(len(m))], 1+r.IntN(4), op%2 == 0
		n := l.RemoveEqual(s, most, fromEnd)
		var want int
		if m, want = removeEqual(m, s, most, fromEnd); n != want {
			panic(fmt.Sprintf("%d are removed, not %d", n, want))
		}
	}
	return l, m
}

func removeEqual(m []string, s string, most int, fromEnd bool) (rest []string, n int) {
	m = slices.Clone(m)
	if fromEnd {
		slices.Reverse(m)
	}
	m = slices.DeleteFunc(m, func(o string) bool {
		if o == s && n < most {
			n++
			return true
		}
		return false
	})
	if fromEnd {
		slices.Reverse(m)
	}
	return m, n
}

func TestRandom(t *testing.T) {
	seeds := 3000
	if testing.Short() {
		seeds = 300
	}
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 1))
		l, m := New(), []string(nil)
		for i := range 200 {
			grow := 60 // the list becomes long, and short again
			if i%100 > 60 {
				grow = 15
			}
			l, m = step(r, l, m, grow)
			if i%20 == 0 {
				checkList(t, l, m)
			}
		}
		checkList(t, l, m)
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
}

// TestLong has lists of many full chunks, which change in all places.
func TestLong(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 2))
		l, m := New(), []string(nil)
		for range 20_000 {
			s := strconv.Itoa(r.IntN(1e9)) + "abcdef"
			l.PushRight(s)
			m = append(m, s)
		}
		checkList(t, l, m)
		for range 1000 {
			l, m = step(r, l, m, 20)
		}
		checkList(t, l, m)
		for _, grow := range []int{70, 0} {
			for range 200 {
				l, m = step(r, l, m, grow)
			}
			checkList(t, l, m)
		}
	}
}

func TestQueue(t *testing.T) {
	l := New()
	var buf Buffer
	for i := range 100_000 {
		l.PushLeft(strconv.Itoa(i))
		if i >= 500 {
			if got := string(l.PopRight(&buf)); got != strconv.Itoa(i-500) {
				t.Fatalf("%q leaves the queue, not %d", got, i-500)
			}
		}
	}
	if l.Bytes() > 5000 {
		t.Errorf("a queue of 500 numbers takes %d bytes", l.Bytes())
	}
}

// TestMemory compares what a List says that it takes with what the allocator says.
func TestMemory(t *testing.T) {
	for _, test := range []struct{ lists, strings, size int }{{50_000, 3, 8}, {10_000, 50, 10}, {10, 100_000, 10}, {20, 500, 3000}} {
		lists := make([]*List, test.lists)
		before := heaptest.Used()
		for i := range lists {
			lists[i] = New()
			for j := range test.strings {
				lists[i].PushRight(strings.Repeat("v", test.size-3) + strconv.Itoa(100+j%900))
			}
		}
		t.Logf("%v: %.2f of what is in it", test, float64(lists[0].Bytes())/float64(test.strings*(test.size+2)))
		heaptest.Check(t, before, 3, lists, (*List).Bytes)
	}
}

func FuzzDecode(f *testing.F) {
	l := New()
	f.Add(l.AppendTo(nil))
	for _, s := range []string{"", "a", "12", "-1", strings.Repeat("long", 100)} {
		l.PushRight(s)
		f.Add(l.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		object, err := decode(b)
		if err != nil {
			return
		}
		l := object.(*List)
		if l.Bytes() > 100*int64(len(b))+1000 {
			t.Fatalf("%d bytes become %d", len(b), l.Bytes())
		}
		if again := l.AppendTo(nil); !bytes.Equal(again, b) {
			t.Fatalf("%q becomes %q", b, again)
		}
		var want []string
		for it := l.Forwards(0); it.Next(); {
			want = append(want, string(it.Value()))
		}
		checkList(t, l, want)
	})
}

func BenchmarkPushPop(b *testing.B) {
	for _, n := range []int{0, 100, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := New()
			for range n {
				l.PushRight("0123456789")
			}
			var buf Buffer
			b.ReportAllocs()
			for b.Loop() {
				l.PushLeft("0123456789")
				l.PopRight(&buf)
			}
		})
	}
}

func BenchmarkAt(b *testing.B) {
	l := New()
	for range 1_000_000 {
		l.PushRight("0123456789")
	}
	var buf Buffer
	for b.Loop() {
		l.At(500_000, &buf)
	}
}

func BenchmarkIsOne(b *testing.B) {
	l := New()
	for range 100_000 {
		l.PushRight("0123456789a")
	}
	var f packed.Form
	f.Set("0123456789b")
	b.ReportMetric(100_000, "strings/op")
	for b.Loop() {
		for it := l.Forwards(0); it.Next(); {
			it.Is(&f)
		}
	}
}
