package set

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/packed"
)

// same fails the test if a Set is not what a map says, and returns how it is stored.
func same(t *testing.T, s *Set, want map[string]bool) []byte {
	t.Helper()
	got := map[string]bool{}
	s.All(func(member packed.Text) bool {
		if got[member.String()] {
			t.Fatalf("%q is there twice", member.String())
		}
		got[member.String()] = true
		return true
	})
	if !maps.Equal(got, want) || s.Len() != len(want) {
		t.Fatalf("%d members: %.300q, want %d", s.Len(), slices.Sorted(maps.Keys(got)), len(want))
	}
	for member := range want {
		if !s.Has(member) {
			t.Fatalf("%q is not found", member)
		}
	}
	return s.AppendTo(nil)
}

// kinds make members, so that sets get and keep each of their forms.
var kinds = map[string]func(r *rand.Rand) string{
	"small integers": func(r *rand.Rand) string { return strconv.Itoa(r.IntN(400) - 200) },
	"many integers":  func(r *rand.Rand) string { return strconv.Itoa(r.IntN(3000)) },
	"wide integers": func(r *rand.Rand) string {
		return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
	},
	"few names":  func(r *rand.Rand) string { return "m" + strconv.Itoa(r.IntN(100)) },
	"many names": func(r *rand.Rand) string { return "m" + strconv.Itoa(r.IntN(3000)) },
	"anything": func(r *rand.Rand) string {
		all := []string{"", "0", "-0", "00", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "a\x00b",
			strings.Repeat("x", 64), strings.Repeat("y", 65), strings.Repeat("z", 300)}
		return all[r.IntN(len(all))]
	},
}

// TestAsAMap has random changes made to a Set and to a map, undone, stored and copied.
func TestAsAMap(t *testing.T) {
	for name, member := range kinds {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(6) {
				r := rand.New(rand.NewPCG(seed, 0))
				s, want := New(), map[string]bool{}
				for step := range 3000 {
					m := member(r)
					if r.IntN(10) < 7 == (step/1000%2 == 0) {
						if s.Add(m) == want[m] {
							t.Fatalf("Add(%q) is wrong", m)
						}
						want[m] = true
					} else {
						if s.Remove(m) != want[m] {
							t.Fatalf("Remove(%q) is wrong", m)
						}
						delete(want, m)
					}
					if step%100 == 0 {
						checkCopies(t, s, want)
					}
					if step%1000 == 0 {
						checkUndo(t, s, want, r, member)
					}
				}
			}
		})
	}
}

func checkCopies(t *testing.T, s *Set, want map[string]bool) {
	t.Helper()
	b := same(t, s, want)
	if len(want) == 0 {
		return
	}
	back, err := Kind.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, back.(*Set), want)
	clone := s.Clone().(*Set)
	if back.Bytes() > clone.Bytes() || back.Encoding() != s.Encoding() || clone.Encoding() != s.Encoding() {
		t.Fatalf("%d bytes and %s of what was stored, %d and %s of a clone, %s of the set", back.Bytes(), back.Encoding(), clone.Bytes(), clone.Encoding(), s.Encoding())
	}
	clone.Add("another")
	for member := range want {
		clone.Remove(member)
	}
	same(t, s, want)
}

// checkUndo changes a Set, and undoes that.
func checkUndo(t *testing.T, s *Set, want map[string]bool, r *rand.Rand, member func(r *rand.Rand) string) {
	t.Helper()
	encoding, bytes, table := s.Encoding(), s.Bytes(), s.table != nil
	var undos []func()
	for range 600 {
		m := member(r)
		undos = append(undos, s.Keep(m))
		if r.IntN(3) > 0 {
			s.Add(m)
		} else {
			s.Remove(m)
		}
	}
	for _, undo := range slices.Backward(undos) {
		undo()
	}
	same(t, s, want)
	if s.Encoding() != encoding || !table && s.Bytes() != bytes {
		t.Fatalf("%s of %d bytes, was %s of %d", s.Encoding(), s.Bytes(), encoding, bytes)
	}
}

func TestForms(t *testing.T) {
	for _, test := range []struct {
		name     string
		ints     int
		then     []string
		encoding string
		table    bool
	}{
		{"integers", 512, nil, "intset", false},
		{"an integer too many", 513, nil, "hashtable", true},
		{"an integer twice", 512, []string{"5"}, "intset", false},
		{"a name among few", 127, []string{"a"}, "hashtable", false},
		{"a name among many", 128, []string{"a"}, "hashtable", true},
		{"a long name", 1, []string{strings.Repeat("x", 65)}, "hashtable", true},
		{"a name of 64 bytes", 1, []string{strings.Repeat("x", 64)}, "hashtable", false},
		{"another long name", 0, []string{"a", strings.Repeat("x", 65)}, "hashtable", true},
	} {
		s := New()
		for i := range test.ints {
			s.Add(strconv.Itoa(i))
		}
		for _, m := range test.then {
			s.Add(m)
		}
		if s.Encoding() != test.encoding || s.table != nil != test.table {
			t.Errorf("%s: %s, a table: %v", test.name, s.Encoding(), s.table != nil)
		}
	}
}

// TestScanAcrossForms has a set become a table, grow and shrink while it is scanned. Members that stay are all visited.
func TestScanAcrossForms(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := New()
		stay := 1 + r.IntN(600)
		for i := range stay {
			s.Add(strconv.Itoa(i))
		}
		seen := map[string]int{}
		for place, first := uint64(0), true; place != 0 || first; first = false {
			place = s.Scan(place, func(member packed.Text) { seen[member.String()]++ })
			for range r.IntN(50) {
				m := fmt.Sprint("goes", r.IntN(500))
				if !s.Remove(m) {
					s.Add(m)
				}
			}
		}
		for i := range stay {
			if n := seen[strconv.Itoa(i)]; n != 1 {
				t.Fatalf("seed %d: %d is visited %d times", seed, i, n)
			}
		}
	}
}

// chiSquare returns how far counts are from even, in standard deviations from what is expected.
func chiSquare(counts map[string]int, kinds, total int) float64 {
	expected := float64(total) / float64(kinds)
	sum := float64(kinds-len(counts)) * expected
	for _, n := range counts {
		sum += (float64(n) - expected) * (float64(n) - expected) / expected
	}
	freedom := float64(kinds - 1)
	return (sum - freedom) / math.Sqrt(2*freedom)
}

// TestRandomIsEven has choices of each form be even, by the chi-square test.
func TestRandomIsEven(t *testing.T) {
	const total = 200_000
	for name, test := range map[string]struct {
		prefix string
		n      int
	}{"integers": {"", 300}, "flat": {"m", 100}, "table": {"m", 1000}} {
		s := New()
		for i := range 2 * test.n {
			s.Add(test.prefix + strconv.Itoa(i))
		}
		for i := range test.n { // so that there are gaps
			s.Remove(test.prefix + strconv.Itoa(2*i))
		}
		if s.Len() != test.n {
			t.Fatal(s.Len())
		}
		for how, choose := range map[string]func(do func(member packed.Text)) int{
			"Random":    func(do func(member packed.Text)) int { do(s.Random()); return 1 },
			"Sample":    func(do func(member packed.Text)) int { s.Sample(10, do); return 10 },
			"many":      func(do func(member packed.Text)) int { s.Sample(test.n-7, do); return test.n - 7 },
			"Sample(1)": func(do func(member packed.Text)) int { s.Sample(1, do); return 1 },
		} {
			counts, n := map[string]int{}, 0
			for n < total {
				n += choose(func(member packed.Text) { counts[member.String()]++ })
			}
			if x := chiSquare(counts, test.n, n); x > 5 {
				t.Errorf("%s, %s: %.1f standard deviations from even", name, how, x)
			}
		}
	}
}

// TestSampleIsDistinct has a Sample of each size be of different members.
func TestSampleIsDistinct(t *testing.T) {
	for _, prefix := range []string{"", "m"} {
		s := New()
		for i := range 200 {
			s.Add(prefix + strconv.Itoa(i))
			for n := range s.Len() + 1 {
				got := map[string]bool{}
				s.Sample(n, func(member packed.Text) { got[member.String()] = true })
				if len(got) != n {
					t.Fatalf("Sample(%d) of %d has %d", n, s.Len(), len(got))
				}
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for name, member := range kinds {
		r := rand.New(rand.NewPCG(uint64(len(name)), 0))
		s := New()
		for range 20 {
			s.Add(member(r))
			f.Add(s.AppendTo(nil))
		}
	}
	f.Add([]byte{formInts, 2, 1, 0, 1, 0})
	f.Add([]byte{formTable, 2, 1, 'a', 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		object, err := Kind.Decode(b)
		if err != nil {
			return
		}
		s := object.(*Set)
		if s.Bytes() > 1000+60*int64(len(b)) {
			t.Fatalf("%d bytes of %d", s.Bytes(), len(b))
		}
		want := map[string]bool{}
		s.All(func(member packed.Text) bool {
			want[member.String()] = true
			return true
		})
		again, err := Kind.Decode(same(t, s, want))
		if err != nil {
			t.Fatal(err)
		}
		same(t, again.(*Set), want)
		for member := range want {
			if !s.Remove(member) {
				t.Fatalf("%q is not there", member)
			}
		}
		same(t, s, map[string]bool{})
	})
}
