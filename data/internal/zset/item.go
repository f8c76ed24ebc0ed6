package zset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/packed"
)

// Item is a member with its score. The member is valid until its set changes.
type Item struct {
	packed.Text
	Score float64
}

func itemOf(n *entry) Item { return Item{packed.Own(n.Key), n.Value} }

// Pair is a member with its score, which belongs to nobody.
type Pair struct {
	Member string
	Score  float64
}

// Sort puts pairs into the order that a Set has.
func Sort(pairs []Pair) {
	slices.SortFunc(pairs, func(a, b Pair) int {
		if a.Score != b.Score { // nothing is NaN
			return cmp.Compare(a.Score, b.Score)
		}
		return strings.Compare(a.Member, b.Member)
	})
}

// From makes a Set of pairs, whose members must differ. It sorts them, and shares their members.
func From(pairs []Pair) *Set {
	Sort(pairs)
	z := New()
	small := len(pairs) <= flatMembers && !slices.ContainsFunc(pairs, func(p Pair) bool { return len(p.Member) > flatMember })
	if small {
		for _, p := range pairs {
			z.flat.insertAt(len(z.flat.b), p.Member, p.Score)
		}
		return z
	}
	items := make([]*entry, len(pairs))
	for i, p := range pairs {
		items[i] = &entry{Key: p.Member, Value: p.Score}
	}
	z.big, _ = newBig(items)
	return z
}
