package consistenthash

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
)

// fromScratch makes the ring of members from no other ring.
func fromScratch(t *testing.T, members []Member) *Ring {
	t.Helper()
	kept := recent.rings
	defer func() { recent.rings = kept }()
	clear(recent.rings[:])
	return mustNew(t, members...)
}

// TestMergedIsTheSame: however the members change from one ring to the next, the ring that is
// merged is, slot for slot, the one that is made from scratch.
func TestMergedIsTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	all := peers(60)
	for i := range all {
		all[i].Weight = 1 + i%3
	}
	members := slices.Clone(all[:40])
	before := mustNew(t, members...)
	for step := range 60 {
		for range random.IntN(5) { // more than mostDiffering allows, at times
			switch random.IntN(4) {
			case 0: // one leaves
				members = slices.Delete(members, 3, 4)
			case 1: // another weight
				members[random.IntN(len(members))].Weight = random.IntN(4)
			default: // one joins, if it is not there
				m := all[random.IntN(len(all))]
				if !slices.ContainsFunc(members, func(o Member) bool { return o.Name == m.Name }) {
					members = slices.Insert(members, random.IntN(len(members)), m)
				}
			}
		}
		r := mustNew(t, members...)
		if want := fromScratch(t, members); !reflect.DeepEqual(r, want) {
			t.Fatalf("step %d: the ring of %v is another one after that of %v", step, members, before.names)
		}
		before = r
	}
}

// TestMergedAtOnePlace: where points of two members share a position, they stand in the order of the
// names also if one of the members came later. Among 320,000 points some do meet.
func TestMergedAtOnePlace(t *testing.T) {
	members := peers(1000)
	before := fromScratch(t, members[50:950])
	r := &Ring{names: namesOf(members), weights: slices.Repeat([]uint16{1}, len(members)), accept: before.accept}
	r.reserve(len(members) * pointsPerWeight)
	c := r.nearest([]*Ring{before})
	if c.ring != before || len(c.others) != 100 {
		t.Fatalf("%d members are not taken from the ring before, want 100", len(c.others))
	}
	r.merge(c)
	if !reflect.DeepEqual(r, fromScratch(t, members)) {
		t.Error("the merged ring is another one")
	}
}

// TestRecentRings: who asks for a ring that is in use gets it, a ring that differs little takes its
// points from there, and one that nobody uses is not kept.
func TestRecentRings(t *testing.T) {
	members := peers(20)
	a := mustNew(t, members...)
	if mustNew(t, members...) != a {
		t.Error("there are two rings of the same members")
	}
	reversed := slices.Clone(members)
	slices.Reverse(reversed)
	if r := mustNew(t, reversed...); r == a || r.names[0] != members[19].Name {
		t.Error("members in another order have other indices, and so another ring")
	}
	for others, want := range []int{0, 1, 20, 20} { // two of 20 may differ: one that left, and one that came
		r := &Ring{names: namesOf(members), weights: a.weights}
		for i := range others {
			r.names[i] = fmt.Sprint("other ", i)
		}
		if c := r.nearest([]*Ring{a}); len(c.others) != want {
			t.Errorf("%d other members: %d have their points computed, want %d", others, len(c.others), want)
		}
	}
	runtime.KeepAlive(a)
	a = nil
	runtime.GC()
	runtime.GC()
	if n := len(recent.inUse()); n != 0 {
		t.Errorf("%d rings are kept that nobody uses", n)
	}
}
