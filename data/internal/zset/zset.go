// Package zset is the sorted set: members with scores, in the order of the scores, and of the members where scores
// are equal.
//
// A small one is flat: its members stand one behind the other in one piece of memory (flat.go). A large one is a counted
// B-tree, which knows ranks (tree.go), beside a hash table of the members (big.go). One that has become large stays so.
package zset

import (
	"errors"
	"math"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/internal/alloc"
)

const (
	// flatMembers is how many members a flat set has at most, as Redis has it by default.
	flatMembers = 128
	// flatMember is how long they are at most.
	flatMember = 64
)

// Kind is the kind of a Set.
var Kind = &engine.Kind{Name: "zset", ID: 4, Decode: func(b []byte) (engine.Object, error) { return Decode(b) }}

// Set is a sorted set. A score is any number but NaN. New makes one.
type Set struct {
	flat flat
	big  *big // nil: the members are in flat
}

// setBytes is what the allocator takes for a Set.
const setBytes = 48

// New returns an empty Set.
func New() *Set { return &Set{} }

// Kind implements engine.Object.
func (z *Set) Kind() *engine.Kind { return Kind }

// Encoding implements engine.Object: the names are those of Redis.
func (z *Set) Encoding() string {
	if z.big != nil {
		return "skiplist"
	}
	return "listpack"
}

// Flat reports whether the set is small.
func (z *Set) Flat() bool { return z.big == nil }

// Len implements engine.Object.
func (z *Set) Len() int {
	if z.big != nil {
		return z.big.dict.Len()
	}
	return z.flat.n
}

// Bytes implements engine.Object.
func (z *Set) Bytes() int64 {
	if z.big != nil {
		return setBytes + z.big.bytes()
	}
	return setBytes + alloc.Size(int64(cap(z.flat.b)))
}

// Score returns the score of a member.
func (z *Set) Score(member string) (score float64, ok bool) {
	if z.big != nil {
		n := z.big.dict.Get(member)
		if n == nil {
			return 0, false
		}
		return n.Value, true
	}
	at, _, ok := z.flat.find(member)
	if !ok {
		return 0, false
	}
	return z.flat.score(at), true
}

// Set gives a member a score, whether it is there or not, and returns the score it had. What it keeps of member it
// copies.
func (z *Set) Set(member string, score float64) (before float64, was bool) {
	if z.big == nil {
		at, _, ok := z.flat.find(member)
		if ok {
			before = z.flat.score(at)
			z.flat.cut(at)
		}
		if ok || z.flat.n < flatMembers && len(member) <= flatMember {
			z.flat.insert(member, score)
			return before, ok
		}
		z.grow()
	}
	return z.big.set(member, score)
}

// grow makes a flat set a large one.
func (z *Set) grow() {
	items := make([]*entry, 0, z.flat.n+1)
	for item := range z.All {
		items = append(items, &entry{Key: item.String(), Value: item.Score})
	}
	z.big, _ = newBig(items)
	z.flat = flat{}
}

// Remove takes a member away, and returns the score it had.
func (z *Set) Remove(member string) (score float64, ok bool) {
	if z.big != nil {
		return z.big.remove(member)
	}
	at, _, ok := z.flat.find(member)
	if !ok {
		return 0, false
	}
	score = z.flat.score(at)
	z.flat.cut(at)
	return score, true
}

// Rank returns how many members stand before a member, and its score.
func (z *Set) Rank(member string) (rank int, score float64, ok bool) {
	if z.big != nil {
		n := z.big.dict.Get(member)
		if n == nil {
			return 0, 0, false
		}
		return z.big.tree.rank(n), n.Value, true
	}
	at, rank, ok := z.flat.find(member)
	if !ok {
		return 0, 0, false
	}
	return rank, z.flat.score(at), true
}

// At returns the item of a rank, which must be one.
func (z *Set) At(rank int) (item Item) {
	if z.big != nil {
		return itemOf(z.big.tree.at(rank))
	}
	return z.flat.item(z.flat.seek(rank))
}

// Ascend calls visit with the items from a rank on, until it returns false.
func (z *Set) Ascend(from int, visit func(item Item) bool) {
	switch {
	case from >= z.Len():
	case z.big != nil:
		z.big.tree.root.ascend(from, visit)
	default:
		z.flat.ascend(from, visit)
	}
}

// Descend calls visit with the items from a rank on down to the first, until it returns false.
func (z *Set) Descend(from int, visit func(item Item) bool) {
	skip := z.Len() - 1 - from
	switch {
	case from < 0:
	case z.big != nil:
		z.big.tree.root.descend(skip, visit)
	default:
		z.flat.descend(skip, visit)
	}
}

// All returns the items, in their order.
func (z *Set) All(visit func(item Item) bool) { z.Ascend(0, visit) }

// Below returns how many items have a lower score, or, if equal is true, the same at most.
func (z *Set) Below(score float64, equal bool) (rank int) {
	if z.big != nil {
		return z.big.tree.below(score, equal)
	}
	for at := 0; at < len(z.flat.b); at = z.flat.next(at) {
		if s := z.flat.score(at); s > score || !equal && s == score {
			break
		}
		rank++
	}
	return rank
}

// Search returns how many members there are for which before is true. They must stand before all others. A member is valid
// until before returns.
func (z *Set) Search(before func(member string) bool) (rank int) {
	if z.big != nil {
		return z.big.tree.search(before)
	}
	for at := 0; at < len(z.flat.b) && before(z.flat.item(at).View()); at = z.flat.next(at) {
		rank++
	}
	return rank
}

// Scan calls visit for some items, from a place on, and returns the place from which to go on, or 0 if that was all. Of scans from 0 to
// the end, each visits every member that is there all the time. A flat set is visited at once.
func (z *Set) Scan(place uint64, visit func(item Item)) (next uint64) {
	if z.big != nil {
		return z.big.dict.Scan(place, func(n *entry) { visit(itemOf(n)) })
	}
	for item := range z.All {
		visit(item)
	}
	return 0
}

// Saved returns what puts a flat set back to what it is now, whatever became of it. A large set has to be put back member by member.
func (z *Set) Saved() (restore func()) {
	saved := z.flat.clone()
	return func() { *z = Set{flat: saved} }
}

// Clone implements engine.Object.
func (z *Set) Clone() engine.Object {
	if z.big == nil {
		return &Set{flat: z.flat.clone()}
	}
	items := make([]*entry, 0, z.Len())
	for item := range z.All {
		items = append(items, &entry{Key: item.View(), Value: item.Score})
	}
	big, _ := newBig(items)
	return &Set{big: big}
}

// errScore says that a score is NaN.
var errScore = errors.New("a score is not a number")

func checkScore(score float64) error {
	if math.IsNaN(score) {
		return errScore
	}
	return nil
}
