package zset

import (
	"iter"

	"github.com/peercache/peercache/data/internal/packed"
)

// rank returns how many items stand before one that is there.
func (t *tree) rank(item *entry) (rank int) {
	n := t.root
	for n.kids != nil {
		k := n.kidOf(item)
		for _, count := range n.kids.counts[:k] {
			rank += int(count)
		}
		n = n.kids.nodes[k]
	}
	return rank + n.position(item.Value, item.Key)
}

// search returns the rank of the first item of which below is not true.
func (t *tree) search(below func(item Item) bool) (rank int) {
	n := t.root
	for n != nil {
		from, to := 0, n.n
		for from < to {
			mid := int(uint(from+to) / 2)
			if below(Item{packed.Own(n.items[mid].Key), n.scores[mid]}) {
				from = mid + 1
			} else {
				to = mid
			}
		}
		if n.kids == nil {
			return rank + from
		}
		if from == 0 {
			return rank
		}
		for _, count := range n.kids.counts[:from-1] {
			rank += int(count)
		}
		n = n.kids.nodes[from-1]
	}
	return rank
}

// ascend returns the items from a rank on.
func (t *tree) ascend(from int) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		if t.root != nil {
			t.root.ascend(from, func(n *entry) bool { return yield(itemOf(n)) })
		}
	}
}

// descend returns the items from a rank on down to the first.
func (t *tree) descend(from int) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		if t.root != nil {
			t.root.descend(int(t.root.total())-1-from, func(n *entry) bool { return yield(itemOf(n)) })
		}
	}
}

// entries calls yield with all items, in their order.
func (t *tree) entries(yield func(n *entry) bool) {
	if t.root != nil {
		t.root.ascend(0, yield)
	}
}

// ascend calls visit with the items below n but the first ones, until it returns false.
func (n *node) ascend(skip int, visit func(n *entry) bool) bool {
	if n.kids == nil {
		for i := skip; i < n.n; i++ {
			if !visit(n.items[i]) {
				return false
			}
		}
		return true
	}
	for k := range n.n {
		count := int(n.kids.counts[k])
		if skip >= count {
			skip -= count
			continue
		}
		if !n.kids.nodes[k].ascend(skip, visit) {
			return false
		}
		skip = 0
	}
	return true
}

// descend calls visit with the items below n but the last ones, the last first, until it returns false.
func (n *node) descend(skip int, visit func(n *entry) bool) bool {
	if n.kids == nil {
		for i := n.n - 1 - skip; i >= 0; i-- {
			if !visit(n.items[i]) {
				return false
			}
		}
		return true
	}
	for k := n.n - 1; k >= 0; k-- {
		count := int(n.kids.counts[k])
		if skip >= count {
			skip -= count
			continue
		}
		if !n.kids.nodes[k].descend(skip, visit) {
			return false
		}
		skip = 0
	}
	return true
}
