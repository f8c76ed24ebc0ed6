package zset

const (
	// width is how many items a node has at most: a leaf takes 1024 bytes then, with what the allocator puts in front of
	// an object that has pointers.
	width = 62
	// fewest is how many a node has at least, but for the last ones of each level, which grow by appending.
	fewest = width / 4
	// merged is how many two neighbours have at most that become one: so few that they do not split again at once.
	merged = width * 3 / 4
	// built is how many a node has that is made of sorted items: there is room for a few more.
	built = width * 9 / 10
)

// node is a node of the tree. The items of one that is no leaf are the first of each of its kids.
type node struct {
	n      int
	kids   *kids // nil: a leaf
	scores [width]float64
	items  [width]*entry
}

// kids is what a node has that is no leaf.
type kids struct {
	counts [width]uint32 // of items below
	nodes  [width]*node
}

// nodeBytes and kidsBytes are what the allocator takes for one.
const nodeBytes, kidsBytes = 1024, 768

// tree is a counted B-tree: it finds items by score and member, and by rank.
type tree struct {
	root          *node // nil: there is no item
	nodes, inners int32
}

func (t *tree) bytes() int64 { return int64(t.nodes)*nodeBytes + int64(t.inners)*kidsBytes }

func (t *tree) newNode(leaf bool) *node {
	t.nodes++
	if leaf {
		return &node{}
	}
	t.inners++
	return &node{kids: &kids{}}
}

func (t *tree) drop(n *node) {
	t.nodes--
	if n.kids != nil {
		t.inners--
	}
}

// position returns the place of the first item of n that does not stand before the given one.
func (n *node) position(score float64, member string) int {
	from, to := 0, n.n
	for from < to {
		mid := int(uint(from+to) / 2)
		if s := n.scores[mid]; s < score || s == score && n.items[mid].Key < member {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return from
}

// kidOf returns which kid has an item that is there.
func (n *node) kidOf(item *entry) int {
	k := n.position(item.Value, item.Key)
	if k < n.n && n.items[k] == item {
		return k
	}
	return k - 1
}

// total returns the number of items below n.
func (n *node) total() (sum uint32) {
	if n.kids == nil {
		return uint32(n.n)
	}
	for _, count := range n.kids.counts[:n.n] {
		sum += count
	}
	return sum
}

// describe has n know the first item of a kid, and the number of its items.
func (n *node) describe(k int) {
	kid := n.kids.nodes[k]
	n.scores[k], n.items[k], n.kids.counts[k] = kid.scores[0], kid.items[0], kid.total()
}

// open makes room for one at a place.
func (n *node) open(at int) {
	copy(n.scores[at+1:n.n+1], n.scores[at:n.n])
	copy(n.items[at+1:n.n+1], n.items[at:n.n])
	if k := n.kids; k != nil {
		copy(k.counts[at+1:n.n+1], k.counts[at:n.n])
		copy(k.nodes[at+1:n.n+1], k.nodes[at:n.n])
	}
	n.n++
}

// cut takes the count items at a place away.
func (n *node) cut(at, count int) {
	copy(n.scores[at:], n.scores[at+count:n.n])
	copy(n.items[at:], n.items[at+count:n.n])
	clear(n.items[n.n-count : n.n])
	if k := n.kids; k != nil {
		copy(k.counts[at:], k.counts[at+count:n.n])
		copy(k.nodes[at:], k.nodes[at+count:n.n])
		clear(k.nodes[n.n-count : n.n])
	}
	n.n -= count
}

// take appends the count first items of another node.
func (n *node) take(from *node, at, count int) {
	copy(n.scores[n.n:], from.scores[at:at+count])
	copy(n.items[n.n:], from.items[at:at+count])
	if k := n.kids; k != nil {
		copy(k.counts[n.n:], from.kids.counts[at:at+count])
		copy(k.nodes[n.n:], from.kids.nodes[at:at+count])
	}
	n.n += count
	from.cut(at, count)
}

// insert adds an item that is not there.
func (t *tree) insert(item *entry) {
	if t.root == nil {
		t.root = t.newNode(true)
	}
	right := t.add(t.root, item, true)
	if right == nil {
		return
	}
	root := t.newNode(false)
	root.kids.nodes[0], root.kids.nodes[1] = t.root, right
	root.n = 2
	root.describe(0)
	root.describe(1)
	t.root = root
}

// add adds an item below n, and returns the node that has to stand behind n then, or nil. last says that n is the last node
// of its level.
func (t *tree) add(n *node, item *entry, last bool) (right *node) {
	at := n.position(item.Value, item.Key)
	if n.kids == nil {
		n, at, right = t.room(n, at, last)
		n.open(at)
		n.scores[at], n.items[at] = item.Value, item
		return right
	}
	k := max(at-1, 0)
	behind := t.add(n.kids.nodes[k], item, last && k == n.n-1)
	if behind == nil {
		n.kids.counts[k]++
		kid := n.kids.nodes[k]
		n.scores[k], n.items[k] = kid.scores[0], kid.items[0]
		return nil
	}
	n.describe(k)
	n, at, right = t.room(n, k+1, last)
	n.open(at)
	n.kids.nodes[at] = behind
	n.describe(at)
	return right
}

// room splits n if it is full. It returns the node and the place in it that are the place at of n then, and the node that has to
// stand behind n, or nil. A node at the end of a set that grows at its end stays full.
func (t *tree) room(n *node, at int, last bool) (into *node, place int, right *node) {
	if n.n < width {
		return n, at, nil
	}
	half := width / 2
	if last && at == width {
		half = width
	}
	right = t.newNode(n.kids == nil)
	right.take(n, half, width-half)
	if at < half || at == half && half < width {
		return n, at, right
	}
	return right, at - half, right
}

// rescore changes the score of an item if it keeps its place by that, and is neither the first nor the last of its leaf.
func (t *tree) rescore(item *entry, score float64) bool {
	n := t.root
	for n.kids != nil {
		n = n.kids.nodes[n.kidOf(item)]
	}
	i := n.position(item.Value, item.Key)
	if i == 0 || i == n.n-1 {
		return false
	}
	if s := n.scores[i-1]; s > score || s == score && n.items[i-1].Key > item.Key {
		return false
	}
	if s := n.scores[i+1]; s < score || s == score && n.items[i+1].Key < item.Key {
		return false
	}
	n.scores[i], item.Value = score, score
	return true
}

// remove takes an item away that is there.
func (t *tree) remove(item *entry) {
	t.cut(t.root, item)
	for t.root.kids != nil && t.root.n == 1 {
		t.drop(t.root)
		t.root = t.root.kids.nodes[0]
	}
	if t.root.n == 0 {
		t.drop(t.root)
		t.root = nil
	}
}

func (t *tree) cut(n *node, item *entry) {
	if n.kids == nil {
		n.cut(n.position(item.Value, item.Key), 1)
		return
	}
	k := n.kidOf(item)
	kid := n.kids.nodes[k]
	t.cut(kid, item)
	n.kids.counts[k]--
	n.scores[k], n.items[k] = kid.scores[0], kid.items[0]
	if kid.n < fewest {
		t.balance(n, k)
	}
}

// balance joins a kid of n that has few items with a neighbour, or gives it some of it.
func (t *tree) balance(n *node, k int) {
	if n.n == 1 {
		if n.kids.nodes[0].n == 0 {
			t.drop(n.kids.nodes[0])
			n.cut(0, 1)
		}
		return
	}
	k = max(k-1, 0)
	left, right := n.kids.nodes[k], n.kids.nodes[k+1]
	sum := left.n + right.n
	switch {
	case sum <= merged:
		left.take(right, 0, right.n)
		t.drop(right)
		n.cut(k+1, 1)
		n.describe(k)
		return
	case left.n < right.n:
		left.take(right, 0, right.n-sum/2)
	default:
		right.give(left, left.n-sum/2)
	}
	n.describe(k)
	n.describe(k + 1)
}

// give puts the count last items of left in front of those of n.
func (n *node) give(left *node, count int) {
	rest := *n
	if n.kids != nil {
		kids := *n.kids
		rest.kids = &kids
	}
	n.n = 0
	n.take(left, left.n-count, count)
	n.take(&rest, 0, rest.n)
}

// build makes the tree of items that are in order.
func (t *tree) build(items []*entry) {
	if len(items) == 0 {
		return
	}
	var level []*node
	for len(items) > 0 {
		n := t.newNode(true)
		n.n = copy(n.items[:built], items)
		for i, item := range n.items[:n.n] {
			n.scores[i] = item.Value
		}
		items = items[n.n:]
		level = append(level, n)
	}
	for len(level) > 1 {
		var above []*node
		for len(level) > 0 {
			n := t.newNode(false)
			n.n = copy(n.kids.nodes[:built], level)
			for k := range n.n {
				n.describe(k)
			}
			level = level[n.n:]
			above = append(above, n)
		}
		level = above
	}
	t.root = level[0]
}
