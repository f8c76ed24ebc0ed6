package zset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
)

// Item is a member with its score. It is valid until its set changes.
type Item struct {
	Score float64

	text string // of a large set
	raw  []byte // of a flat set; not nil there
}

// String returns the member, which stays valid.
func (i Item) String() string {
	if i.raw != nil {
		return string(i.raw)
	}
	return i.text
}

// Write writes the member.
func (i Item) Write(w engine.Writer) {
	if i.raw != nil {
		w.Bytes(i.raw)
		return
	}
	w.Bulk(i.text)
}

// Compare compares the member with another one.
func (i Item) Compare(member string) int {
	switch {
	case i.raw == nil:
		return strings.Compare(i.text, member)
	case string(i.raw) == member:
		return 0
	case string(i.raw) < member:
		return -1
	}
	return 1
}

// Pair is a member with its score, which belongs to nobody.
type Pair struct {
	Member string
	Score  float64
}

// From makes a Set of pairs, whose members must differ. It sorts them, and shares their members.
func From(pairs []Pair) *Set {
	slices.SortFunc(pairs, func(a, b Pair) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), strings.Compare(a.Member, b.Member))
	})
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
