package zset

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

// below returns how many items have a lower score, or, if equal is true, the same at most.
func (t *tree) below(score float64, equal bool) (rank int) {
	n := t.root
	for n != nil {
		from, to := 0, n.n
		for from < to {
			mid := int(uint(from+to) / 2)
			if s := n.scores[mid]; s < score || equal && s == score {
				from = mid + 1
			} else {
				to = mid
			}
		}
		n, rank = n.into(from, rank)
	}
	return rank
}

// search returns how many members there are for which before is true. They must stand before all others.
func (t *tree) search(before func(member string) bool) (rank int) {
	n := t.root
	for n != nil {
		from, to := 0, n.n
		for from < to {
			mid := int(uint(from+to) / 2)
			if before(n.items[mid].Key) {
				from = mid + 1
			} else {
				to = mid
			}
		}
		n, rank = n.into(from, rank)
	}
	return rank
}

// into returns the kid in which a search goes on of which the count first items of n were found, and the rank of the kid's first
// item; or nil, and the rank that was searched for.
func (n *node) into(count, rank int) (kid *node, at int) {
	if n.kids == nil || count == 0 {
		return nil, rank + count
	}
	for _, c := range n.kids.counts[:count-1] {
		rank += int(c)
	}
	return n.kids.nodes[count-1], rank
}

// at returns the item of a rank.
func (t *tree) at(rank int) *entry {
	n := t.root
	for n.kids != nil {
		k := 0
		for rank >= int(n.kids.counts[k]) {
			rank -= int(n.kids.counts[k])
			k++
		}
		n = n.kids.nodes[k]
	}
	return n.items[rank]
}

// ascend calls visit with the items below n but the skip first ones, until it returns false.
func (n *node) ascend(skip int, visit func(item Item) bool) bool {
	if n.kids == nil {
		for i := skip; i < n.n; i++ {
			if !visit(itemOf(n.items[i])) {
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

// descend calls visit with the items below n but the skip last ones, the last first, until it returns false.
func (n *node) descend(skip int, visit func(item Item) bool) bool {
	if n.kids == nil {
		for i := n.n - 1 - skip; i >= 0; i-- {
			if !visit(itemOf(n.items[i])) {
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
