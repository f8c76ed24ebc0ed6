package consistenthash

import (
	"math"
	"slices"
	"sync"
	"weak"
)

// recent are rings that were made in this process and are in use. A ring is a pure function of its
// members and never changes, so whoever wants one that is there gets that: the pools of one process
// share theirs. Most others differ by a member or two from one of these.
var recent recentRings

// recentRings has the latest rings first: so many that a process finds the ring of before a restart
// again, and that many pools of one process, each of which hears of changes in another order, share
// the rings of all that they know in between. They are weak, so it keeps no memory.
type recentRings struct {
	mu    sync.Mutex
	rings [128]weak.Pointer[Ring]
}

// looksFor is how many of the latest rings are looked at for one to merge with.
const looksFor = 4

// inUse returns the rings that somebody uses.
func (c *recentRings) inUse() (rings []*Ring) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.rings {
		if r := p.Value(); r != nil {
			rings = append(rings, r)
		}
	}
	return rings
}

func (c *recentRings) add(r *Ring) {
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.rings[1:], c.rings[:])
	c.rings[0] = weak.Make(r)
}

// common is what a ring has in common with one that is to be made.
type common struct {
	ring   *Ring
	index  []int32 // of its members in the new ring; less than 0: it is not there with the same weight
	others []int   // members of the new ring that are not in this one
}

// mostDiffering is the part of the members by which two rings may differ for it to pay to merge one
// with the other: one in so many.
const mostDiffering = 8

// nearest returns one of the rings that has most members of r, and no others; with none of its
// members, if there is no such ring.
func (r *Ring) nearest(rings []*Ring) common {
	byName := make(map[string]int, len(r.names))
	all := make([]int, len(r.names))
	for i, name := range r.names {
		byName[name], all[i] = i, i
	}
	for _, other := range rings[:min(len(rings), looksFor)] {
		c := common{ring: other, index: make([]int32, len(other.names))}
		had := make([]bool, len(r.names))
		differing := len(r.names)
		for old, name := range other.names {
			i, ok := byName[name]
			if ok = ok && r.weights[i] == other.weights[old]; !ok {
				c.index[old] = -1
				differing++
				continue
			}
			c.index[old], had[i] = int32(i), true
			differing--
		}
		if differing <= len(r.names)/mostDiffering {
			c.others = slices.DeleteFunc(all, func(i int) bool { return had[i] })
			return c
		}
	}
	return common{ring: new(Ring), others: all}
}

// merge fills the slots of r with the points of its members. Those that it has in common with
// another ring come from there, in order, so that only the others are hashed and sorted.
func (r *Ring) merge(c common) {
	slot := 0
	for _, p := range r.pointsOf(c.others) {
		slot = r.take(c, slot, uint32(p>>32), r.names[uint16(p)])
		r.put(uint32(p>>32), uint16(p))
	}
	r.take(c, slot, math.MaxUint32, "")
	if len(r.slots) < int(r.homes) {
		r.fill(int(r.homes))
	}
}

// take puts the points of another ring, from a slot on, that a walk meets before the point of a
// member of that name at a position. No name means that it comes after all. It returns the slot
// after the last one that was taken. A change of one member among a thousand takes the time that
// this loop takes.
func (r *Ring) take(c common, from int, position uint32, name string) int {
	slots, owners, homes := r.slots, r.owners, r.homes
	theirs := c.ring.owners[from:len(c.ring.slots)]
	for n, p := range c.ring.slots[from:] {
		owner := c.index[theirs[n]]
		if p >= position && name != "" && (p > position || owner < 0 || r.names[owner] > name) {
			break
		}
		from++
		if owner < 0 {
			continue
		}
		last := len(slots) - 1
		if last >= 0 && slots[last] == p && owners[last] == uint16(owner) {
			continue // a repeat
		}
		slots, owners = append(slots, p), append(owners, uint16(owner))
		for home := int(uint64(p) * homes >> 32); len(slots) <= home; {
			slots, owners = append(slots, p), append(owners, uint16(owner))
		}
	}
	r.slots, r.owners = slots, owners
	return from
}
