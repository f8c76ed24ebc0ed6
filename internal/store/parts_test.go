package store

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"iter"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

func TestEntryKeepsWhatItWasGiven(t *testing.T) {
	r := random(t)
	rounds := 20_000
	if raceEnabled {
		rounds /= 5
	}
	for range rounds {
		key := strings.Repeat("k", []int{0, 1, 7, 16, 300, 470, 490, maxShort, maxShort + 1, 100_000}[r.IntN(10)])
		value := bytes.Repeat([]byte{byte(r.IntN(256))}, []int{0, 1, 3, 100, 511, 512, 513, 4096, 40_000}[r.IntN(9)])
		expires := r.Int64() * r.Int64N(2)
		meta := r.Uint64() * r.Uint64N(2)
		e := newEntry(key, value, expires, meta)
		v := e.view()
		if e.key() != key || v.Value != string(value) || v.Expires != expires || v.Meta != meta || e.expires() != expires {
			t.Fatalf("key of %d, value of %d bytes, %d, %d: got %d, %d, %d, %d", len(key), len(value), expires, meta,
				len(e.key()), len(v.Value), v.Expires, v.Meta)
		}
		if expires != 0 {
			e.setWheelNext(1)
			e.setWheelPrev(listRef | 2)
			if e.wheelNext() != 1 || e.wheelPrev() != listRef|2 || e.view() != v || e.key() != key {
				t.Fatal("the wheel's words touch others")
			}
		}
		for range 5 {
			e.touch(1<<epochBits + 5)
		}
		e.setQueue(1)
		if e.count() != maxCount || e.age(7) != 2 || e.queue() != 1 || e.view() != v || e.key() != key {
			t.Fatal("the bits of queue and mark touch others")
		}
	}
}

// What an entry is said to cost is what the allocator gives for it.
func TestCostIsTheAllocators(t *testing.T) {
	r := random(t)
	const n = 200
	for range 60 {
		key := strings.Repeat("k", 1+r.IntN(500))
		value := make([]byte, r.IntN(1<<(3+r.IntN(15))))
		expires, meta := r.Int64N(2), r.Uint64N(2)
		var before, after runtime.MemStats
		keep := make([]*entry, n)
		runtime.ReadMemStats(&before)
		for i := range keep {
			keep[i] = newEntry(key, value, expires, meta)
		}
		runtime.ReadMemStats(&after)
		got := int64(after.TotalAlloc-before.TotalAlloc) / n
		want := keep[0].bytes()
		runtime.KeepAlive(keep)
		if got < want || got > want+want/100+8 {
			t.Errorf("key %d, value %d, expires %d, meta %d: takes %d bytes, said %d", len(key), len(value), expires, meta, got, want)
		}
	}
}

func TestBucketsStandAtCacheLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("a bucket is no cache line where pointers have 4 bytes")
	}
	if bucketBytes != 64 {
		t.Fatalf("a bucket has %d bytes", bucketBytes)
	}
	for _, max := range []int64{1, 1 << 30} {
		tab := newTable(max, func(string) uint64 { return 0 })
		for i := range uint32(3) << tab.main.shift {
			tab.main.reach(i)
			if uintptr(unsafe.Pointer(tab.main.at(i)))%uintptr(bucketBytes) != 0 {
				t.Fatalf("bucket %d of a table for %d bytes stands askew", i, max)
			}
		}
	}
}

// The table against a map, with a hash that is good, and hashes that make long chains.
func TestTableAgainstModel(t *testing.T) {
	r := random(t)
	seed := maphash.MakeSeed()
	for _, bits := range []int{64, 10, 6, 0} {
		keep := ^uint64(0) << (64 - bits) >> (64 - bits)
		tab := newTable(1, func(key string) uint64 { return maphash.String(seed, key) & keep })
		model := map[string]*entry{}
		ops := 60_000
		if testing.Short() || raceEnabled {
			ops = 12_000
		}
		if bits == 0 {
			ops /= 10
		}
		for i := range ops {
			// The number of keys swells and shrinks.
			key := fmt.Sprint(r.IntN(10 + min(i, ops-i)%(ops/4)))
			hash := tab.hash(key)
			e := tab.find(hash, key)
			if e != model[key] {
				t.Fatalf("%d bits: find %q: %p, want %p", bits, key, e, model[key])
			}
			switch made := newEntry(key, nil, 0, 0); {
			case e == nil:
				tab.insert(hash, made, 0)
				model[key] = made
			case r.IntN(3) == 0:
				tab.replace(e, made, 0)
				model[key] = made
			default:
				tab.remove(e)
				delete(model, key)
			}
			if i%(ops/20) == 0 {
				checkTable(t, tab)
			}
		}
		if got := checkTable(t, tab); len(got) != len(model) {
			t.Fatalf("%d entries, want %d", len(got), len(model))
		}
	}
}

// Readers find entries that stay, whatever happens to those around them: growth, removal,
// replacement, chains that are filled up and cut short.
func TestTableNeverHidesAnEntry(t *testing.T) {
	r := random(t)
	seed := maphash.MakeSeed()
	rounds := 60
	if testing.Short() || raceEnabled {
		rounds = 12
	}
	for round := range rounds {
		spread := uint64(1)<<(3+round%8) - 1
		tab := newTable(1, func(key string) uint64 { return maphash.String(seed, key) & (spread | 3<<60) })
		var stay []string
		for i := range 60 {
			key := fmt.Sprint("stay", i)
			stay = append(stay, key)
			tab.insert(tab.hash(key), newEntry(key, nil, 0, 0), 0)
		}
		var stop atomic.Bool
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				for !stop.Load() {
					for _, key := range stay {
						if tab.find(tab.hash(key), key) == nil {
							t.Errorf("%q is hidden", key)
							stop.Store(true)
						}
					}
					if tab.find(tab.hash("never"), "never") != nil {
						t.Error("found what was never there")
					}
				}
			})
		}
		for range 4000 {
			key := fmt.Sprint("come and go", r.IntN(600))
			if r.IntN(20) == 0 {
				key = stay[r.IntN(len(stay))]
			}
			e := tab.find(tab.hash(key), key)
			switch {
			case e == nil:
				tab.insert(tab.hash(key), newEntry(key, nil, 0, 0), 0)
			case key[0] == 's':
				tab.replace(e, newEntry(key, nil, 0, 0), 0)
			default:
				tab.remove(e)
			}
		}
		stop.Store(true)
		readers.Wait()
		checkTable(t, tab)
		if t.Failed() {
			return
		}
	}
}

// Between any two stores of a writer, a reader finds all that is there.
func TestTableBetweenStores(t *testing.T) {
	r := random(t)
	seed := maphash.MakeSeed()
	for _, spread := range []uint64{7, 63, 1 << 20} {
		tab := newTable(1, func(key string) uint64 { return maphash.String(seed, key) & (spread | 3<<60) })
		model := map[string]*entry{}
		var at string // the key that is being written
		tab.pause = func() {
			for key, e := range model {
				if got := tab.find(tab.hash(key), key); got != e && key != at {
					t.Fatalf("%q is hidden while %q is written", key, at)
				}
			}
		}
		for i := range 4000 {
			at = fmt.Sprint(r.IntN(10 + min(i, 4000-i)/16))
			churn(tab, model, at)
		}
	}
}

// churn adds a key, or removes it.
func churn(tab *table, model map[string]*entry, key string) {
	if e := model[key]; e != nil {
		tab.remove(e)
		delete(model, key)
		return
	}
	model[key] = newEntry(key, nil, 0, 0)
	tab.insert(tab.hash(key), model[key], 0)
}

// A reader that is overtaken by a writer between any two of its loads, at any store of the
// writer's, finds what was there all the time. The reader is find with pauses: a coroutine.
func TestTableReaderOvertaken(t *testing.T) {
	r := random(t)
	seed := maphash.MakeSeed()
	for _, spread := range []uint64{7, 63, 1 << 20} {
		tab := newTable(1, func(key string) uint64 { return maphash.String(seed, key) & (spread | 3<<60) })
		model := map[string]*entry{}
		var read, written string // keys that are being
		next, stop := iter.Pull(func(yield func(struct{}) bool) {
			for more := true; more; {
				read = fmt.Sprint("stay", r.IntN(8))
				key := read
				if key == written || model[key] == nil {
					more = yield(struct{}{})
					continue
				}
				pause := func() { more = more && yield(struct{}{}) }
				if got := slowFind(tab, key, pause); more && got != model[key] {
					t.Errorf("%q is missed", key)
					return
				}
			}
		})
		tab.pause = func() {
			for r.IntN(2) == 0 {
				next()
			}
		}
		const ops = 40_000
		for i := range ops {
			written = fmt.Sprint(r.IntN(10 + min(i, ops-i)/160))
			if i%4 == 0 { // so that those that stay do not always stand in front
				written = fmt.Sprint("stay", r.IntN(8))
			}
			if written != read {
				churn(tab, model, written)
			}
			written = ""
			tab.pause()
		}
		stop()
	}
}

func slowFind(tab *table, key string, pause func()) *entry {
	hash := tab.hash(key)
	for {
		state := tab.state.Load()
		pause()
		b := tab.main.at(home(hash, uint32(state)))
		for {
			for i := range b.slot {
				if b.tag(i) != tagOf(hash) {
					continue
				}
				pause()
				if e := b.slot[i].Load(); e != nil && e.key() == key {
					return e
				}
			}
			pause()
			next := b.next.Load()
			if next == 0 {
				break
			}
			pause()
			b = tab.overflow.at(next - 1)
		}
		pause()
		if tab.state.Load() == state {
			return nil
		}
	}
}

// A hit never undoes what the lock's holder writes into the entry.
func TestTouchUndoesNothing(t *testing.T) {
	e := newEntry("key", nil, 0, 0)
	var stop atomic.Bool
	var readers sync.WaitGroup
	readers.Go(func() {
		for epoch := uint32(0); !stop.Load(); epoch++ {
			e.touch(epoch)
		}
	})
	rounds := uint32(2_000_000)
	if raceEnabled {
		rounds /= 10
	}
	for i := range rounds {
		e.setCount(0)
		e.setQueue(i & 1)
		if e.queue() != i&1 {
			t.Error("a queue was undone")
			break
		}
		e.setCount(0)
		if e.queue() != i&1 {
			t.Error("a queue was undone")
			break
		}
	}
	stop.Store(true)
	readers.Wait()
}

// The wheel against a list of times, over ranges from ticks to centuries.
func TestWheelAgainstModel(t *testing.T) {
	r := random(t)
	for _, span := range []int64{3 << tickBits, 100 << tickBits, 1 << 40, 1 << 50, 1 << 62} {
		seed := maphash.MakeSeed()
		tab := newTable(1, func(key string) uint64 { return maphash.String(seed, key) })
		w := wheel{table: tab}
		var list []*entry
		now := int64(0)
		ops := 30_000
		if testing.Short() || raceEnabled {
			ops = 6000
		}
		for i := range ops {
			switch r.IntN(4) {
			case 0, 1:
				e := newEntry(fmt.Sprint(i), nil, max(1, now-1<<tickBits+r.Int64N(span)), 0)
				tab.insert(tab.hash(e.key()), e, 0)
				w.add(e, now)
				list = append(list, e)
			case 2:
				if len(list) > 0 {
					k := r.IntN(len(list))
					w.remove(list[k])
					tab.remove(list[k])
					list[k] = list[len(list)-1]
					list = list[:len(list)-1]
				}
			case 3:
				now += min(r.Int64N(span/50+1), 1<<62-now)
				list = turn(t, &w, list, now, 1+r.IntN(1000))
			}
			if i%3000 == 0 {
				if n := checkWheel(t, &w); n != int64(len(list)) {
					t.Fatalf("%d in the wheel, want %d", n, len(list))
				}
			}
		}
	}
}

// turn moves the wheel to now, and checks that what it gives back has expired, and all of it.
func turn(t *testing.T, w *wheel, list []*entry, now int64, steps int) []*entry {
	t.Helper()
	out := map[*entry]bool{}
	for {
		left := steps
		for e := w.expired(now, &left); e != nil; e = w.expired(now, &left) {
			if e.expires() > now || out[e] {
				t.Fatalf("expires at %d, given at %d, before: %t", e.expires(), now, out[e])
			}
			out[e] = true
			w.table.remove(e)
		}
		if left > 0 {
			break
		}
	}
	if due, ok := w.due(); ok && due <= now {
		t.Fatalf("at %d, still due at %d", now, due)
	}
	var rest []*entry
	for _, e := range list {
		if !out[e] {
			if e.expires() < now-1<<tickBits {
				t.Fatalf("expired at %d, still there at %d", e.expires(), now)
			}
			rest = append(rest, e)
		}
	}
	return rest
}
