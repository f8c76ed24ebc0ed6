package main

import (
	"fmt"
	"strings"
	"testing"
)

// pair runs two processes and returns a key with the given prefix that the
// second of them owns.
func pair(t *testing.T, askerKind, ownerKind, prefix string) (asker, owner *process, key string) {
	t.Helper()
	open, urls := listeners(t, 2)
	fleet := startFleet(t, open, urls, []string{askerKind, ownerKind}, onMux)
	for i := range 1000 {
		key := fmt.Sprint(prefix, i)
		if fleet[0].owners(t, key)[0] == fleet[1].url {
			return fleet[0], fleet[1], key
		}
	}
	t.Fatal("no key of 1,000 belongs to the second process")
	return nil, nil, ""
}

// TestErrors lets the owner's getter fail, with an error of its own or because
// there is no such key. To peercache that is an answer (P6), whoever gave it;
// to groupcache it is a peer that does not work, and so it runs its own getter.
func TestErrors(t *testing.T) {
	tests := []struct {
		asker, owner, prefix string
		askerLoads           int
		want                 []string // parts of the error that the asker sees
	}{
		{pc, pc, brokenPrefix, 0, []string{"URL", "the origin is broken for"}},
		{pc, gc, brokenPrefix, 0, []string{"URL", "the origin is broken for"}},
		{gc, pc, brokenPrefix, 1, []string{"the origin is broken for"}},
		{gc, gc, brokenPrefix, 1, []string{"the origin is broken for"}},
		{pc, pc, missingPrefix, 0, []string{notFoundMark, "URL", errMissing.Error()}},
		{pc, gc, missingPrefix, 0, []string{"URL", errMissing.Error()}}, // its kind is lost
		{gc, pc, missingPrefix, 1, []string{errMissing.Error()}},
		{gc, gc, missingPrefix, 1, []string{errMissing.Error()}},
	}
	for _, tt := range tests {
		t.Run(tt.prefix+tt.asker+" asks "+tt.owner, func(t *testing.T) {
			t.Parallel()
			asker, owner, key := pair(t, tt.asker, tt.owner, tt.prefix)
			got := asker.get(t, key).Err
			for _, part := range tt.want {
				if part == "URL" {
					part = owner.url
				}
				if !strings.Contains(got, part) {
					t.Errorf("got error %q, want one with %q", got, part)
				}
			}
			if strings.Contains(got, notFoundMark) != (tt.want[0] == notFoundMark) {
				t.Errorf("got error %q, which is ErrNotFound by mistake, or is not", got)
			}
			loaded := loads(t, []*process{asker, owner})
			if loaded[0][key] != tt.askerLoads || loaded[1][key] != 1 {
				t.Errorf("%d loads by the asker and %d by the owner, want %d and 1", loaded[0][key], loaded[1][key], tt.askerLoads)
			}
		})
	}
}

// TestRemove asks a peercache process of a mixed fleet to remove a key. It says
// which peer cannot, and that one goes on serving its value.
func TestRemove(t *testing.T) {
	for _, other := range []string{pc, gc} {
		t.Run(other, func(t *testing.T) {
			t.Parallel()
			remover, owner, key := pair(t, pc, other, "user:")
			remover.get(t, key)
			got := remover.remove(t, key).Err
			remover.get(t, key)
			loads := loads(t, []*process{owner})[0][key]
			switch other {
			case pc:
				if got != "" || loads != 2 {
					t.Errorf("error %q, %d loads by the owner; want no error, and a second load", got, loads)
				}
			case gc:
				if !strings.Contains(got, owner.url) || loads != 1 {
					t.Errorf("error %q, %d loads by the owner; want an error that names %s, and no second load", got, loads, owner.url)
				}
			}
		})
	}
}

// TestEmptyKey: golang/groupcache takes the empty key for one like any other,
// peercache refuses it. So a groupcache process loads it by itself.
func TestEmptyKey(t *testing.T) {
	for _, other := range []string{pc, gc} {
		open, urls := listeners(t, 2)
		fleet := startFleet(t, open, urls, []string{other, pc}, onMux)
		if a := fleet[1].get(t, ""); !strings.Contains(a.Err, "bad key size") {
			t.Errorf("peercache answers %+v, want an error", a)
		}
		if a := fleet[0].get(t, ""); other == gc && (a.Err != "" || string(a.Value) != string(valueOf(""))) {
			t.Errorf("groupcache answers %+v, want the value of the empty key", a)
		}
	}
}
