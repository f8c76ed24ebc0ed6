package consistenthash

import (
	"slices"
	"strings"
	"testing"
)

// FuzzRing makes rings of the comma-separated names, weighted by the bytes of weights, and
// checks for a key what must hold for all.
func FuzzRing(f *testing.F) {
	f.Add("a,b,c", []byte{1, 2, 3}, "key")
	f.Add("http://10.0.0.1:8001", []byte(nil), "")
	f.Add("a,,b", []byte{0}, "k")
	f.Add("a,a", []byte{9}, "k")
	f.Add("x,y,\xff,\x00", []byte{200, 0, 255}, "\xff\xfe")
	f.Fuzz(func(t *testing.T, list string, weights []byte, key string) {
		var members []Member
		for i, name := range strings.Split(list, ",") {
			m := Member{Name: name}
			if len(weights) > 0 {
				m.Weight = int(int8(weights[i%len(weights)])) % 8 // -7 to 7
			}
			members = append(members, m)
		}
		if len(members) > 16 {
			t.Skip("large rings are slow to make")
		}
		names := namesOf(members)
		valid := !slices.Contains(names, "")
		for i, m := range members {
			valid = valid && !slices.Contains(names[:i], m.Name)
		}
		if r, err := NewGroupcache(5, names...); (err == nil) != valid {
			t.Fatalf("NewGroupcache(%q): %v", names, err)
		} else if valid {
			checkRing(t, r, names, key)
		}

		weighed := func(m Member) bool { return m.Weight >= 0 }
		valid = valid && !slices.ContainsFunc(members, func(m Member) bool { return !weighed(m) })
		r, err := New(members...)
		if (err == nil) != valid {
			t.Fatalf("New(%v): %v", members, err)
		}
		if !valid {
			return
		}
		order := checkRing(t, r, names, key)

		slices.Reverse(members)
		if got := mustNew(t, members...).Successors(key, len(members)); !slices.Equal(got, order) {
			t.Fatalf("reversed members give %q, want %q", got, order)
		}
		for i, name := range order { // whoever leaves, the others stay in order
			if len(order) == 1 {
				break
			}
			left := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Name == name })
			want := slices.Delete(slices.Clone(order), i, i+1)
			if got := mustNew(t, left...).Successors(key, len(left)); !slices.Equal(got, want) {
				t.Fatalf("without %q: %q, want %q", name, got, want)
			}
		}
	})
}

// checkRing checks that the key's successors are all members, once each, and its owner the
// first of them. It returns them.
func checkRing(t *testing.T, r *Ring, names []string, key string) []string {
	t.Helper()
	order := r.Successors(key, len(names)+1)
	if r.Owner(key) != order[0] || names[r.OwnerIndex(key)] != order[0] {
		t.Fatalf("owner of %q is %q, first successor %q", key, r.Owner(key), order[0])
	}
	got, want := slices.Sorted(slices.Values(order)), slices.Sorted(slices.Values(names))
	if !slices.Equal(got, want) {
		t.Fatalf("successors of %q are %q, want %q in some order", key, got, want)
	}
	return order
}
