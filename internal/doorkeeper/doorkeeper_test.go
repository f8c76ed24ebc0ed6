package doorkeeper

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// model is a cache for copies that is as simple as can be, behind a Door: FIFO.
type model struct {
	door   *Door
	room   int
	order  []string
	copies map[string]*copied

	gets, made, hits, evictions int64
}

type copied struct{ trial bool }

func newModel(bytes int64, room int) *model {
	m := &model{room: room, copies: make(map[string]*copied)}
	m.door = New(bytes, func() Figures {
		return Figures{Room: len(m.copies) < m.room, Items: int64(len(m.copies)), Evictions: m.evictions}
	})
	return m
}

func (m *model) get(key string) {
	m.gets++
	if c := m.copies[key]; c != nil {
		m.hits++
		if c.trial {
			c.trial = false
			m.door.Pass()
		}
		return
	}
	if !m.door.Worth(key) {
		return
	}
	m.door.Admit()
	m.made++
	if len(m.copies) == m.room {
		delete(m.copies, m.order[0])
		m.order = m.order[1:]
		m.evictions++
	}
	m.order = append(m.order, key)
	m.copies[key] = &copied{m.door.Trial()}
}

// reset returns the copies made and the hits of each Get, and forgets them.
func (m *model) reset() (made, hits float64) {
	made, hits = float64(m.made)/float64(m.gets), float64(m.hits)/float64(m.gets)
	m.gets, m.made = 0, 0
	m.hits = 0
	return made, hits
}

// bytes are those of a Door for a cache of 1 MiB, which has room for about 900 copies of 1 KiB.
const (
	bytes = 16 << 10
	room  = 900
)

// While there is room, a key is let in with its second fetch.
func TestEmptyCacheAdmitsAtTheSecondFetch(t *testing.T) {
	m := newModel(bytes, room)
	const keys = 800
	for range 2 {
		for i := range keys {
			m.get(fmt.Sprint("key", i))
		}
	}
	if n := len(m.copies); n < keys*9/10 {
		t.Errorf("%d copies of %d keys that were fetched twice", n, keys)
	}
}

// What is asked for at random, by far more keys than there is room for, is hardly copied.
func TestFewCopiesWhereTheyDoNotPay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ keys, room int }{{20_000, room}, {1_000_000, room}, {1000, 60}, {2000, 60}, {100_000, 60}} {
		keys, m := c.keys, newModel(bytes, c.room)
		for range 200_000 {
			m.get(fmt.Sprint("key", r.IntN(keys)))
		}
		m.reset()
		for range 200_000 {
			m.get(fmt.Sprint("key", r.IntN(keys)))
		}
		if made, hits := m.reset(); made > 0.04 {
			t.Errorf("%d keys, room for %d: %.3f copies for each Get, threshold %d, hits %.3f: want few", keys, c.room, made, m.door.threshold.Load(), hits)
		}
	}
}

// Keys of which some are popular have copies of those, and of few others.
func TestPopularKeysAreCopied(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(r, 1.1, 1, 20_000)
	m := newModel(bytes, room)
	for range 200_000 {
		m.get(fmt.Sprint("key", zipf.Uint64()))
	}
	m.reset()
	for range 200_000 {
		m.get(fmt.Sprint("key", zipf.Uint64()))
	}
	made, hits := m.reset()
	if hits < 0.75 || made > 0.05 {
		t.Errorf("%.3f hits and %.3f copies for each Get, threshold %d", hits, made, m.door.threshold.Load())
	}
}

// A key that becomes hot is let in within a few fetches, whatever the load was before.
func TestHotKeyIsLetInSoon(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	m := newModel(bytes, room)
	for range 200_000 {
		m.get(fmt.Sprint("key", r.IntN(20_000)))
	}
	fetches := 1
	for ; !m.door.Worth("hot"); fetches++ {
		if fetches > highest {
			t.Fatalf("not let in within %d fetches", highest)
		}
	}
	t.Logf("let in with fetch %d", fetches)
}

// Keys that are asked for some times, and then not any more, are worth their copies as long as
// most of these are hit.
func TestBurstsAreCopied(t *testing.T) {
	m := newModel(bytes, room)
	for i := range 50_000 {
		for range 10 {
			m.get(fmt.Sprint("key", i))
		}
	}
	if _, hits := m.reset(); hits < 0.5 {
		t.Errorf("%.3f hits for each Get, threshold %d: want most of those after the second of ten", hits, m.door.threshold.Load())
	}
}

// Of many who ask for one key at the same time, all but a few are told that it is worth a copy.
func TestBurstOfOneKey(t *testing.T) {
	d := New(bytes, func() Figures { return Figures{Room: true} })
	var not atomic.Int64
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			if !d.Worth("key") {
				not.Add(1)
			}
		})
	}
	all.Wait()
	if n := not.Load(); n > 16 {
		t.Errorf("%d of 1000 are told that it is not worth a copy", n)
	}
}

func TestWorthAllocatesNothing(t *testing.T) {
	d := New(bytes, func() Figures { return Figures{} })
	d.Worth("key")
	if n := testing.AllocsPerRun(1000, func() { d.Worth("key") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The smallest Door works too.
func TestSmallestDoor(t *testing.T) {
	d := New(0, func() Figures { return Figures{Room: true} })
	d.Worth("key")
	if !d.Worth("key") {
		t.Error("a key that was fetched twice is not let in")
	}
}

func BenchmarkWorth(b *testing.B) {
	d := New(bytes, func() Figures { return Figures{} })
	keys := make([]string, 4096)
	for i := range keys {
		keys[i] = fmt.Sprintf("key:%08d", i)
	}
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			d.Worth(keys[i%len(keys)])
		}
	})
}
