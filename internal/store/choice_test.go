package store

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A plainCache is a table and its eviction without the store around them. Its hash is the same in
// each run, so what a test sees does not depend on chance.
type plainCache struct {
	*eviction
	room    int64
	changes int // of the policy
}

var plainValue = make([]byte, 1000)

func newPlainCache(entries int) *plainCache {
	room := int64(entries) * cost(8, len(plainValue), 0, 0)
	t := newTable(room, func(key string) uint64 {
		h := uint64(14695981039346656037) // FNV-1a, and a finish that spreads it over all bits
		for i := range len(key) {
			h = (h ^ uint64(key[i])) * 1099511628211
		}
		h = (h ^ h>>32) * spread
		return (h ^ h>>29) * spread
	})
	return &plainCache{eviction: newEviction(t, room, room), room: room}
}

// get reports whether the key of a number is there, and adds it if not.
func (c *plainCache) get(n uint64) bool {
	key := fmt.Sprintf("%08d", n)
	hash := c.table.hash(key)
	if e := c.table.find(hash, key); e != nil {
		c.table.hit(hash, e)
		return true
	}
	before := c.policy
	e := newEntry(key, plainValue, 0, 0)
	c.table.insert(hash, e, 0)
	c.add(hash, e)
	for c.cost() > c.room {
		c.table.remove(c.evict(c.room))
	}
	if c.policy != before {
		c.changes++
	}
	return false
}

// run asks for n keys, and returns the part of them that was there.
func (c *plainCache) run(n int, next func() uint64) float64 {
	hits := 0
	for range n {
		if c.get(next()) {
			hits++
		}
	}
	return float64(hits) / float64(n)
}

// The loads. Each has keys of its own.

func loopLoad(length uint64) func() uint64 {
	n := uint64(0)
	return func() uint64 { n++; return 10_000_000 + n%length }
}

func zipfLoad(seed uint64, keys int) func() uint64 {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 1)), 1.1, 1, uint64(keys-1))
	return func() uint64 { return 20_000_000 + z.Uint64() }
}

// burstLoad asks for new keys, and for those of lately: the more recent, the more likely.
func burstLoad(seed uint64, span float64) func() uint64 {
	r := rand.New(rand.NewPCG(seed, 2))
	var last []uint64
	return func() uint64 {
		key := 30_000_000 + uint64(len(last))
		if d := int(r.ExpFloat64() * span); r.IntN(10) < 6 && d < len(last) {
			key = last[len(last)-1-d]
		}
		last = append(last, key)
		return key
	}
}

// Of a loop, what fits is kept.
func TestLoopsAreHeld(t *testing.T) {
	for _, c := range []struct{ entries, length int }{{200, 600}, {1000, 3000}, {4000, 12_000}, {1000, 1250}, {2000, 20_000}} {
		cache := newPlainCache(c.entries)
		next := loopLoad(uint64(c.length))
		cache.run(20*c.length, next)
		got, want := cache.run(5*c.length, next), float64(c.entries)/float64(c.length)
		if got < 0.92*want {
			t.Errorf("%d entries, a loop of %d: %.3f are hits, the most are %.3f", c.entries, c.length, got, want)
		}
	}
}

// A load that becomes another one gets the policy that is best for it. A loop after bursts takes the
// longest: TinyLFU has to forget what was popular.
func TestChoiceFollowsTheLoad(t *testing.T) {
	const soon = 60 // times the entries
	for seed := range uint64(2) {
		for _, entries := range []int{300, 2000} {
			cache := newPlainCache(entries)
			span := float64(entries) / 4
			for i, phase := range []struct {
				name  string
				next  func() uint64
				want  []policy
				least float64
			}{
				{"loop", loopLoad(uint64(2 * entries)), []policy{frequent}, 0.45},
				{"bursts", burstLoad(seed, span), []policy{recent, balanced}, 0.56},
				{"loop again", loopLoad(uint64(2 * entries)), []policy{frequent}, 0.45},
				{"popular keys", zipfLoad(seed, 50*entries), []policy{frequent, fifo}, 0.6},
				{"bursts again", burstLoad(seed+100, span), []policy{recent, balanced}, 0.56},
			} {
				cache.run(soon*entries, phase.next)
				got := cache.run(4*entries, phase.next)
				used := cache.policy
				if !slices.Contains(phase.want, used) || got < phase.least {
					t.Errorf("seed %d, %d entries, phase %d, %s: policy %d, %.3f are hits: want one of %v, %.2f", seed, entries, i, phase.name, used, got, phase.want, phase.least)
				}
			}
		}
	}
}

// A load that stays the same keeps its policy.
func TestChoiceIsSteady(t *testing.T) {
	for seed := range uint64(3) {
		for _, entries := range []int{200, 2000} {
			for name, next := range map[string]func() uint64{
				"popular keys": zipfLoad(seed, 50*entries),
				"bursts":       burstLoad(seed, float64(entries)/2),
				"loop":         loopLoad(uint64(3 * entries)),
			} {
				cache := newPlainCache(entries)
				cache.run(20*entries, next)
				cache.changes = 0
				cache.run(100*entries, next)
				if cache.changes > 4 {
					t.Errorf("seed %d, %d entries, %s: the policy changed %d times", seed, entries, name, cache.changes)
				}
			}
		}
	}
}

// A shadow that has all keys is what it is the shadow of: LRU's has as many hits as LRU, which it
// would not if hits came late, in another order, or not at all.
func TestShadowSeesRequestsInOrder(t *testing.T) {
	const entries, n = 400, 40_000
	cache := newPlainCache(entries)
	next := burstLoad(1, entries/3)
	order, at := list.New(), map[uint64]*list.Element{}
	want := 0.0
	for range n {
		key := next()
		want *= cache.selection.fade[1]
		if e := at[key]; e != nil {
			order.MoveToFront(e)
			want++
		} else {
			if order.Len() == entries {
				delete(at, order.Remove(order.Back()).(uint64))
			}
			at[key] = order.PushFront(key)
		}
		cache.get(key)
	}
	cache.get(0) // what is in the ring still
	requests := longSpan * float64(entries)
	got := cache.selection.score[recent][1]
	if diff := (got - want) / requests; diff > 0.01 || diff < -0.01 {
		t.Errorf("LRU's shadow has %.0f hits of the last %.0f requests or so, LRU %.0f", got, requests, want)
	}
}

// An add comes after the hits before it. Here each entry is hit once, when it is the one that LRU
// would evict for the add that follows: if the shadow saw the add first, it would see no hit.
func TestShadowSeesHitsBeforeTheNextAdd(t *testing.T) {
	const entries = 15 // so few that LRU is exact: each add begins an epoch
	cache := newPlainCache(entries)
	var order []uint64 // from the oldest
	hits, want := map[uint64]bool{}, 0.0
	for n := range uint64(100 * entries) {
		var again []uint64
		if len(order) == entries {
			if oldest := order[0]; !hits[oldest] {
				if !cache.get(oldest) {
					t.Fatalf("%d is not in the cache", oldest)
				}
				hits[oldest], again = true, order[:1]
				order = order[1:]
				want = want*cache.selection.fade[1] + 1
			}
			order = order[1:]
		}
		cache.policy, cache.selection.lead = recent, [2]float64{100 * entries, 100 * entries} // no other one
		cache.get(n)
		order = append(append(order, n), again...) // both are of one epoch
		want *= cache.selection.fade[1]
		if n == entries {
			cache.selection.resize(entries) // not one more, which there is while an add looks for room
		}
	}
	if got := cache.selection.score[recent][1]; got < 0.9*want || want < longSpan*entries/5 {
		t.Errorf("LRU's shadow has %.1f hits of the last requests, want %.1f", got, want)
	}
}

// The shadows are a part of the cache, whatever size its entries have: when they become smaller,
// there are more of them, and the sample has a smaller part of the keys.
func TestShadowsFollowTheSize(t *testing.T) {
	r := random(t)
	s := newSharded(Config{MaxBytes: 8 << 20}, 1)
	for _, bytes := range []int{4000, 100, 1000, 20, 8000} {
		for range 100_000 {
			key := fmt.Sprint(bytes, r.IntN(200_000))
			if _, ok := s.Get(key); !ok {
				s.Add(key, make([]byte, bytes), 0, 0)
			}
		}
		check(t, s)
		v := first(s).eviction
		part := float64(v.sample.size) / float64(v.items())
		limit := float64(v.sample.limit) / everyKey
		if v.sample.size > v.sample.max || v.sample.size < v.sample.max*2/5 || part < limit*0.9 || part > limit*1.1 {
			t.Errorf("values of %d: shadows of %d entries for %d in the cache, with %.4f of the keys", bytes, v.sample.size, v.items(), limit)
		}
		for x := range v.selection.shadows {
			nodes := v.selection.shadows[x].nodes
			for id := range nodes {
				if n := &nodes[id]; n.queue() != inNone && n.drawn >= v.sample.limit {
					t.Fatalf("values of %d: shadow %d has a key that is not in the sample", bytes, x)
				}
			}
		}
	}
}
