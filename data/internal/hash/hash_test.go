package hash

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

// same fails the test if a Hash is not what a map says, and returns how it is stored.
func same(t *testing.T, h *Hash, want map[string]string) []byte {
	t.Helper()
	got := map[string]string{}
	h.All(func(field, value packed.Text) { got[field.String()] = value.String() })
	if !maps.Equal(got, want) || h.Len() != len(want) {
		t.Fatalf("%d fields: %.300q, want %d", h.Len(), got, len(want))
	}
	for field, value := range want {
		if v, ok := h.Get(field); !ok || v.String() != value || v.Len() != len(value) || !h.Has(field) {
			t.Fatalf("%q is %q, want %q", field, v.String(), value)
		}
	}
	return h.AppendTo(nil)
}

// fields make fields, so that hashes get and keep each of their forms.
var fields = map[string]func(r *rand.Rand) string{
	"few":  func(r *rand.Rand) string { return "f" + strconv.Itoa(r.IntN(100)) },
	"many": func(r *rand.Rand) string { return "f" + strconv.Itoa(r.IntN(3000)) },
	"anything": func(r *rand.Rand) string {
		all := []string{"", "0", "-0", "12", "a\x00b", strings.Repeat("x", 64), strings.Repeat("y", 65), strings.Repeat("z", 300)}
		return all[r.IntN(len(all))]
	},
}

func value(r *rand.Rand) string {
	switch r.IntN(30) {
	case 0:
		return strings.Repeat("v", 60+r.IntN(5))
	case 1:
		return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
	}
	return fmt.Sprint("value", r.IntN(1000))
}

// TestAsAMap has random changes made to a Hash and to a map, undone, stored and copied.
func TestAsAMap(t *testing.T) {
	for name, field := range fields {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(6) {
				r := rand.New(rand.NewPCG(seed, 0))
				h, want := New(), map[string]string{}
				for step := range 3000 {
					change(t, h, want, field(r), r, step/1000%2 == 0)
					if step%100 == 0 {
						checkCopies(t, h, want)
					}
					if step%1000 == 0 {
						checkUndo(t, h, want, r, field)
					}
				}
			}
		})
	}
}

func change(t *testing.T, h *Hash, want map[string]string, field string, r *rand.Rand, grow bool) {
	t.Helper()
	_, there := want[field]
	if r.IntN(10) < 7 == grow {
		v := value(r)
		if h.Set(field, v) == there {
			t.Fatalf("Set(%q) is wrong", field)
		}
		want[field] = v
		return
	}
	if h.Delete(field) != there {
		t.Fatalf("Delete(%q) is wrong", field)
	}
	delete(want, field)
}

func checkCopies(t *testing.T, h *Hash, want map[string]string) {
	t.Helper()
	b := same(t, h, want)
	if len(want) == 0 {
		return
	}
	back, err := Kind.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	same(t, back.(*Hash), want)
	clone := h.Clone().(*Hash)
	if back.Bytes() > clone.Bytes() || back.Encoding() != h.Encoding() || clone.Encoding() != h.Encoding() {
		t.Fatalf("%d bytes and %s of what was stored, %d and %s of a clone, %s of the hash", back.Bytes(), back.Encoding(), clone.Bytes(), clone.Encoding(), h.Encoding())
	}
	for field := range want {
		clone.Set(field, "changed")
	}
	same(t, h, want)
}

// checkUndo changes a Hash, and undoes that.
func checkUndo(t *testing.T, h *Hash, want map[string]string, r *rand.Rand, field func(r *rand.Rand) string) {
	t.Helper()
	encoding, bytes := h.Encoding(), h.Bytes()
	changed := maps.Clone(want)
	var undos []func()
	for range 600 {
		f := field(r)
		undos = append(undos, h.Keep(f))
		change(t, h, changed, f, r, true)
	}
	same(t, h, changed)
	for _, undo := range slices.Backward(undos) {
		undo()
	}
	same(t, h, want)
	if h.Encoding() != encoding || encoding == "listpack" && h.Bytes() != bytes {
		t.Fatalf("%s of %d bytes, was %s of %d", h.Encoding(), h.Bytes(), encoding, bytes)
	}
}

func TestForms(t *testing.T) {
	for _, test := range []struct {
		fields      int
		field, then string
		encoding    string
	}{
		{128, "f0", "again", "listpack"},
		{128, "another", "", "hashtable"},
		{1, "f", strings.Repeat("x", 64), "listpack"},
		{1, "f", strings.Repeat("x", 65), "hashtable"},
		{1, strings.Repeat("x", 64), "", "listpack"},
		{1, strings.Repeat("x", 65), "", "hashtable"},
	} {
		h := New()
		for i := range test.fields {
			h.Set("f"+strconv.Itoa(i), "v")
		}
		h.Set(test.field, test.then)
		if h.Encoding() != test.encoding {
			t.Errorf("%d fields, and then %q: %s", test.fields, test.field, h.Encoding())
		}
		h.Delete(test.field)
		if h.Encoding() != test.encoding {
			t.Errorf("%d fields, and then %q no more: %s", test.fields, test.field, h.Encoding())
		}
	}
}

// TestScanAcrossForms has a hash become a table, grow and shrink while it is scanned. Fields that stay are all visited.
func TestScanAcrossForms(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		h := New()
		stay := 1 + r.IntN(400)
		for i := range stay {
			h.Set(strconv.Itoa(i), "v"+strconv.Itoa(i))
		}
		seen := map[string]int{}
		for place, first := uint64(0), true; place != 0 || first; first = false {
			place = h.Scan(place, func(field, value packed.Text) {
				seen[field.String()]++
				if f, v := field.String(), value.String(); f[0] != 'g' && v != "v"+f {
					t.Errorf("%s has %s", f, v)
				}
			})
			for range r.IntN(50) {
				f := fmt.Sprint("goes", r.IntN(500))
				if !h.Delete(f) {
					h.Set(f, "")
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

// TestRandomIsEven has choices of each form be even, by the chi-square test.
func TestRandomIsEven(t *testing.T) {
	const total = 200_000
	for _, n := range []int{100, 1000} {
		h := New()
		for i := range n {
			h.Set(strconv.Itoa(i), "v"+strconv.Itoa(i))
		}
		for name, choose := range map[string]func(do func(field, value packed.Text)) int{
			"Random": func(do func(field, value packed.Text)) int { do(h.Random()); return 1 },
			"Sample": func(do func(field, value packed.Text)) int { h.Sample(10, do); return 10 },
			"many":   func(do func(field, value packed.Text)) int { h.Sample(n-7, do); return n - 7 },
		} {
			counts, chosen := map[string]int{}, 0
			for chosen < total {
				chosen += choose(func(field, value packed.Text) {
					if value.String() != "v"+field.String() {
						t.Fatalf("%s has %s", field.String(), value.String())
					}
					counts[field.String()]++
				})
			}
			expected, sum := float64(chosen)/float64(n), 0.0
			for i := range n {
				d := float64(counts[strconv.Itoa(i)]) - expected
				sum += d * d / expected
			}
			if x := (sum - float64(n-1)) / math.Sqrt(2*float64(n-1)); x > 5 {
				t.Errorf("%d fields, %s: %.1f standard deviations from even", n, name, x)
			}
		}
	}
}

// TestSampleIsDistinct has a Sample of each size be of as many different fields.
func TestSampleIsDistinct(t *testing.T) {
	h := New()
	for i := range 200 {
		h.Set(strconv.Itoa(i), "v")
		for n := range h.Len() + 1 {
			got := map[string]bool{}
			h.Sample(n, func(field, _ packed.Text) { got[field.String()] = true })
			if len(got) != n {
				t.Fatalf("Sample(%d) of %d has %d", n, h.Len(), len(got))
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for name, field := range fields {
		r := rand.New(rand.NewPCG(uint64(len(name)), 0))
		h := New()
		for range 20 {
			h.Set(field(r), value(r))
			f.Add(h.AppendTo(nil))
		}
	}
	f.Add([]byte{formTable, 2, 1, 'a', 0, 1, 'a', 0})
	f.Add([]byte{formFlat, 3, 0, 0, 0, 1, 'a', 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		object, err := Kind.Decode(b)
		if err != nil {
			return
		}
		h := object.(*Hash)
		if h.Bytes() > 1000+60*int64(len(b)) {
			t.Fatalf("%d bytes of %d", h.Bytes(), len(b))
		}
		want := map[string]string{}
		h.All(func(field, value packed.Text) { want[field.String()] = value.String() })
		again, err := Kind.Decode(same(t, h, want))
		if err != nil {
			t.Fatal(err)
		}
		same(t, again.(*Hash), want)
		for field := range want {
			if !h.Delete(field) {
				t.Fatalf("%q is not there", field)
			}
		}
		same(t, h, map[string]string{})
	})
}
