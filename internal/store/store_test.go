package store

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func newStore(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewRefusesNoBytes(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Fatal("no error")
	}
}

func TestP4Immutable(t *testing.T) {
	for _, size := range []int{1, 100, apartFrom, 1 << 20} {
		s := newStore(t, Config{MaxBytes: 16 << 20})
		value := bytes.Repeat([]byte("a"), size)
		want := string(value)
		added, _ := s.Add("key", value, 0, 0)
		clear(value)
		got, _ := s.Get("key")
		if added.Value != want || got.Value != want {
			t.Fatalf("%d bytes: the caller's slice is cached", size)
		}
		s.Add("key", value, 0, 0)
		s.Clear()
		runtime.GC()
		if added.Value != want || got.Value != want {
			t.Fatalf("%d bytes: a view has changed", size)
		}
	}
}

func TestReplaceAndRemove(t *testing.T) {
	var left []string
	s := newStore(t, Config{MaxBytes: 1 << 20, OnLeave: func(key string, e Entry, r Reason) {
		left = append(left, fmt.Sprint(key, "=", e.Value, " ", r))
	}})
	s.Add("a", []byte("1"), 0, 7)
	if e, kept := s.Add("a", []byte("2"), 0, 8); e.Value != "2" || e.Meta != 8 || !kept {
		t.Fatal(e, kept)
	}
	s.Add("b", nil, 0, 0)
	if e, ok := s.Get("b"); !ok || e.Value != "" {
		t.Fatal(e, ok)
	}
	if !s.Remove("a") || s.Remove("a") {
		t.Fatal("Remove tells not what was there")
	}
	if _, ok := s.Get("a"); ok {
		t.Fatal("removed, and there")
	}
	s.Clear()
	if got, want := strings.Join(left, ", "), "a=1 replaced, a=2 removed, b= removed"; got != want {
		t.Fatalf("left: %s; want %s", got, want)
	}
	st := s.Stats()
	if st.Removed != 2 || st.Replaced != 1 || st.Items != 0 || st.Bytes != 0 {
		t.Fatalf("%+v", st)
	}
	check(t, s)
}

func TestTooLargeIsNotKept(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	s.Add("key", []byte("old"), 0, 0)
	large := bytes.Repeat([]byte("x"), 1<<18+1)
	if e, kept := s.Add("key", large, 0, 0); kept || e.Value != string(large) {
		t.Fatal(kept, len(e.Value))
	}
	if _, ok := s.Get("key"); ok {
		t.Fatal("the old value is still there")
	}
	s.Add(strings.Repeat("k", len(large)), nil, 0, 0)
	for _, n := range []int{maxKeyLen + 1, maxKeyLen + 1 + maxShort, 1 << 24} {
		if _, ok := s.Get(strings.Repeat("k", n)); ok {
			t.Errorf("a key of %d bytes is there", n)
		}
	}
	if st := s.Stats(); st.Rejected != 2 || st.Replaced != 1 {
		t.Fatalf("%+v", st)
	}
	check(t, s)
}

// A key of any length is kept, in entries of each form, through all that happens to one.
func TestLongKeys(t *testing.T) {
	for _, n := range []int{maxShort - 1, maxShort, maxShort + 1, 1<<17 - 1, 1 << 19, 1 << 20, 1<<20 + 1, maxKeyLen} {
		for _, size := range []int{0, 100, apartFrom, 10_000} {
			for _, meta := range []uint64{0, 7} {
				var left []string
				s := newStore(t, Config{MaxBytes: 32 << 20, OnLeave: func(key string, e Entry, r Reason) {
					left = append(left, fmt.Sprint(len(key), " ", len(e.Value), " ", r))
				}})
				key, other := strings.Repeat("k", n), strings.Repeat("k", n-1)+"o"
				value := bytes.Repeat([]byte("v"), size)
				later := s.Now() + int64(time.Hour)
				for _, expires := range []int64{0, later} {
					if _, kept := s.Add(key, value, expires, meta); !kept {
						t.Fatalf("a key of %d bytes is not kept", n)
					}
					check(t, s)
				}
				s.Add(other, value, 0, 0)
				e, ok := s.Get(key)
				if !ok || e.Value != string(value) || e.Expires != later || e.Meta != meta {
					t.Fatalf("a key of %d bytes: %v, value of %d bytes, %d, %d", n, ok, len(e.Value), e.Expires, e.Meta)
				}
				if !s.Renew(key, e, later+1, meta+1) {
					t.Error("it is not renewed")
				}
				s.Range(func(k string, _ Entry) bool {
					if k != key && k != other {
						t.Errorf("a key of %d bytes came as one of %d", n, len(k))
					}
					return true
				})
				s.expireAll(later + 1<<(tickBits+1))
				if !s.Remove(other) || s.Stats().Items != 0 {
					t.Errorf("%d entries are left", s.Stats().Items)
				}
				want := []string{fmt.Sprint(n, " ", size, " replaced"), fmt.Sprint(n, " ", size, " expired"), fmt.Sprint(n, " ", size, " removed")}
				if !slices.Equal(left, want) {
					t.Errorf("what left: %q, want %q", left, want)
				}
				check(t, s)
			}
		}
	}
}

func TestOnLeaveMayCallTheStore(t *testing.T) {
	var s *Store
	again := 0
	s = newStore(t, Config{MaxBytes: 1 << 20, OnLeave: func(key string, e Entry, r Reason) {
		if again++; again < 100 {
			s.Add(key, []byte(e.Value), 0, 0)
			s.Get(key)
			s.Remove(key)
			s.Stats()
		}
	}})
	s.Add("key", []byte("value"), 0, 0)
	s.Remove("key")
	if again != 100 {
		t.Fatal(again)
	}
}

func TestP7NeverAnExpiredValue(t *testing.T) {
	for _, ttl := range []time.Duration{1, time.Millisecond, time.Second, 90 * time.Minute, 400 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			left := 0
			s := newStore(t, Config{MaxBytes: 1 << 20, OnLeave: func(key string, _ Entry, r Reason) {
				if key == "goes" && r == Expired {
					left++
				}
			}})
			s.Add("stays", nil, s.Now()+int64(2*ttl)+int64(time.Hour), 0)
			s.Add("goes", []byte("x"), s.Now()+int64(ttl), 0)
			time.Sleep(ttl - time.Nanosecond)
			if e, ok := fresh(s, "goes"); !ok || e.Expires != int64(ttl) {
				t.Errorf("%v: gone too soon: %+v", ttl, e)
			}
			time.Sleep(time.Nanosecond)
			if _, ok := fresh(s, "goes"); ok {
				t.Errorf("%v: served when it had expired", ttl)
			}
			time.Sleep(1 << tickBits)
			synctest.Wait()
			if st := s.Stats(); st.Items != 1 || st.Expired != 1 || left != 1 {
				t.Errorf("%v: has not left by itself: %+v, OnLeave %d", ttl, st, left)
			}
			check(t, s)
			s.Remove("stays")
			time.Sleep(3*ttl + 2*time.Hour)
			synctest.Wait()
			if s.alarm.next.Load() != asleep {
				t.Errorf("%v: a timer runs with nothing to do", ttl)
			}
		})
	}
}

func TestP7ExpiredIsNotAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{MaxBytes: 1 << 20})
		time.Sleep(time.Second)
		s.Add("key", []byte("old"), 0, 0)
		if e, kept := s.Add("key", []byte("new"), s.Now(), 0); kept || e.Value != "new" {
			t.Fatal(e, kept)
		}
		if _, ok := fresh(s, "key"); ok {
			t.Fatal("the old value is still there")
		}
	})
}

func TestP7ReplacementTakesItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{MaxBytes: 1 << 20})
		s.Add("longer", nil, s.Now()+int64(time.Second), 0)
		s.Add("longer", nil, s.Now()+int64(time.Hour), 0)
		s.Add("forever", nil, s.Now()+int64(time.Second), 0)
		s.Add("forever", nil, 0, 0)
		s.Add("shorter", nil, s.Now()+int64(time.Hour), 0)
		s.Add("shorter", nil, s.Now()+int64(time.Second), 0)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for key, want := range map[string]bool{"longer": true, "forever": true, "shorter": false} {
			if _, ok := fresh(s, key); ok != want {
				t.Errorf("%s: %t", key, ok)
			}
		}
		check(t, s)
	})
}

func TestStatsForRightSizing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Config{MaxBytes: 1 << 20})
		value := make([]byte, 10<<10)
		for i := 0; s.Stats().Bytes < 1<<20-int64(len(value)); i++ {
			s.Add(fmt.Sprint("first", i), value, s.Now()+int64(time.Hour), 0)
		}
		time.Sleep(time.Minute)
		for i := 0; s.Stats().Evicted == 0; i++ {
			s.Add(fmt.Sprint("second", i), value, 0, 0)
		}
		st := s.Stats()
		if st.EvictedEarly != st.Evicted {
			t.Errorf("%+v", st)
		}
		if d := st.YoungestEvicted - time.Minute; d < -1<<tickBits || d > 1<<tickBits {
			t.Errorf("youngest evicted is %v old", st.YoungestEvicted)
		}
		time.Sleep(2 * time.Duration(youngestWindow))
		if st := s.Stats(); st.YoungestEvicted != 0 {
			t.Errorf("youngest evicted is remembered for too long: %v", st.YoungestEvicted)
		}
	})
}

func TestGetAllocatesNothing(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	s.Add("plain", make([]byte, 100), 0, 0)
	s.Add("all", make([]byte, 1000), s.Now()+int64(time.Hour), 1)
	for _, key := range []string{"plain", "all", "none"} {
		if n := testing.AllocsPerRun(1000, func() { s.Get(key) }); n != 0 {
			t.Errorf("%s: %v allocations", key, n)
		}
	}
}

func TestAbandonedStoreIsCollected(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	s.Add("key", nil, s.Now()+int64(time.Hour), 0) // its timer runs
	gone := weak.Make(s)
	s = nil
	for range 10 {
		runtime.GC()
		if gone.Value() == nil {
			return
		}
	}
	t.Fatal("a timer keeps the store")
}

// A Remove comes before an AddUnless, which then sees that it is refused, or after it, and
// takes out what it added: never between its question and its answer.
func TestAddUnlessIsOneStepToRemove(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	rounds := 20_000
	if raceEnabled {
		rounds = 4000
	}
	var refusals, taken int
	for range rounds {
		var removed atomic.Bool
		var both sync.WaitGroup
		var kept, was bool
		both.Go(func() {
			_, kept = s.AddUnless(removed.Load, "key", []byte("value"), 0, 0)
		})
		both.Go(func() {
			removed.Store(true)
			was = s.Remove("key")
		})
		both.Wait()
		if _, ok := s.Get("key"); ok || kept != was {
			t.Fatalf("after Remove: there %t; added %t, removed %t", ok, kept, was)
		}
		if kept {
			taken++
		} else {
			refusals++
		}
	}
	t.Logf("%d refused, %d removed", refusals, taken)
	check(t, s)
}

// A refused value changes nothing, also one that would not be kept.
func TestAddUnlessRefused(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	s.Add("key", []byte("old"), 0, 0)
	for _, size := range []int{3, 1 << 19} {
		value := bytes.Repeat([]byte("n"), size)
		if e, kept := s.AddUnless(func() bool { return true }, "key", value, 0, 0); kept || e.Value != string(value) {
			t.Fatalf("%d bytes: kept %t, returned %d bytes", size, kept, len(e.Value))
		}
		if e, ok := s.Get("key"); !ok || e.Value != "old" {
			t.Fatalf("%d bytes: the old value is %q, %t", size, e.Value, ok)
		}
	}
	if st := s.Stats(); st.Rejected != 0 || st.Replaced != 0 {
		t.Fatalf("%+v", st)
	}
}

// After every Add, and with entries so small that bookkeeping is much of it.
func TestP5NeverOverTheBound(t *testing.T) {
	r := random(t)
	for _, max := range []int64{1, 3000, 100_000, 9 << 20} {
		s := newStore(t, Config{MaxBytes: max})
		adds := 200_000
		if raceEnabled {
			adds /= 5
		}
		for i := range adds {
			s.Add(strconv.Itoa(i), make([]byte, r.IntN(8)), int64(r.IntN(2))<<60, 0)
			if b := s.Stats().Bytes; b > max {
				t.Fatalf("%d bytes of %d after %d", b, max, i)
			}
		}
		check(t, s)
	}
}
