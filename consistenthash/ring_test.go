package consistenthash

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// peers are n members of equal weight, named as peers are.
func peers(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i].Name = fmt.Sprintf("http://10.0.%d.%d:8001", i/256, i%256)
	}
	return members
}

func namesOf(members []Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	return names
}

func keys(n int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", random.Int64N(1e11))
	}
	return keys
}

func mustNew(t testing.TB, members ...Member) *Ring {
	t.Helper()
	r, err := New(members...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustNewGroupcache(t testing.TB, replicas int, names ...string) *Ring {
	t.Helper()
	r, err := NewGroupcache(replicas, names...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestP9GoldenVectors holds the rings to what they have always chosen. The vectors come from
// a model in another language, written from the package comment. They may grow, not change.
func TestP9GoldenVectors(t *testing.T) {
	var five []Member
	for i := range 5 {
		five = append(five, Member{Name: fmt.Sprintf("http://10.0.0.%d:8001", i+1)})
	}
	rings := map[string]*Ring{
		"equal":        mustNew(t, five...),
		"weighted":     mustNew(t, Member{"a", 1}, Member{"b", 2}, Member{"c", 3}, Member{"d", 10}),
		"one":          mustNew(t, Member{"http://localhost:8080", 1}),
		"utf8":         mustNew(t, Member{"größe", 1}, Member{"日本", 1}, Member{strings.Repeat("x", 40), 2}),
		"groupcache":   mustNewGroupcache(t, 50, namesOf(five)...),
		"groupcache-1": mustNewGroupcache(t, 1, namesOf(five)...),
	}
	file, err := os.Open("testdata/golden.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		fields := strings.Split(lines.Text(), "\t")
		r, key, want := rings[fields[0]], fields[1], strings.Split(fields[2], ",")
		seen[fields[0]] = true
		if got := r.Owner(key); got != want[0] {
			t.Errorf("ring %s: Owner(%q) = %q, want %q", fields[0], key, got, want[0])
		}
		if got := r.Successors(key, r.Len()); !slices.Equal(got, want) {
			t.Errorf("ring %s: Successors(%q) = %q, want %q", fields[0], key, got, want)
		}
	}
	if len(seen) != len(rings) {
		t.Errorf("vectors for %d rings, want %d", len(seen), len(rings))
	}
}

// sharesOf computes each member's share of the keys, 1 being its due, if points accepted
// keys independently of each other: of each gap, the point at its end gets 1/C, the next
// (1-1/C)/C, and so on.
func sharesOf(r *Ring) []float64 {
	shares := r.Shares()
	for i := range shares {
		shares[i] *= float64(r.Len())
	}
	return shares
}

// TestShares checks that the computed shares are even, and that sampled ones follow them.
func TestShares(t *testing.T) {
	const samples = 400_000
	for _, n := range []int{3, 10, 100, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			r := mustNew(t, peers(n)...)
			shares := sharesOf(r)
			if most := slices.Max(shares); most > 1.04 {
				t.Errorf("max/mean share is %.4f, want at most 1.04", most)
			}
			counts := make([]float64, n)
			for i := range samples {
				counts[r.OwnerIndex(strconv.Itoa(i))]++
			}
			// Were acceptance not as independent as sharesOf takes it to be, chi-square
			// would leave its mean by much more than six standard deviations.
			chi2, free := 0.0, float64(n-1)
			for i, count := range counts {
				want := shares[i] * samples / float64(n)
				chi2 += (count - want) * (count - want) / want
			}
			if chi2 > free+6*math.Sqrt(2*free)+6 {
				t.Errorf("chi-square of sampled shares is %.1f, want about %v", chi2, free)
			}
			if most := slices.Max(counts) * float64(n) / samples; n <= 10 && most > 1.05 {
				t.Errorf("sampled max/mean share is %.4f, want at most 1.05", most)
			}
		})
	}
}

// TestSharesOfGroupcache checks the computed shares of rings whose points own one gap each.
func TestSharesOfGroupcache(t *testing.T) {
	if got := mustNewGroupcache(t, 1, "alone").Shares(); len(got) != 1 || got[0] != 1 {
		t.Errorf("the share of one member with one point is %v, want 1", got)
	}
	const samples, n = 200_000, 5
	r := mustNewGroupcache(t, 50, namesOf(peers(n))...)
	counts := make([]float64, n)
	for i := range samples {
		counts[r.OwnerIndex(strconv.Itoa(i*7919))]++
	}
	for i, share := range r.Shares() {
		if got := counts[i] / samples; math.Abs(got-share) > 0.02 {
			t.Errorf("member %d has %.3f of the keys, want %.3f", i, got, share)
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	members := []Member{{"a", 0}, {"b", 1}, {"c", 2}, {"d", 5}, {"e", 20}}
	r := mustNew(t, members...)
	const samples, total = 200_000, 29
	counts := make([]int, len(members))
	for i := range samples {
		counts[r.OwnerIndex(strconv.Itoa(i))]++
	}
	for i, m := range members {
		share := float64(counts[i]) / samples * total / float64(max(m.Weight, 1))
		if share < 0.95 || share > 1.05 {
			t.Errorf("member %q of weight %d has %.3f of its due", m.Name, m.Weight, share)
		}
	}
}

// TestChangeMovesOnlyItsKeys: whoever comes, leaves or changes weight, no key moves between
// two others, and about as many move as must.
func TestChangeMovesOnlyItsKeys(t *testing.T) {
	base := peers(20)
	weighted := func(w int) []Member {
		members := slices.Clone(base)
		members[7].Weight = w
		return members
	}
	groupcache := func(members []Member) *Ring {
		return mustNewGroupcache(t, 50, namesOf(members)...)
	}
	tests := []struct {
		name          string
		before, after *Ring
		member        string // who gains all that moves
		moved         float64
	}{
		{"add", mustNew(t, base[:19]...), mustNew(t, base...), base[19].Name, 1. / 20},
		{"add first", mustNew(t, base[1:]...), mustNew(t, base...), base[0].Name, 1. / 20},
		{"add second", mustNew(t, base[0]), mustNew(t, base[:2]...), base[1].Name, 1. / 2},
		{"weigh more", mustNew(t, base...), mustNew(t, weighted(3)...), base[7].Name, 3./22 - 1./20},
		{"groupcache", groupcache(base[:19]), groupcache(base), base[19].Name, 0},
	}
	keys := keys(50_000)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			moved := 0
			for _, key := range keys {
				// Seen from before, the member comes or grows; seen from after, it goes.
				before, after := test.before.Owner(key), test.after.Owner(key)
				if before == after {
					continue
				}
				moved++
				if after != test.member {
					t.Fatalf("key %q moved from %q to %q, neither of which changed", key, before, after)
				}
			}
			if share := float64(moved) / float64(len(keys)); test.moved > 0 && math.Abs(share/test.moved-1) > 0.1 {
				t.Errorf("%.4f of the keys moved, want about %.4f", share, test.moved)
			}
		})
	}
}

// TestLeaverHandsToSuccessor: without its owner a key belongs to its second member, and the
// order of the others stays.
func TestLeaverHandsToSuccessor(t *testing.T) {
	members := peers(12)
	members[3].Weight = 4
	without := func(name string) []Member {
		return slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Name == name })
	}
	rings := map[string]func(members []Member) *Ring{
		"ring":       func(members []Member) *Ring { return mustNew(t, members...) },
		"groupcache": func(members []Member) *Ring { return mustNewGroupcache(t, 50, namesOf(members)...) },
	}
	keys := keys(5000)
	for name, ring := range rings {
		t.Run(name, func(t *testing.T) {
			full, left := ring(members), map[string]*Ring{}
			for _, m := range members {
				left[m.Name] = ring(without(m.Name))
			}
			for _, key := range keys {
				want := full.Successors(key, len(members))
				if owner := full.Owner(key); owner != want[0] {
					t.Fatalf("key %q: owner %q, first successor %q", key, owner, want[0])
				}
				if got := left[want[0]].Successors(key, len(members)); !slices.Equal(got, want[1:]) {
					t.Fatalf("key %q: successors without the owner are %q, want %q", key, got, want[1:])
				}
			}
		})
	}
}

func TestSuccessorsCount(t *testing.T) {
	r := mustNew(t, peers(5)...)
	for _, test := range []struct{ n, want int }{{-1, 0}, {0, 0}, {1, 1}, {3, 3}, {5, 5}, {9, 5}} {
		for _, key := range keys(100) {
			got := r.AppendSuccessors([]int{4, 4}, key, test.n)
			if !slices.Equal(got[:2], []int{4, 4}) || len(got) != 2+test.want {
				t.Fatalf("AppendSuccessors of %d to [4 4] = %v, want %d more", test.n, got, test.want)
			}
			got = got[2:]
			for i, m := range got {
				if slices.Contains(got[:i], m) {
					t.Fatalf("successors %v name %d twice", got, m)
				}
			}
		}
	}
}

func TestOrderOfMembersDoesNotMatter(t *testing.T) {
	members := peers(50)
	for i := range members {
		members[i].Weight = i % 4
	}
	shuffled := slices.Clone(members)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(shuffled), func(i, j int) {
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	})
	a, b := mustNew(t, members...), mustNew(t, shuffled...)
	for _, key := range keys(500) {
		if got, want := b.Successors(key, 50), a.Successors(key, 50); !slices.Equal(got, want) {
			t.Fatalf("key %q: %q in one order, %q in another", key, want, got)
		}
		if i := b.OwnerIndex(key); shuffled[i].Name != b.Owner(key) {
			t.Fatalf("key %q: index %d is %q, owner is %q", key, i, shuffled[i].Name, b.Owner(key))
		}
	}
}

// TestMembersInOnePlace: points of two members in one place belong to the first by name, and
// to the other when that one leaves. Among 320,000 points some do meet.
func TestMembersInOnePlace(t *testing.T) {
	members := peers(1000)
	r := mustNew(t, members...)
	met := 0
	for i := 1; i < len(r.slots); i++ {
		if r.slots[i] != r.slots[i-1] || r.owners[i] == r.owners[i-1] {
			continue
		}
		met++
		if a, b := members[r.owners[i-1]].Name, members[r.owners[i]].Name; a > b {
			t.Errorf("at %d, %q stands before %q", r.slots[i], a, b)
		}
	}
	if met == 0 {
		t.Error("no two points met; the test needs more members")
	}
}

// TestSecondTurn: where no point accepts in the first turn, the ring is one on which every
// point does. Such keys are too rare to find, so the test has all points refuse.
func TestSecondTurn(t *testing.T) {
	refusing, accepting := *mustNew(t, peers(5)...), *mustNew(t, peers(5)...)
	refusing.accept, accepting.accept = 0, math.MaxUint32
	for _, key := range keys(5000) {
		want := accepting.Successors(key, 5)
		if got := refusing.Successors(key, 5); !slices.Equal(got, want) || refusing.Owner(key) != want[0] {
			t.Fatalf("key %q: owner %q, successors %q, want %q", key, refusing.Owner(key), got, want)
		}
	}
}

// TestGroupcacheModel compares NewGroupcache with golang/groupcache's way: a sorted list of
// hashes and a map, in which the last writer wins.
func TestGroupcacheModel(t *testing.T) {
	collide := []string{"plumless", "buckeroo"} // as long as each other and of one CRC-32
	names := slices.Concat(collide[:1], namesOf(peers(100)), collide[1:])
	for _, replicas := range []int{1, 50, 500} {
		var hashes []int
		owner := map[int]string{}
		for _, name := range names {
			for i := range replicas {
				hash := int(crc32.ChecksumIEEE([]byte(strconv.Itoa(i) + name)))
				hashes = append(hashes, hash)
				owner[hash] = name
			}
		}
		sort.Ints(hashes)
		r := mustNewGroupcache(t, replicas, names...)
		check := func(key string) {
			hash := int(crc32.ChecksumIEEE([]byte(key)))
			i := sort.SearchInts(hashes, hash)
			if want := owner[hashes[i%len(hashes)]]; r.Owner(key) != want {
				t.Errorf("%d replicas: Owner(%q) = %q, want %q", replicas, key, r.Owner(key), want)
			}
		}
		for _, key := range keys(20_000) {
			check(key)
		}
		for i := range replicas { // keys that hash to just where a point is
			check(strconv.Itoa(i) + names[i%len(names)])
			check(strconv.Itoa(i) + collide[0])
		}
		if got := r.Successors("0plumless", 2); !slices.Equal(got, []string{"buckeroo", "plumless"}) {
			t.Errorf("%d replicas: successors in a colliding point are %q, want the last added first", replicas, got)
		}
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"none", errNew(), "no members, want at least one"},
		{"empty name", errNew(Member{"a", 1}, Member{"", 1}), "member 1 has an empty name"},
		{"twice", errNew(Member{"a", 1}, Member{"b", 1}, Member{"a", 2}), `members 0 and 2 are both named "a", want each name once`},
		{"negative", errNew(Member{"a", -1}), `member "a" has weight -1, want 0 to 65535`},
		{"heavy", errNew(Member{"a", math.MaxInt}), fmt.Sprintf(`member "a" has weight %d, want 0 to 65535`, math.MaxInt)},
		{"heavy together", errNew(Member{"a", 40000}, Member{"b", 40000}), "weights add up to 80000, want at most 65535"},
		{"too many", errNew(peers(65536)...), "65536 members, want at most 65535"},
		{"groupcache none", errNewGroupcache(50), "no members, want at least one"},
		{"groupcache twice", errNewGroupcache(50, "a", "a"), `members 0 and 1 are both named "a", want each name once`},
		{"groupcache replicas", errNewGroupcache(0, "a"), "0 replicas, want 1 to 20971200 for 1 members"},
		{"groupcache absurd", errNewGroupcache(math.MaxInt, "a", "b"), fmt.Sprintf("%d replicas, want 1 to 10485600 for 2 members", math.MaxInt)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.err == nil || test.err.Error() != "consistenthash: "+test.want {
				t.Errorf("error is %v, want consistenthash: %s", test.err, test.want)
			}
		})
	}
}

func errNew(members ...Member) error {
	_, err := New(members...)
	return err
}

func errNewGroupcache(replicas int, names ...string) error {
	_, err := NewGroupcache(replicas, names...)
	return err
}

func TestLookupsDoNotAllocate(t *testing.T) {
	members := peers(10)
	rings := map[string]*Ring{
		"ring":       mustNew(t, members...),
		"groupcache": mustNewGroupcache(t, 50, namesOf(members)...),
	}
	dst := make([]int, 0, 3)
	for name, r := range rings {
		for _, key := range []string{"k", "a key of sixteen", strings.Repeat("long", 100)} {
			allocs := testing.AllocsPerRun(100, func() {
				r.OwnerIndex(key)
				r.Owner(key)
				r.AppendSuccessors(dst, key, 3)
			})
			if allocs != 0 {
				t.Errorf("%s: a lookup of %d bytes allocates %v times, want 0", name, len(key), allocs)
			}
		}
	}
}

// TestByPosition: points stand as if they had been compared, also where many share a position,
// or differ in one of its digits alone.
func TestByPosition(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for name, position := range map[string]func() uint32{
		"random":      random.Uint32,
		"few":         func() uint32 { return random.Uint32N(3) * (math.MaxUint32 / 2) },
		"high digits": func() uint32 { return random.Uint32() << 22 },
		"low digits":  func() uint32 { return random.Uint32N(1 << 11) },
	} {
		points := make([]uint64, 10_000)
		for i := range points {
			points[i] = point(position(), i/10)
		}
		want := slices.Sorted(slices.Values(points))
		if got := byPosition(points); !slices.Equal(got, want) {
			t.Errorf("%s: points are out of order", name)
		}
	}
}
