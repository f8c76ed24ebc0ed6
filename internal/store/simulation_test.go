package store

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// simulation is a store under random operations of many goroutines, and what is known of it.
//
// A key is written by one goroutine, and read by all. Each value carries a number of its
// own, which grows with each write of a key; the model knows for each key the number below
// which nothing may be seen any more, and the number above which nothing was written yet.
type simulation struct {
	t     *testing.T
	store *Store
	keys  []simulatedKey
	leave []atomic.Int32 // by number: how often OnLeave was called with that value
	left  atomic.Int64   // how often OnLeave was called
	fails atomic.Int32
	hits  atomic.Int64
}

type simulatedKey struct {
	name  string
	floor atomic.Uint32 // no Get that begins now may see a lower number
	last  atomic.Uint32 // the highest number that an Add was begun with
}

const (
	simGoroutines = 8
	simKeys       = 20_000
	simBytes      = 4 << 20
)

func (m *simulation) fail(format string, args ...any) {
	if m.fails.Add(1) < 10 {
		m.t.Errorf(format, args...)
	}
}

// value is a number over and over: a mixture of two values shows.
func value(number uint32, size int) []byte {
	b := make([]byte, size)
	binary.NativeEndian.PutUint32(b, number)
	n := 4
	for n < size {
		n += copy(b[n:], b[:n])
	}
	return b
}

// number returns the number of an entry, whose value and expiry must be that number's.
func (m *simulation) number(key string, e Entry) uint32 {
	n := uint32(e.Meta)
	v := e.Value
	if len(v) < 8 || binary.NativeEndian.Uint32([]byte(v[:4])) != n || v[4:] != v[:len(v)-4] {
		m.fail("%s: value of %d bytes is not %d's", key, len(v), n)
	}
	if expires(n) != (e.Expires != 0) {
		m.fail("%s: %d expires at %d", key, n, e.Expires)
	}
	return n
}

// expires reports whether the value of a number does.
func expires(number uint32) bool { return number%3 == 0 }

func (m *simulation) onLeave(key string, e Entry, r Reason) {
	n := m.number(key, e)
	if m.leave[n].Add(1) != 1 {
		m.fail("%s: %d left twice", key, n)
	}
	if r == Expired && (e.Expires == 0 || e.Expires > m.store.Now()) {
		m.fail("%s: %d left as expired, before it was", key, n)
	}
	m.left.Add(1)
}

func (m *simulation) get(k *simulatedKey) {
	floor, began := k.floor.Load(), m.store.Now()
	e, ok := m.store.Get(k.name)
	if !ok {
		return
	}
	m.hits.Add(1)
	n := m.number(k.name, e)
	if n < floor || n > k.last.Load() {
		m.fail("%s: got %d, may be from %d to %d", k.name, n, floor, k.last.Load())
	}
	// The store may return what has expired, until it is swept, and says when it did. It
	// is swept within a tick, if the machine is not too busy for it.
	if e.Expires != 0 && e.Expires <= began-int64(5*time.Second) {
		m.fail("%s: expired at %d, still there at %d", k.name, e.Expires, began)
	}
}

func (m *simulation) run(g, ops int, r *rand.Rand) {
	sizes := [...]int{8, 8, 60, 100, 300, 700, 2000, 6000, 20_000}
	for i := range ops {
		k := &m.keys[r.IntN(simKeys)>>r.IntN(10)]
		own := &m.keys[(r.IntN(simKeys)>>r.IntN(10))/simGoroutines*simGoroutines+g]
		switch op := r.IntN(100); {
		case op < 60:
			m.get(k)
		case op < 93:
			n := uint32(g*ops+i) + 1
			var at int64
			if expires(n) {
				at = m.store.Now() + 1 + r.Int64N(int64(100*time.Millisecond))
			}
			own.last.Store(n)
			e, _ := m.store.Add(own.name, value(n, sizes[r.IntN(len(sizes))]), at, uint64(n))
			own.floor.Store(n)
			if m.number(own.name, e) != n {
				m.fail("%s: Add of %d returned %d", own.name, n, e.Meta)
			}
		case op < 97:
			m.store.Remove(own.name)
			own.floor.Store(own.last.Load() + 1)
		case i%(ops/4) == 0:
			m.store.Clear()
		default:
			if st := m.store.Stats(); st.Bytes > simBytes || st.Bytes < 0 || st.Items < 0 {
				m.fail("bound: %+v", st)
			}
		}
	}
}

func TestSimulation(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) { simulate(t, shards) })
	}
}

func simulate(t *testing.T, shards int) {
	ops := 10_000_000
	if testing.Short() || raceEnabled {
		ops = 400_000
	}
	r := random(t)
	m := &simulation{t: t, keys: make([]simulatedKey, simKeys), leave: make([]atomic.Int32, ops+1)}
	for i := range m.keys {
		m.keys[i].name = fmt.Sprint("key", i)
	}
	m.store = newSharded(Config{MaxBytes: simBytes, OnLeave: m.onLeave}, shards)
	var all sync.WaitGroup
	for g := range simGoroutines {
		own := rand.New(rand.NewPCG(r.Uint64(), uint64(g)))
		all.Go(func() { m.run(g, ops/simGoroutines, own) })
	}
	all.Wait()
	lock(m.store.begun())
	check(t, m.store)
	unlock(m.store.begun())
	m.settle()
	m.account()
	st := m.store.Stats()
	t.Logf("%+v", st)
	if m.hits.Load() == 0 || st.Evicted == 0 || st.Expired == 0 || st.Removed == 0 || st.Replaced == 0 {
		t.Error("something never happened")
	}
}

// settle waits until the store is at rest: the timer has swept what expires, all of it within
// 100 ms, and OnLeave has heard of all that left.
func (m *simulation) settle() {
	s := m.store
	for since := time.Now(); ; runtime.Gosched() {
		unswept := int64(0)
		lock(s.begun())
		for i := range s.begun() {
			unswept += s.begun()[i].wheel.items
		}
		unlock(s.begun())
		if unswept == 0 && m.left.Load() == m.gone() {
			return
		}
		if time.Since(since) > time.Minute {
			m.t.Fatalf("%d not swept, %d left, %d announced", unswept, m.gone(), m.left.Load())
		}
	}
}

// gone returns how many entries have left, as the store counts.
func (m *simulation) gone() int64 {
	st := m.store.Stats()
	return st.Evicted + st.Expired + st.Removed + st.Replaced
}

// account holds the entries that are there, and then leave, against those that were announced.
// The store is at rest.
func (m *simulation) account() {
	s := m.store
	here := map[uint32]bool{}
	s.Range(func(key string, e Entry) bool {
		here[uint32(e.Meta)] = true
		if m.leave[e.Meta].Load() != 0 {
			m.fail("%s: announced, and still there", key)
		}
		return true
	})
	s.Clear()
	if gone := m.gone(); m.left.Load() != gone {
		m.fail("OnLeave was called %d times, %d left", m.left.Load(), gone)
	}
	for n := range here {
		if m.leave[n].Load() != 1 {
			m.fail("%d left %d times", n, m.leave[n].Load())
		}
	}
}

// Nobody can see the table without a key that is neither removed nor evicted: a miss here is
// a load too many.
func TestNoFalseMiss(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 30})
	const stay = 500
	for i := range stay {
		s.Add(fmt.Sprint("stay", i), []byte("x"), 0, 0)
	}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for !stop.Load() {
				for i := range stay {
					if _, ok := s.Get(fmt.Sprint("stay", i)); !ok {
						t.Error("stay", i, "is missed")
						return
					}
				}
			}
		})
	}
	r := random(t)
	ops := 200_000
	if raceEnabled {
		ops /= 5
	}
	for range ops {
		switch key := fmt.Sprint(r.IntN(20_000)); r.IntN(8) {
		case 0:
			s.Remove(key)
		case 1:
			s.Add(fmt.Sprint("stay", r.IntN(stay)), []byte("y"), s.Now()+int64(time.Hour), 0)
		default:
			s.Add(key, []byte("z"), s.Now()+r.Int64N(int64(50*time.Millisecond)), 0)
		}
	}
	stop.Store(true)
	readers.Wait()
}
