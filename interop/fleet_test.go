package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/golang/groupcache/consistenthash"
)

// TestFleets runs three processes of every mix of kinds, in every order, and
// asks all of them for many keys at once. They agree on each key's owner, get
// the right value through it, and it alone loads the key, once (P1).
func TestFleets(t *testing.T) {
	for mix := range 1 << 3 {
		kinds := []string{pc, pc, pc}
		for i := range kinds {
			if mix>>i&1 == 1 {
				kinds[i] = gc
			}
		}
		t.Run(strings.Join(kinds, " "), func(t *testing.T) {
			t.Parallel()
			open, urls := listeners(t, len(kinds))
			testFleet(t, startFleet(t, open, urls, kinds, onMux), urls)
		})
	}
}

func testFleet(t *testing.T, fleet []*process, urls []string) {
	keys := make([]oddKey, 0, 200+len(oddKeys))
	for i := range cap(keys) - len(oddKeys) {
		keys = append(keys, oddKey{key: fmt.Sprintf("user:%d", i)})
	}
	keys = append(keys, oddKeys...)

	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.key
	}
	ring := consistenthash.New(50, nil) // groupcache's own
	ring.Add(urls...)
	owners := make([]int, len(keys))
	for _, p := range fleet {
		for i, got := range p.owners(t, names...) {
			want := ring.Get(names[i])
			if got != want {
				t.Errorf("%s at %s takes %s for the owner of %.50q, want %s", p.kind, p.url, got, names[i], want)
			}
			owners[i] = at(t, fleet, want)
		}
	}
	if t.Failed() {
		return
	}

	// Twice through each process, in an order that brings them together.
	together(len(keys)*2*len(fleet), func(i int) {
		asker, k, owner := fleet[i%len(fleet)], keys[i/len(fleet)%len(keys)], owners[i/len(fleet)%len(keys)]
		want := k.outcome(asker.kind, fleet[owner].kind, onMux)
		if asker == fleet[owner] {
			want = right
		}
		if err := want.check(k.key, asker.get(t, k.key)); err != nil {
			t.Errorf("%s asks %s for %.50q: %v", asker.kind, fleet[owner].kind, k.key, err)
		}
	})

	loaded := loads(t, fleet)
	for i, k := range keys {
		for j, p := range fleet {
			want := 0
			if j == owners[i] {
				want = 1
			}
			if got := loaded[j][k.key]; got != want && !k.strays(fleet, owners[i]) {
				t.Errorf("%s loaded %.50q %d times, want %d; the owner is a %s", p.kind, k.key, got, want, fleet[owners[i]].kind)
			}
		}
	}
}

// strays reports whether somebody in the fleet cannot ask the owner for k.
func (k oddKey) strays(fleet []*process, owner int) bool {
	for i, p := range fleet {
		if i != owner && k.outcome(p.kind, fleet[owner].kind, onMux) != right {
			return true
		}
	}
	return false
}
