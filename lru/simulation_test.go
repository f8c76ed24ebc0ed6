package lru

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

var seedFlag = flag.Uint64("lru.seed", 0, "replay the simulation of this `seed`; 0: a new one")

// model is the cache as one would write it without a thought for speed.
type model struct {
	maxBytes  int64
	entries   []modelEntry // the one used last at the end
	evictions int64
	rejected  int64
	log       []left
}

type modelEntry struct {
	key         string
	value, cost int64
}

func (m *model) index(key string) int {
	return slices.IndexFunc(m.entries, func(e modelEntry) bool { return e.key == key })
}

func (m *model) bytes() (sum int64) {
	for _, e := range m.entries {
		sum += e.cost
	}
	return sum
}

func (m *model) drop(i int, r Reason) modelEntry {
	e := m.entries[i]
	m.entries = slices.Delete(m.entries, i, i+1)
	m.log = append(m.log, left{e.key, e.value, r})
	return e
}

func (m *model) get(key string) (int64, bool) {
	i := m.index(key)
	if i < 0 {
		return 0, false
	}
	e := m.entries[i]
	m.entries = append(slices.Delete(m.entries, i, i+1), e)
	return e.value, true
}

func (m *model) add(key string, value, cost int64) bool {
	if i := m.index(key); i >= 0 {
		m.drop(i, Replaced)
	}
	if cost > m.maxBytes {
		m.rejected++
		return false
	}
	m.entries = append(m.entries, modelEntry{key, value, cost})
	for m.bytes() > m.maxBytes {
		m.drop(0, Evicted)
		m.evictions++
	}
	return true
}

func (m *model) removeIf(key string, r Reason, cond func(int64) bool) bool {
	i := m.index(key)
	if i < 0 || !cond(m.entries[i].value) {
		return false
	}
	m.drop(i, r)
	return true
}

func (m *model) clear() {
	for len(m.entries) > 0 {
		m.drop(0, Removed)
	}
}

func TestSimulation(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("replay with: go test ./lru -run TestSimulation -lru.seed=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for round := range 30 {
		simulate(t, rnd, 1+rnd.IntN(600), 3000)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

// simulate does random things to a cache and to a model, and compares. The cache
// has room for about half of the keys.
func simulate(t *testing.T, rnd *rand.Rand, keys, steps int) {
	costs := func(v int64) int64 { return costOf(t, "1234", v) }
	m := &model{maxBytes: int64(keys)*costs(100)/2 + 200}
	c, log := newSized(t, m.maxBytes)
	for step := range steps {
		key := fmt.Sprintf("%04d", rnd.IntN(keys))
		var did string
		var got, want any
		switch op := rnd.IntN(1000); {
		case op < 450:
			did = fmt.Sprintf("Get(%s)", key)
			gotV, gotOK := c.Get(key)
			wantV, wantOK := m.get(key)
			got, want = fmt.Sprint(gotV, gotOK), fmt.Sprint(wantV, wantOK)
		case op < 850:
			v := rnd.Int64N(200)
			if rnd.IntN(50) == 0 {
				v = rnd.Int64N(2 * m.maxBytes)
			}
			did = fmt.Sprintf("Add(%s, %d)", key, v)
			got, want = c.Add(key, v), m.add(key, v, costs(v))
		case op < 900:
			did = fmt.Sprintf("Remove(%s)", key)
			got, want = c.Remove(key), m.removeIf(key, Removed, func(int64) bool { return true })
		case op < 997:
			even := func(v int64) bool { return v%2 == 0 }
			did = fmt.Sprintf("RemoveIf(%s, even)", key)
			got, want = c.RemoveIf(key, Expired, even), m.removeIf(key, Expired, even)
		default:
			did = "Clear"
			c.Clear()
			m.clear()
		}
		if got != want {
			t.Fatalf("step %d: %s = %v, want %v", step, did, got, want)
		}
		if !slices.Equal(*log, m.log) {
			t.Fatalf("step %d: after %s left %v, want %v", step, did, *log, m.log)
		}
		*log, m.log = nil, nil
		stats := Stats{int64(len(m.entries)), m.bytes(), m.evictions, m.rejected}
		if got := c.Stats(); got != stats {
			t.Fatalf("step %d: after %s Stats = %+v, want %+v", step, did, got, stats)
		}
		if step%100 == 0 {
			checkInvariants(t, c)
		}
	}
}

// checkInvariants fails unless list, table and sums agree.
func checkInvariants[V any](t *testing.T, c *Cache[V]) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var items uint64
	var bytes int64
	var prev *entry[V]
	for e := c.order.front; e != nil; prev, e = e, e.next {
		if e.prev != prev {
			t.Fatalf("the list is broken at %q", e.key)
		}
		if c.table.find(e.hash, e.key) != e {
			t.Fatalf("%q is in the list but not in the table", e.key)
		}
		items++
		bytes += e.cost
	}
	if c.order.back != prev {
		t.Fatal("the list does not end at its back")
	}
	if items != c.table.count || bytes != c.bytes || bytes > c.maxBytes {
		t.Fatalf("the list has %d items of %d bytes; the table has %d, the cache says %d of %d bytes",
			items, bytes, c.table.count, c.bytes, c.maxBytes)
	}
	tab := &c.table
	if tab.half > tab.buckets || tab.buckets >= 2*tab.half || tab.half&(tab.half-1) != 0 {
		t.Fatalf("%d buckets with half = %d", tab.buckets, tab.half)
	}
	if tab.buckets < tab.count || tab.buckets > tab.count+segmentLen {
		t.Fatalf("%d buckets for %d entries", tab.buckets, tab.count)
	}
	var chained uint64
	for i := range uint64(len(tab.segments)) * segmentLen {
		for e := *tab.bucket(i); e != nil; e = e.chain {
			if i >= tab.buckets || tab.head(e.hash) != tab.bucket(i) {
				t.Fatalf("%q is in the wrong bucket", e.key)
			}
			chained++
		}
	}
	if chained != tab.count {
		t.Fatalf("%d entries are chained, the table says %d", chained, tab.count)
	}
}

// Every value that is added is told to leave once, or is still in at the end.
func TestConcurrentUseLosesNothing(t *testing.T) {
	const goroutines, steps, keys = 8, 5000, 100
	var mu sync.Mutex
	gone := make(map[int64]int) // value → how often it was told to leave
	c, err := New(50*costOf(t, "10", 0),
		func(string, int64) int64 { return 0 },
		func(_ string, v int64, _ Reason) {
			mu.Lock()
			defer mu.Unlock()
			gone[v]++
		})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 0))
			for i := range steps {
				key := fmt.Sprint(rnd.IntN(keys))
				c.Add(key, int64(g*steps+i)) // each value is added once
				switch rnd.IntN(10) {
				case 0:
					c.Remove(key)
				case 1:
					c.RemoveIf(key, Expired, func(v int64) bool { return v%2 == 0 })
				case 2:
					c.Stats()
				case 3:
					if i%100 == 0 {
						c.Clear()
					}
				default:
					c.Get(key)
				}
			}
		})
	}
	wg.Wait()
	checkInvariants(t, c)
	in := 0
	for e := c.order.front; e != nil; e = e.next {
		gone[e.value]++
		in++
	}
	if in == 0 {
		t.Error("nothing is in at the end")
	}
	for v := range int64(goroutines * steps) {
		if n := gone[v]; n != 1 {
			t.Fatalf("value %d left or is in %d times, want once", v, n)
		}
	}
}
