package packed

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/heaptest"
	"github.com/peercache/peercache/internal/alloc"
)

// texts are strings whose forms are at the limits of what there is.
func texts() (all []string) {
	all = []string{"", "a", "5", "-", "-1", "-0", "00", "01", "+1", "1 ", "10", "99999999999999999999", "-9223372036854775809"}
	for shift := range 64 {
		for d := int64(-1); d <= 1; d++ {
			n := int64(1)<<shift + d
			all = append(all, strconv.FormatInt(n, 10), strconv.FormatInt(-n, 10))
		}
	}
	all = append(all, strconv.FormatInt(math.MaxInt64, 10), strconv.FormatInt(math.MinInt64, 10))
	for _, n := range []int{19, 20, 21, 127, 128, 239, 240, 241, 255, 256, 16383, 16384, 70000} {
		all = append(all, strings.Repeat("x", n), strings.Repeat("1", n))
	}
	return all
}

func (l *List) all() (all []string) {
	for at := l.Start(); at < l.End(); at = l.Next(at) {
		all = append(all, l.Text(at))
	}
	return all
}

func compare(t *testing.T, l *List, want []string) {
	t.Helper()
	if got := l.all(); !slices.Equal(got, want) || l.Len() != len(want) {
		t.Fatalf("%d: %.200q, want %d: %.200q", l.Len(), got, len(want), want)
	}
	if size := alloc.Size(int64(len(l.b))); l.Bytes() != size && l.b != nil {
		t.Fatalf("%d bytes, want %d", l.Bytes(), size)
	}
	back, err := Decode(l.AppendTo(nil))
	if err != nil || string(back.b) != string(l.b) || back.Bytes() != l.Bytes() {
		t.Fatalf("Decode: %v", err)
	}
}

func TestEachFormOfStrings(t *testing.T) {
	var l List
	all := texts()
	for i, s := range all {
		l.Append(s)
		compare(t, &l, all[:i+1])
	}
	for i, s := range all {
		at := l.Find(s, 1)
		if at < 0 || l.Text(at) != s || at != l.Seek(slices.Index(all, s)) {
			t.Errorf("%.40q, number %d, is found at %d", s, i, at)
		}
	}
}

// TestAsASlice has random changes made to a List and to a slice.
func TestAsASlice(t *testing.T) {
	all := texts()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var l List
		var want []string
		for range 400 {
			s, i := all[r.IntN(len(all))], r.IntN(len(want)+1)
			switch op := r.IntN(5); {
			case op == 0 && i < len(want):
				n := 1 + r.IntN(min(3, len(want)-i))
				l.Delete(l.Seek(i), n)
				want = slices.Delete(want, i, i+n)
			case op == 1 && i < len(want):
				l.Replace(l.Seek(i), s)
				want[i] = s
			case op == 2:
				l.Insert(l.Seek(i), s, "b")
				want = slices.Insert(want, i, s, "b")
			default:
				l.Append(s)
				want = append(want, s)
			}
			compare(t, &l, want)
			step := 1 + r.IntN(2)
			found := -1
			for j := 0; j < len(want) && found < 0; j += step {
				if want[j] == s {
					found = l.Seek(j)
				}
			}
			if at := l.Find(s, step); at != found {
				t.Fatalf("Find(%.40q, %d) = %d, want %d", s, step, at, found)
			}
			clone := l.Clone()
			clone.Append("x")
		}
	}
}

func TestRandomIsEven(t *testing.T) {
	var l List
	for i := range 10 {
		l.Append(strconv.Itoa(i), "value")
	}
	counts := map[string]int{}
	for range 10_000 {
		counts[l.Text(l.Random(2))]++
	}
	for s, n := range counts {
		if n < 850 || n > 1150 || s == "value" {
			t.Errorf("%s: %d times", s, n)
		}
	}
}

func TestBytesIsTrue(t *testing.T) {
	lists := make([]List, 10_000)
	before := heaptest.Used()
	for i := range lists {
		for j := range i % 40 {
			lists[i].Append(fmt.Sprint("field", j), fmt.Sprint(i))
		}
	}
	heaptest.Check(t, before, 10, lists, func(l List) int64 { return l.Bytes() })
}

func FuzzDecode(f *testing.F) {
	var l List
	l.Append("a", "12", strings.Repeat("x", 300))
	f.Add(l.AppendTo(nil))
	f.Add([]byte{1, 0, 0, 0, long, 0xf0, 0x81, 0})
	f.Add([]byte{1, 0, 0, 0, 241, 5})
	f.Add([]byte{1, 0, 0, 0, 2, '1', '2'})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Decode(b)
		if err != nil {
			return
		}
		var again List
		for at := l.Start(); at < l.End(); at = l.Next(at) {
			s := l.Text(at)
			if l.Find(s, 1) < 0 {
				t.Fatalf("%q is not found", s)
			}
			again.Append(s)
		}
		if string(again.AppendTo(nil)) != string(b) {
			t.Fatalf("%x is another form of %x", b, again.b)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{20, 128} {
		var l List
		keys := make([]string, n)
		for i := range n {
			keys[i] = fmt.Sprintf("field:%04d", i)
			l.Append(keys[i], fmt.Sprintf("value:%08d", i))
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			i := 0
			for b.Loop() {
				l.Find(keys[i%n], 2)
				i++
			}
		})
	}
}
