package main

import (
	"fmt"
	"strings"
	"testing"
)

const (
	pc = "peercache"
	gc = "groupcache"
)

// An outcome is what comes of asking for a key that another process owns.
type outcome string

const (
	// right: the value is right, and was loaded by the owner alone.
	right outcome = ""
	// ownLoad: the value is right, but the owner could not be asked, and it
	// was loaded elsewhere. So it is loaded again when the owner is asked.
	ownLoad outcome = "own load"
	// spacePlus: the value is that of the key with each space turned into "+".
	spacePlus outcome = "space is plus"
)

// An oddKey is one that may not come through. What has no entry is right.
type oddKey struct {
	name, key string
	outcomes  map[direction]outcome
}

// A direction is who asks whom, and how the owner's pool is served; where that
// is empty, it does not matter.
type direction struct{ asker, owner, serving string }

var (
	// groupcache's client escapes a space as "+", and its server does not undo
	// that. peercache undoes it, and sends "%20", which groupcache understands.
	spaces = map[direction]outcome{{gc, gc, ""}: spacePlus}

	// An http.ServeMux redirects a path of dots, which is no answer. peercache
	// sends "%2E", which only the old mux redirects, and then asks once more
	// with the key in the body of a POST, which groupcache refuses.
	dots = map[direction]outcome{
		{gc, gc, onMux}: ownLoad, {gc, gc, onOldMux}: ownLoad,
		{gc, pc, onMux}: ownLoad, {gc, pc, onOldMux}: ownLoad,
		{pc, gc, onOldMux}: ownLoad,
	}

	// The mux of Go 1.21 looks at the path without its escapes.
	uncleanPath = map[direction]outcome{
		{gc, gc, onOldMux}: ownLoad,
		{gc, pc, onOldMux}: ownLoad,
		{pc, gc, onOldMux}: ownLoad,
	}
)

// oddKeys is the table of docs/groupcache.md.
var oddKeys = []oddKey{
	{"space", "a b", spaces},
	{"plus", "a+b", nil},
	{"space and plus", "1 + 1 = 2", spaces},
	{"slash", "a/b", nil},
	{"slash first", "/a", uncleanPath},
	{"slash last", "a/", nil},
	{"two slashes", "a//b", uncleanPath},
	{"dot within", "a/./b", uncleanPath},
	{"dots within", "a/../b", uncleanPath},
	{"slash alone", "/", uncleanPath},
	{"URL", "http://example.com/a?b=c", uncleanPath},
	{"dot", ".", dots},
	{"dots", "..", dots},
	{"dots and more", "...", nil},
	{"escape", "%2F", nil},
	{"broken escape", "100%", nil},
	{"query", "a?b=c&d;e#f", nil},
	{"NUL", "a\x00b", nil},
	{"control", "\r\n\t\x7f", nil},
	{"invalid UTF-8", "\xff\xfe\x80", nil},
	{"emoji", "🦫👩‍💻", nil},
	{"accents and a space", "Žluťoučký kůň", spaces},
	{"path of the protocol", "get", nil},
	{"long", strings.Repeat("long\xff", 32<<10/5), nil},
	{"large value", largePrefix, nil},
}

// outcome returns what comes of asking for k.
func (k oddKey) outcome(asker, owner, serving string) outcome {
	if o, ok := k.outcomes[direction{asker, owner, serving}]; ok {
		return o
	}
	return k.outcomes[direction{asker, owner, ""}]
}

// check returns what is wrong with an answer, if it is not what o says.
func (o outcome) check(key string, a answer) error {
	want := key
	if o == spacePlus {
		want = strings.ReplaceAll(key, " ", "+")
	}
	if a.Err != "" {
		return fmt.Errorf("error %q", a.Err)
	}
	if string(a.Value) == string(valueOf(want)) {
		return nil
	}
	got, err := keyOf(a.Value)
	if err != nil {
		return err
	}
	return fmt.Errorf("got the value of %.100q, want that of %.100q", got, want)
}

// TestOddKeys asks for each odd key in every direction, and in every way to
// serve a pool.
func TestOddKeys(t *testing.T) {
	for _, serving := range []string{onMux, onOldMux, alone} {
		t.Run(serving, func(t *testing.T) {
			t.Parallel()
			// Two processes, and one of them owns the key. As the places stay
			// and the kinds change, each key goes in every direction.
			open, urls := listeners(t, 2)
			for _, kinds := range [][]string{{gc, gc}, {gc, pc}, {pc, gc}, {pc, pc}} {
				t.Run(strings.Join(kinds, " and "), func(t *testing.T) {
					fleet := startFleet(t, open, urls, kinds, serving)
					testOddKeys(t, fleet, serving)
				})
			}
		})
	}
}

func testOddKeys(t *testing.T, fleet []*process, serving string) {
	owners := make([]int, len(oddKeys))
	for i, k := range oddKeys {
		urls := [2]string{fleet[0].owners(t, k.key)[0], fleet[1].owners(t, k.key)[0]}
		if urls[0] != urls[1] {
			t.Fatalf("%s: the two processes see different owners", k.name)
		}
		owner := at(t, fleet, urls[0])
		asker := 1 - owner
		want := k.outcome(fleet[asker].kind, fleet[owner].kind, serving)
		if err := want.check(k.key, fleet[asker].get(t, k.key)); err != nil {
			t.Errorf("%s: %s asks %s: %v", k.name, fleet[asker].kind, fleet[owner].kind, err)
		}
		if err := right.check(k.key, fleet[owner].get(t, k.key)); err != nil {
			t.Errorf("%s: %s asks itself: %v", k.name, fleet[owner].kind, err)
		}
		owners[i] = owner
	}
	loaded := loads(t, fleet)
	for i, k := range oddKeys {
		owner, asker := owners[i], 1-owners[i]
		elsewhere := 0
		if k.outcome(fleet[asker].kind, fleet[owner].kind, serving) == ownLoad {
			elsewhere = 1
		}
		if loaded[owner][k.key] != 1 || loaded[asker][k.key] != elsewhere {
			t.Errorf("%s: %s asks %s: %d loads by the owner, %d by the asker; want 1, %d", k.name,
				fleet[asker].kind, fleet[owner].kind, loaded[owner][k.key], loaded[asker][k.key], elsewhere)
		}
	}
}
