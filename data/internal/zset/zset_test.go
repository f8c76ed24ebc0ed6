package zset

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// model is a sorted set as a sorted slice.
type model []Pair

func comparePairs(a, b Pair) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), strings.Compare(a.Member, b.Member))
}

func (m *model) remove(member string) (score float64, ok bool) {
	i := slices.IndexFunc(*m, func(p Pair) bool { return p.Member == member })
	if i < 0 {
		return 0, false
	}
	score = (*m)[i].Score
	*m = slices.Delete(*m, i, i+1)
	return score, true
}

func (m *model) set(member string, score float64) (before float64, was bool) {
	before, was = m.remove(member)
	p := Pair{member, score}
	i, _ := slices.BinarySearchFunc(*m, p, comparePairs)
	*m = slices.Insert(*m, i, p)
	return before, was
}

func collect(walk func(from int, visit func(item Item) bool), from int) (pairs []Pair) {
	walk(from, func(item Item) bool {
		pairs = append(pairs, Pair{item.String(), item.Score})
		return true
	})
	return pairs
}

// check compares z with m, and the tree and the memory of z with what they have to be.
func check(t *testing.T, z *Set, m model) {
	t.Helper()
	if z.Len() != len(m) {
		t.Fatalf("Len is %d, want %d", z.Len(), len(m))
	}
	if got := collect(z.Ascend, 0); !slices.Equal(got, m) {
		t.Fatalf("there are %v, want %v", got, m)
	}
	if z.Flat() {
		return
	}
	var nodes, inners int32
	var members int64
	for _, p := range m {
		members += bytesOf(p.Member)
	}
	if z.big.tree.root != nil {
		checkNode(t, z.big.tree.root, &nodes, &inners, true)
	}
	if nodes != z.big.tree.nodes || inners != z.big.tree.inners || members != z.big.members {
		t.Fatalf("counted are %d nodes, %d inner ones and %d bytes of members, want %d, %d and %d",
			z.big.tree.nodes, z.big.tree.inners, z.big.members, nodes, inners, members)
	}
}

// checkNode checks what n says of its kids, and returns how deep it is.
func checkNode(t *testing.T, n *node, nodes, inners *int32, last bool) (depth int) {
	t.Helper()
	*nodes++
	if n.n == 0 || !last && n.n < fewest {
		t.Fatalf("a node has %d items", n.n)
	}
	for i := n.n; i < width; i++ {
		if n.items[i] != nil {
			t.Fatal("an item is kept that was taken away")
		}
	}
	if n.kids == nil {
		for i := range n.n {
			if n.scores[i] != n.items[i].Value {
				t.Fatal("a leaf has another score than its item")
			}
		}
		return 1
	}
	*inners++
	for k := range n.n {
		kid := n.kids.nodes[k]
		d := checkNode(t, kid, nodes, inners, last && k == n.n-1)
		if k > 0 && d != depth {
			t.Fatal("leaves are not on one level")
		}
		depth = d
		if n.items[k] != kid.items[0] || n.scores[k] != kid.scores[0] || n.kids.counts[k] != kid.total() {
			t.Fatalf("a node says of its kid %d what is not so", k)
		}
	}
	for k := n.n; k < width; k++ {
		if n.kids.nodes[k] != nil {
			t.Fatal("a kid is kept that was taken away")
		}
	}
	return depth + 1
}

// script does random things with a set and its model.
type script struct {
	t      *testing.T
	r      *rand.Rand
	z      *Set
	m      model
	most   int // different members
	scores int // different scores
	long   bool
}

func (s *script) member() string {
	i := s.r.IntN(s.most)
	if s.long && i%7 == 0 {
		return strings.Repeat("x", 60+i%9) + fmt.Sprint(i)
	}
	return fmt.Sprint("m", i)
}

func (s *script) score() float64 {
	switch n := s.r.IntN(s.scores + 2); n {
	case s.scores:
		return math.Inf(1)
	case s.scores + 1:
		return math.Inf(-1)
	default:
		return float64(n) / 4
	}
}

func (s *script) step(grow bool) {
	t, member := s.t, s.member()
	removed := s.r.IntN(10) < 3
	if !grow {
		removed = s.r.IntN(10) < 7
	}
	if removed {
		if s.r.IntN(2) == 0 && len(s.m) > 0 {
			member = s.m[s.r.IntN(len(s.m))].Member
		}
		want, wasThere := s.m.remove(member)
		if got, ok := s.z.Remove(member); got != want || ok != wasThere {
			t.Fatalf("Remove(%q) = %v, %v, want %v, %v", member, got, ok, want, wasThere)
		}
		return
	}
	score := s.score()
	want, wasThere := s.m.set(member, score)
	if got, ok := s.z.Set(member, score); got != want || ok != wasThere {
		t.Fatalf("Set(%q, %v) = %v, %v, want %v, %v", member, score, got, ok, want, wasThere)
	}
}

// look compares what the set finds with what is in the model.
func (s *script) look() {
	t, z, m := s.t, s.z, s.m
	member := s.member()
	i := slices.IndexFunc(m, func(p Pair) bool { return p.Member == member })
	rank, score, ok := z.Rank(member)
	if other, there := z.Score(member); other != score || there != ok || ok != (i >= 0) || ok && (rank != i || score != m[i].Score) {
		t.Fatalf("Rank(%q) = %d, %v, %v; Score has %v, %v; want rank %d", member, rank, score, ok, other, there, i)
	}
	if len(m) > 0 {
		at := s.r.IntN(len(m))
		if item := z.At(at); item.String() != m[at].Member || item.Score != m[at].Score || item.View() != m[at].Member {
			t.Fatalf("At(%d) = %v, want %v", at, item, m[at])
		}
		if got := collect(z.Ascend, at); !slices.Equal(got, m[at:]) {
			t.Fatalf("Ascend(%d): %v, want %v", at, got, m[at:])
		}
		down := slices.Clone(m[:at+1])
		slices.Reverse(down)
		if got := collect(z.Descend, at); !slices.Equal(got, down) {
			t.Fatalf("Descend(%d): %v, want %v", at, got, down)
		}
	}
	bound := s.score()
	want := len(m) - len(slices.DeleteFunc(slices.Clone(m), func(p Pair) bool { return p.Score < bound }))
	if got := z.Below(bound, false); got != want {
		t.Fatalf("%d items are below %v, want %d", got, bound, want)
	}
	want = len(m) - len(slices.DeleteFunc(slices.Clone(m), func(p Pair) bool { return p.Score <= bound }))
	if got := z.Below(bound, true); got != want {
		t.Fatalf("%d items are not above %v, want %d", got, bound, want)
	}
}

var seedsFlag = flag.Uint64("seeds", 800, "how many seeds to run TestAgainstSortedSlice with")

// TestAgainstSortedSlice does random things with hundreds of sets, in phases in which they grow and shrink.
func TestAgainstSortedSlice(t *testing.T) {
	seeds := *seedsFlag
	if testing.Short() {
		seeds = min(seeds, 300)
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		s := &script{t: t, r: r, z: New(), most: 1 + r.IntN(400), scores: 1 + r.IntN(200), long: seed%4 == 0}
		if seed%400 == 0 {
			s.most, s.scores = 8000, 3000
		}
		for phase := range 4 {
			for range s.most/2 + r.IntN(s.most) {
				s.step(phase%2 == 0)
			}
			for range 4 {
				s.look()
			}
			check(t, s.z, s.m)
		}
		s.copies()
		for len(s.m) > 0 {
			member := s.m[r.IntN(len(s.m))].Member
			s.z.Remove(member)
			s.m.remove(member)
			if len(s.m) > 200 {
				s.thin()
			}
		}
		check(t, s.z, nil)
	}
}

// thin takes a run of members away.
func (s *script) thin() {
	from := s.r.IntN(len(s.m))
	for _, p := range s.m[from:min(len(s.m), from+100+s.r.IntN(100))] {
		s.z.Remove(p.Member)
	}
	s.m = collect(s.z.Ascend, 0)
	check(s.t, s.z, s.m)
}

// copies checks the ways to make one set of another.
func (s *script) copies() {
	t, z := s.t, s.z
	if len(s.m) == 0 {
		return
	}
	clone := z.Clone().(*Set)
	b := z.AppendTo(nil)
	pairs := slices.Clone(s.m)
	s.r.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	check(t, From(pairs), s.m)
	decoded, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	check(t, decoded, s.m)
	if decoded.Encoding() != z.Encoding() || !bytes.Equal(decoded.AppendTo(nil), b) {
		t.Fatal("a decoded set differs")
	}
	before := slices.Clone(s.m)
	restore, flat := z.Saved(), z.Flat()
	s.z = decoded // to go on with a tree that was built
	for range 300 {
		s.step(true)
	}
	check(t, s.z, s.m)
	check(t, clone, before)
	for range 300 {
		z.Set(s.member(), s.score())
	}
	if flat {
		restore()
		check(t, z, before)
	}
}

// TestAppending has sets grow at their ends: their nodes must not stay half empty.
func TestAppending(t *testing.T) {
	const count = 20_000
	for _, step := range []int{1, -1} {
		z := New()
		for i := range count {
			z.Set(fmt.Sprint(i), float64(step*i))
		}
		most := count/width + count/width/width + 3
		if step < 0 {
			most = most*2 + 10
		}
		if got := int(z.big.tree.nodes); got > most {
			t.Errorf("with a step of %d there are %d nodes, want %d at most", step, got, most)
		}
	}
}

// TestInsertingBehindFullLeaf has items come that stand behind a full leaf and before the next: no leaf may get few items by that.
func TestInsertingBehindFullLeaf(t *testing.T) {
	z := New()
	for i := range 1000 {
		z.Set(fmt.Sprint("a", i), float64(i))
	}
	for i := range 20_000 {
		z.Set(fmt.Sprint("b", i), 500.5-float64(i)/1e6)
	}
	check(t, z, collect(z.Ascend, 0))
	if got := int(z.big.tree.nodes); got > 21_000/(width/2)+50 {
		t.Errorf("there are %d nodes", got)
	}
}

func TestScanVisitsWhatIsThereAllTheTime(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 2))
		z := New()
		for i := range 100 {
			z.Set(fmt.Sprint("stays", i), 1)
		}
		seen := make(map[string]int)
		for place, first := uint64(0), true; first || place != 0; first = false {
			place = z.Scan(place, func(item Item) { seen[item.String()]++ })
			for range 30 {
				z.Set(fmt.Sprint(r.IntN(1000)), r.Float64()) // it becomes large on the way
				z.Remove(fmt.Sprint(r.IntN(1000)))
			}
		}
		for i := range 100 {
			if seen[fmt.Sprint("stays", i)] != 1 {
				t.Fatalf("seed %d: a member was visited %d times", seed, seen[fmt.Sprint("stays", i)])
			}
		}
	}
}
