package store

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// random returns a generator whose seed is printed, and can be given back in STORE_SEED.
func random(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("STORE_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("STORE_SEED=%d", seed)
	return randomOf(seed)
}

func randomOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// fresh gets what has not expired: it looks at the clock, as a Group does.
func fresh(s *Store, key string) (Entry, bool) {
	e, ok := s.Get(key)
	if ok && e.Expires != 0 && e.Expires <= s.Now() {
		return Entry{}, false
	}
	return e, ok
}

// check tests every invariant of a store's parts against each other. The store is quiet, or
// the caller holds all locks.
func check(t testing.TB, s *Store) {
	t.Helper()
	granted, used := s.budget.free.Load(), int64(0)
	if granted < 0 {
		t.Fatalf("%d bytes are free", granted)
	}
	tables := *s.tables.Load()
	shards := s.all()
	if shards == nil {
		granted = s.config.MaxBytes // of which nobody has taken anything
	}
	for i := range shards {
		shard := &shards[i]
		if shard.table != &tables[i] {
			t.Fatalf("shard %d has another table than readers", i)
		}
		checkShard(t, shard)
		granted += shard.grant.Load()
		used += shard.used()
	}
	if granted != s.config.MaxBytes || used > granted {
		t.Fatalf("%d bytes are granted or free, %d used, want %d", granted, used, s.config.MaxBytes)
	}
}

// checkShard tests every invariant of one shard.
func checkShard(t testing.TB, s *shard) {
	t.Helper()
	tab := s.table
	seen := checkTable(t, tab)
	var bytes, expiring int64
	for _, e := range seen {
		bytes += e.bytes()
		if e.expires() != 0 {
			expiring++
		}
	}
	if bytes != s.bytes {
		t.Fatalf("entries take %d bytes, store says %d", bytes, s.bytes)
	}
	if used := s.used(); used > s.grant.Load() {
		t.Fatalf("%d bytes, granted %d", used, s.grant.Load())
	}
	for _, e := range seen {
		if shardOf(s.store.begun(), tab.hash(e.key())) != s {
			t.Fatalf("key %q is in another shard than its own", e.key())
		}
	}
	checkEviction(t, s.eviction, seen)
	if n := checkWheel(t, &s.wheel); n != expiring || n != s.wheel.items {
		t.Fatalf("wheel has %d entries and says %d, table has %d that expire", n, s.wheel.items, expiring)
	}
}

// newTable returns a table for a test of its own.
func newTable(maxBytes int64, hash func(string) uint64) *table {
	t := &table{}
	t.init(maxBytes, hash)
	return t
}

// first returns the first shard of a store, which has no other one as a rule. It makes the shards.
func first(s *Store) *shard { return &s.begun()[0] }

// checkTable returns the entries of a table by id.
func checkTable(t testing.TB, tab *table) map[uint32]*entry {
	t.Helper()
	seen := map[uint32]*entry{}
	over := uint32(0)
	for n := range tab.buckets() {
		places := tab.chain(nil, n)
		over += uint32(len(places) - 1)
		for k, p := range places {
			b := tab.bucketAt(p)
			used := 0
			for i := range b.slot {
				e := b.slot[i].Load()
				if (e == nil) != (b.tag(i) == 0) {
					t.Fatalf("bucket %d slot %d: tag %d, entry %v", n, i, b.tag(i), e)
				}
				if e == nil {
					continue
				}
				used++
				hash := tab.hash(e.key())
				if home(hash, tab.buckets()) != n || tagOf(hash) != b.tag(i) {
					t.Fatalf("key %q is in bucket %d, belongs to %d", e.key(), n, home(hash, tab.buckets()))
				}
				if tab.ids.member(e.id).at != p+place(i) || seen[e.id] != nil {
					t.Fatalf("key %q: id %d leads to %x, is at %x", e.key(), e.id, tab.ids.member(e.id).at, p+place(i))
				}
				seen[e.id] = e
			}
			if k < len(places)-1 && used < slotsPerBucket {
				t.Fatalf("bucket %d: a hole before the chain's end", n)
			}
			if k > 0 && used == 0 {
				t.Fatalf("bucket %d: an empty overflow bucket", n)
			}
		}
	}
	for f := tab.overflowFree; f != 0; f = tab.overflow.at(f - 1).nextFree {
		over++
	}
	if over != tab.overflowUsed {
		t.Fatalf("%d overflow buckets, used %d", over, tab.overflowUsed)
	}
	if int64(len(seen)) != tab.items {
		t.Fatalf("%d entries, table says %d", len(seen), tab.items)
	}
	return seen
}

// checkEviction compares an eviction with the entries of its table.
func checkEviction(t testing.TB, p *eviction, seen map[uint32]*entry) {
	t.Helper()
	if n := checkCore(t, &p.core); n != int64(len(seen)) {
		t.Fatalf("eviction has %d entries, table %d", n, len(seen))
	}
	if p.selection == nil {
		return
	}
	for x := range p.selection.shadows {
		s := &p.selection.shadows[x]
		if n := checkCore(t, &s.core); n > s.max && s.max > 0 || n != int64(s.known.n) {
			t.Fatalf("shadow %d has %d entries of %d, and knows %d", x, n, s.max, s.known.n)
		}
	}
}

// checkCore checks a core's lists and sums, and returns how many entries it has.
func checkCore(t testing.TB, c *core) int64 {
	t.Helper()
	var held [inMain + 1]holding
	for list := range c.lists {
		place := inMain
		if list == smallList {
			place = inSmall
		}
		older := listRef | uint32(list)
		for id := c.lists[list].old; id != 0; {
			e := c.entry(id)
			if e == nil || e.id != id || e.prev != older || e.queue() != place {
				t.Fatalf("list %d: id %d after %x leads to %+v", list, id, older, e)
			}
			held[place].items++
			held[place].cost += c.costOf(e)
			older, id = id, e.next
			if id&listRef != 0 {
				if id != listRef|uint32(list) || c.lists[list].young != older {
					t.Fatalf("list %d ends at %d with %x, its youngest is %d", list, older, id, c.lists[list].young)
				}
				break
			}
		}
	}
	if held != c.held {
		t.Fatalf("lists hold %+v, says %+v", held, c.held)
	}
	return c.items()
}

func checkWheel(t testing.TB, w *wheel) (items int64) {
	t.Helper()
	for l := range w.lists {
		for i, id := range w.lists[l] {
			if (id != 0) != (w.used[l]>>i&1 != 0) {
				t.Fatalf("wheel: list %d.%d begins with %d, used %b", l, i, id, w.used[l])
			}
			prev := listRef | uint32(l*wheelSlots+i)
			for id != 0 {
				e := w.table.entry(id)
				if e == nil || e.id != id || e.wheelPrev() != prev {
					t.Fatalf("wheel: list %d.%d: id %d after %x leads to %+v", l, i, id, prev, e)
				}
				items++
				prev, id = id, e.wheelNext()
			}
		}
	}
	return items
}
