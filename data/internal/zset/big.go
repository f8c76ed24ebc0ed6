package zset

import (
	"strings"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/internal/alloc"
)

// entry is a member with its score. The table of the members and the tree share it.
type entry = dict.Node[float64]

// big is a large set.
type big struct {
	dict    dict.Dict[float64]
	tree    tree
	members int64 // bytes of the entries
}

const (
	// bigBytes and entryBytes are what the allocator takes for a big, and for an entry without its member.
	bigBytes, entryBytes = 80, 24
)

func bytesOf(member string) int64 {
	if member == "" {
		return entryBytes
	}
	return entryBytes + alloc.Size(int64(len(member)))
}

func (b *big) bytes() int64 { return bigBytes + b.dict.Bytes() + b.tree.bytes() + b.members }

// newBig makes a big of entries that are in order. It returns false if two have the same member.
func newBig(items []*entry) (b *big, ok bool) {
	b = &big{}
	for _, n := range items {
		if b.dict.Put(n) != nil {
			return nil, false
		}
		b.members += bytesOf(n.Key)
	}
	b.tree.build(items)
	return b, true
}

// set gives a member a score, and returns the score it had.
func (b *big) set(member string, score float64) (before float64, was bool) {
	hash := dict.Hash(member)
	n := b.dict.GetHashed(member, hash)
	if n == nil {
		n = &entry{Key: strings.Clone(member), Value: score}
		b.dict.PutHashed(n, hash)
		b.members += bytesOf(member)
		b.tree.insert(n)
		return 0, false
	}
	before = n.Value
	if before != score && !b.tree.rescore(n, score) {
		b.tree.remove(n)
		n.Value = score
		b.tree.insert(n)
	}
	return before, true
}

// remove takes a member away, and returns the score it had.
func (b *big) remove(member string) (score float64, ok bool) {
	n := b.dict.Delete(member)
	if n == nil {
		return 0, false
	}
	b.members -= bytesOf(member)
	b.tree.remove(n)
	return n.Value, true
}
