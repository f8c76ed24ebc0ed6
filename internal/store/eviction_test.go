package store

import (
	"fmt"
	"testing"
)

// The index against a map, with keys that crowd.
func TestIndexAgainstModel(t *testing.T) {
	r := random(t)
	x, model := newIndex(100), map[uint32]uint32{}
	for range 50_000 {
		key := 1 + r.Uint32N(300)
		at, ok := x.find(key)
		if want, there := model[key]; ok != there || ok && at.value != want {
			t.Fatalf("%d: %v %t, want %d %t", key, at, ok, want, there)
		}
		if ok || len(model) == 100 {
			value, took := x.take(key)
			if took != ok || value != model[key] {
				t.Fatalf("took %d %t, want %d %t", value, took, model[key], ok)
			}
			delete(model, key)
		} else {
			model[key] = r.Uint32()
			x.put(key, model[key])
		}
		if x.n != len(model) {
			t.Fatalf("%d keys, want %d", x.n, len(model))
		}
	}
}

// A sketch that grows forgets nothing, and one that is added to for long forgets.
func TestSketchGrowsAndFades(t *testing.T) {
	r := random(t)
	s := newSketch(2)
	hash := r.Uint64()
	s.add(hash, 9, 1_000_000)
	for n := int64(1); n < 1000; n += 37 {
		s.fit(n)
		if got := s.estimate(hash); got != 9 {
			t.Fatalf("at %d entries: %d", n, got)
		}
	}
	for range 3 * sketchMemory * 1000 {
		s.add(r.Uint64(), 1, 1000)
	}
	if got := s.estimate(hash); got > 6 {
		t.Fatalf("after three memories: %d", got)
	}
}

func TestGhostRemembersForItsWindow(t *testing.T) {
	r := random(t)
	g := newGhost(2)
	const keys = 1000
	var hashes []uint64
	for range 3 * keys {
		hashes = append(hashes, r.Uint64())
		g.add(hashes[len(hashes)-1], keys)
	}
	late, early := 0, 0
	for i := range keys / 2 {
		if g.take(hashes[len(hashes)-1-i]) {
			late++
		}
		if g.take(hashes[i]) {
			early++
		}
	}
	if late < keys/2*8/10 || early > keys/2*3/10 {
		t.Fatalf("remembers %d of the %d last, %d of the first", late, keys/2, early)
	}
}

// Each load finds the policy that is best for it, and a cache too small for shadows is LRU.
// The shadows see a sample of the keys, by a random hash: now and then chance puts another
// policy ahead for a while. So the test asks for what is used most of the time.
func TestExpertsFitTheLoad(t *testing.T) {
	r := random(t)
	for _, c := range []struct {
		name string
		max  int64
		next func(i int) int
		want []policy
	}{
		{"loop", 1 << 20, func(i int) int { return i % 3000 }, []policy{frequent}},
		{"again, soon after", 1 << 20, func(i int) int { return i/2 - i%2*400 }, []policy{recent, fifo}},
		{"tiny", 1500, func(i int) int { return r.IntN(100) }, []policy{recent}},
	} {
		s := newStore(t, Config{MaxBytes: c.max})
		value := make([]byte, c.max/2000)
		const requests = 120_000
		var used [policies]int
		for i := range requests {
			if i >= requests/2 {
				used[first(s).eviction.policy]++
			}
			key := fmt.Sprint(c.next(i))
			if _, ok := s.Get(key); !ok {
				s.Add(key, value, 0, 0)
			}
		}
		check(t, s)
		fits := 0
		for _, x := range c.want {
			fits += used[x]
		}
		if fits < requests/4 {
			t.Errorf("%s: the policies are used for %d of the last %d requests, want one of %d for half of them",
				c.name, used, requests/2, c.want)
		}
	}
}

// However often everything was asked for, an evict looks at so many entries and no more.
func TestEvictIsBounded(t *testing.T) {
	for x := range policies {
		store := newSharded(Config{MaxBytes: 64 << 20}, 1)
		const n = 5_000
		for i := range n {
			store.Add(fmt.Sprint(i), nil, 0, 0)
		}
		for range 4 {
			for i := range n {
				store.Get(fmt.Sprint(i))
			}
		}
		s := first(store)
		s.eviction.policy = x
		for range 3 {
			e := s.eviction.core.evict(s.bytes - 1)
			if e == nil || s.eviction.steps < -2 {
				t.Fatalf("policy %d: %v after %d steps", x, e, maxSteps-s.eviction.steps)
			}
		}
	}
}
