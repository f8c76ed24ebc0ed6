package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

func TestShardsForBytes(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		want  int
	}{{1, 1}, {4<<20 - 1, 1}, {4 << 20, 2}, {24 << 20, 8}, {32 << 20, 16}, {63 << 20, 16}, {64 << 20, 32}, {1 << 40, 32}} {
		if got := shardsFor(c.bytes); got != c.want {
			t.Errorf("%d bytes: %d shards, want %d", c.bytes, got, c.want)
		}
	}
}

// While goroutines add to all shards, from tiny values to those that all shards must make room for,
// the sum over the shards is within the bound at each moment.
func TestP5ShardsTogetherAreWithinTheBound(t *testing.T) {
	const max = 8 << 20
	s := newSharded(Config{MaxBytes: max}, 8)
	r := random(t)
	rounds := 60_000
	if raceEnabled {
		rounds /= 5
	}
	var all sync.WaitGroup
	var running atomic.Int32
	for range 4 {
		seed := r.Uint64()
		running.Add(1)
		all.Go(func() {
			defer running.Add(-1)
			r := randomOf(seed)
			buf := make([]byte, max/maxPart)
			for i := range rounds {
				size := r.IntN(1 << (2 + r.IntN(12)))
				if i%1000 == 0 {
					size = r.IntN(len(buf))
				}
				s.Add(fmt.Sprint(r.IntN(200_000)), buf[:size], int64(r.IntN(2))<<60, 0)
			}
		})
	}
	for running.Load() > 0 {
		shards := s.all()
		lock(shards)
		used, granted := int64(0), s.budget.free.Load()
		for i := range shards {
			if shards[i].used() > shards[i].grant.Load() {
				t.Errorf("shard %d takes %d of %d", i, shards[i].used(), shards[i].grant.Load())
			}
			used += shards[i].used()
			granted += shards[i].grant.Load()
		}
		unlock(shards)
		if used > max || granted > max {
			t.Fatalf("%d bytes used, %d granted or free, of %d", used, granted, max)
		}
		runtime.Gosched()
	}
	all.Wait()
	check(t, s)
	// A large value that has left lately leaves a hole.
	if st := s.Stats(); st.Bytes < max*2/3 {
		t.Errorf("%d bytes of %d are used", st.Bytes, max)
	}
}

// A value of nearly a quarter of the bound, many times what a shard has, is kept, and costs other
// entries no more than its bytes.
func TestLargeValueTakesFromAllShards(t *testing.T) {
	const max = 32 << 20
	s := newSharded(Config{MaxBytes: max}, 32)
	for i := 0; s.Stats().Evicted == 0; i++ {
		s.Add(fmt.Sprint(i), make([]byte, 1000), 0, 0)
	}
	before := s.Stats()
	const large = max/maxPart - 100_000
	if _, kept := s.Add("large", make([]byte, large), 0, 0); !kept {
		t.Fatal("it is not kept")
	}
	st := s.Stats()
	if lost := (before.Items - st.Items) * 1100; lost > large*5/4 {
		t.Errorf("%d entries of %d left for it: about %d bytes for %d", before.Items-st.Items, before.Items, lost, large)
	}
	check(t, s)
	s.Remove("large")
	if free := s.budget.free.Load(); free < large*8/10 {
		t.Errorf("it is removed, and %d bytes are free", free)
	}
	check(t, s)
}

// Values that are large for a shard take their room from all in turn. They must not drain a few
// shards, or the keys of those would have no room. The grants stay alike, and there are about as
// many hits as in a store of one shard.
func TestLargeValuesDrainNoShard(t *testing.T) {
	const max = 32 << 20
	for _, size := range []int{40 << 10, 300 << 10, 600 << 10} {
		var part [2]float64
		for i, shards := range []int{1, 16} {
			s := newSharded(Config{MaxBytes: max}, shards)
			z := rand.NewZipf(randomOf(1), 1.01, 1, uint64(4*max/size))
			value := make([]byte, size)
			const n = 20_000
			for k := range 2 * n {
				key := fmt.Sprint(z.Uint64())
				if _, ok := s.Get(key); !ok {
					s.Add(key, value, 0, 0)
				} else if k >= n {
					part[i] += 1. / n
				}
			}
			for k := range s.all() {
				if got := s.all()[k].grant.Load(); got < s.budget.share/4 || got > s.budget.share*3 {
					t.Errorf("values of %d: shard %d has %d bytes, its share is %d", size, k, got, s.budget.share)
				}
			}
			check(t, s)
		}
		if part[1] < 0.85*part[0] {
			t.Errorf("values of %d: %.3f are hits, with one shard %.3f", size, part[1], part[0])
		}
	}
}

// A shard that comes when the others have taken everything gets something.
func TestEmptyShardTakesFromTheLargest(t *testing.T) {
	const max = 8 << 20
	s := newSharded(Config{MaxBytes: max}, 8)
	late := &s.begun()[3]
	add := func(mine bool, n int) {
		for i := 0; n > 0; i++ {
			key := fmt.Sprint(mine, i)
			if (shardOf(s.begun(), first(s).table.hash(key)) == late) == mine {
				s.Add(key, make([]byte, 400), 0, 0)
				n--
			}
		}
	}
	add(false, 2*max/400)
	add(true, max/400)
	if got := late.grant.Load(); got < s.budget.least {
		t.Errorf("it has %d bytes, want %d", got, s.budget.least)
	}
	check(t, s)
}

// After a Clear, nobody finds one key of before when another one is seen to be gone.
func TestClearIsAtOnceForReaders(t *testing.T) {
	s := newSharded(Config{MaxBytes: 8 << 20}, 32)
	var keys []string
	for i := range 64 {
		keys = append(keys, fmt.Sprint(i))
	}
	rounds := 3000
	if raceEnabled {
		rounds /= 5
	}
	for round := range rounds {
		for _, key := range keys {
			s.Add(key, nil, 0, 0)
		}
		var both sync.WaitGroup
		both.Go(s.Clear)
		both.Go(func() {
			gone := ""
			for i := range 200 {
				key := keys[(i*37+round)%len(keys)]
				if _, ok := s.Get(key); !ok {
					gone = key
				} else if gone != "" {
					t.Errorf("%s is there after %s is gone", key, gone)
					return
				}
			}
		})
		both.Wait()
		if t.Failed() {
			break
		}
	}
	check(t, s)
}

// One timer serves all shards, and sleeps when nothing can expire.
func TestP7OneTimerForAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSharded(Config{MaxBytes: 8 << 20}, 8)
		const n = 1000
		for i := range n {
			s.Add(fmt.Sprint(i), nil, s.Now()+int64(1+i%10)*int64(time.Second), 0)
		}
		for i := range 10 {
			time.Sleep(time.Duration(int64(i+1)*int64(time.Second) + 1<<tickBits - s.Now()))
			synctest.Wait()
			if st := s.Stats(); st.Items != int64(n-n/10*(i+1)) {
				t.Errorf("after %d s: %d entries", i+1, st.Items)
			}
			// What is added between two sweeps may be due before all others.
			s.Add("soon", nil, s.Now()+int64(100*time.Millisecond), 0)
			time.Sleep(200 * time.Millisecond)
			synctest.Wait()
			if _, ok := s.Get("soon"); ok {
				t.Error("what is due first is still there")
			}
		}
		if s.alarm.next.Load() != asleep {
			t.Error("a timer runs with nothing to do")
		}
		check(t, s)
	})
}

// The shards use the policy that the leader has found, without shadows of their own.
func TestShardsFollowTheLeader(t *testing.T) {
	s := newSharded(Config{MaxBytes: 8 << 20}, 8)
	for i := range 60_000 {
		key := fmt.Sprint(i % 6000)
		if _, ok := s.Get(key); !ok {
			s.Add(key, make([]byte, 2000), 0, 0)
		}
	}
	follow := func(want ...policy) {
		t.Helper()
		leader := first(s).eviction.policy
		if !slices.Contains(want, leader) {
			t.Errorf("the leader has policy %d, want one of %v", leader, want)
		}
		for i := range s.all() {
			v := s.all()[i].eviction
			if v.policy != leader {
				t.Errorf("shard %d has policy %d, the leader %d", i, v.policy, leader)
			}
			if (v.selection != nil) != (i == 0) {
				t.Errorf("shard %d has shadows: %t", i, v.selection != nil)
			}
		}
		check(t, s)
	}
	follow(frequent)
	next := burstLoad(1, 1000)
	for range 200_000 {
		key := fmt.Sprint(next())
		if _, ok := s.Get(key); !ok {
			s.Add(key, make([]byte, 2000), 0, 0)
		}
	}
	follow(recent, balanced)
}

// S3-FIFO's share comes through the advice as it is in the shadow.
func TestAdviceSaysTheShare(t *testing.T) {
	var a advice
	leader, follower := newCore(fifo, nil), newCore(recent, nil)
	model := newCore(fifo, nil)
	leader.model, model.max = &model, 512
	model.held[inMain].cost = 384
	a.give(&leader)
	a.follow(&follower)
	if m := follower.model; follower.policy != fifo || m == nil || m.held[inMain].cost*512 != 384*m.max {
		t.Fatalf("policy %d, model %+v", follower.policy, m)
	}
	leader.model = nil
	a.give(&leader)
	a.follow(&follower)
	if m := follower.model; m.held[inMain].cost != m.max {
		t.Fatalf("without a shadow: %+v", m.held)
	}
}

// What an Add, a hit and a renewal allocate, in objects. A regression here is one in time.
func TestAllocations(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 64 << 20})
	small, large := make([]byte, apartFrom-1), make([]byte, apartFrom)
	keys := make([]string, 400_000) // more than the store keeps: each Add is of a new key, and evicts
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%012d", i)
	}
	at := 0
	next := func() string { at = (at + 1) % len(keys); return keys[at] }
	for range keys {
		s.Add(next(), small, 0, 0)
	}
	evicted := s.Stats().Evicted
	const kept = "kept"
	renew := func(value []byte) func() {
		return func() {
			e, _ := s.Add(kept, value, 0, 1)
			s.Renew(kept, e, 0, 2)
		}
	}
	for _, c := range []struct {
		name string
		most float64
		f    func()
	}{
		{"an add of a small value, with an eviction", 1, func() { s.Add(next(), small, 0, 0) }},
		{"an add of a large value, with evictions", 2, func() { s.Add(next(), large, 0, 0) }},
		{"an add of a small value and its renewal", 2, renew(small)},
		{"an add of a large value and its renewal", 3, renew(large)},
		{"a hit", 0, func() { s.Get(kept) }},
		{"a miss", 0, func() { s.Get("none") }},
		{"a removal of nothing", 0, func() { s.Remove("none") }},
	} {
		if n := testing.AllocsPerRun(2000, c.f); n > c.most {
			t.Errorf("%s: %v allocations, want %v", c.name, n, c.most)
		}
	}
	if s.Stats().Evicted == evicted {
		t.Error("nothing was evicted")
	}
}

// A renewal keeps the object of a large value, whatever parts the entry gets.
func TestRenewSharesALargeValue(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	later := s.Now() + int64(time.Hour)
	for _, c := range []struct {
		key    string
		size   int
		shared bool
	}{{"k", 10_000, true}, {"k", apartFrom, true}, {"k", apartFrom - 1, false}, {fmt.Sprintf("%0*d", maxTail-4, 1), 10_000, false}} {
		e, _ := s.Add(c.key, make([]byte, c.size), 0, 0)
		for i, to := range []struct {
			expires int64
			meta    uint64
		}{{later, 0}, {later + 1, 5}, {0, 0}} {
			if !s.Renew(c.key, e, to.expires, to.meta) {
				t.Fatalf("%d bytes: not renewed", c.size)
			}
			got, _ := s.Get(c.key)
			if len(got.Value) != c.size || got.Expires != to.expires || got.Meta != to.meta {
				t.Fatalf("%d bytes: %d bytes, %d, %d", c.size, len(got.Value), got.Expires, got.Meta)
			}
			if same := unsafe.StringData(got.Value) == unsafe.StringData(e.Value); same != c.shared {
				t.Errorf("key of %d, value of %d bytes, renewal %d: shared %t, want %t", len(c.key), c.size, i, same, c.shared)
			}
			check(t, s)
			e = got
		}
	}
}
