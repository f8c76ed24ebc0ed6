package store

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is renewed expires at its new time, not at the old one, and is announced once.
func TestP7RenewedExpiresAtItsNewTime(t *testing.T) {
	for name, c := range map[string]struct{ first, then time.Duration }{
		"longer":      {time.Second, time.Minute},
		"shorter":     {time.Minute, time.Second},
		"without end": {time.Second, 0},
		"with an end": {0, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left atomic.Int64
				s := newStore(t, Config{MaxBytes: 1 << 20, OnLeave: func(string, Entry, Reason) { left.Add(1) }})
				checkLocked := func() {
					lock(s.begun())
					defer unlock(s.begun())
					check(t, s)
				}
				at := func(d time.Duration) int64 {
					if d == 0 {
						return 0
					}
					return s.Now() + int64(d)
				}
				old, _ := s.Add("k", []byte("value"), at(c.first), 1)
				if !s.Renew("k", old, at(c.then), 2) {
					t.Fatal("not renewed")
				}
				checkLocked()
				stays := c.then
				if c.then == 0 {
					stays = time.Hour
				}
				time.Sleep(stays - 1)
				synctest.Wait()
				if e, ok := fresh(s, "k"); !ok || e.Value != "value" || e.Meta != 2 || left.Load() != 0 {
					t.Errorf("%+v, %v, and %d left: want it to be there until its new time", e, ok, left.Load())
				}
				if c.then == 0 {
					return
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if e, ok := s.Get("k"); ok || left.Load() != 1 {
					t.Errorf("%+v, %v, and %d left: want it to be gone", e, ok, left.Load())
				}
				checkLocked()
			})
		})
	}
}

// An entry can be renewed once: the one that took its place is another.
func TestRenewIsForTheEntryThatIsThere(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	old, _ := s.Add("k", []byte("value"), 0, 1)
	past := s.Now()
	if s.Renew("k", old, past, 2) {
		t.Error("renewed until a time that is over")
	}
	if e, ok := s.Peek("k"); !ok || e != old {
		t.Errorf("%+v, %v: want %+v", e, ok, old)
	}
	s.Add("k", []byte("value"), 0, 3) // the same bytes
	if s.Renew("k", old, 0, 2) || s.Renew("unknown", old, 0, 2) {
		t.Error("an entry that is not there was renewed")
	}
	if e, _ := s.Peek("k"); e.Meta != 3 {
		t.Errorf("meta %d, want 3", e.Meta)
	}
	check(t, s)
}

// Renewals of many entries keep a store within its bound and its parts in order.
func TestP5RenewStaysWithinTheBound(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 64 << 10})
	r := random(t)
	for i := range 20000 {
		key := fmt.Sprint(r.IntN(1000))
		e, ok := s.Peek(key)
		switch {
		case !ok:
			s.Add(key, make([]byte, r.IntN(200)), 0, 0)
		default:
			// With an expiry and meta it takes more memory than without.
			s.Renew(key, e, int64(r.IntN(2))*(s.Now()+int64(time.Hour)), uint64(r.IntN(2)))
		}
		if i%500 == 0 {
			check(t, s)
		}
	}
	check(t, s)
}

// Peek is no use of an entry: what is only peeked at leaves as if nobody had asked.
func TestPeekIsNoUse(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 1 << 20})
	s.Add("k", []byte("value"), 0, 7)
	for range 10 {
		if got, ok := s.Peek("k"); !ok || got.Value != "value" || got.Meta != 7 {
			t.Fatalf("%+v, %v", got, ok)
		}
	}
	if _, ok := s.Peek("unknown"); ok {
		t.Error("what is not there was seen")
	}
	count := func() (n uint32) {
		for _, entry := range checkTable(t, first(s).table) {
			n = entry.count()
		}
		return n
	}
	if n := count(); n != 0 {
		t.Errorf("it counts %d uses after Peek", n)
	}
	s.Get("k")
	if n := count(); n != 1 {
		t.Errorf("it counts %d uses after Get, want 1", n)
	}
}

// Range comes to every entry that is there from its beginning to its end, even if the
// store changes between.
func TestRangeMissesNothingThatStays(t *testing.T) {
	s := newStore(t, Config{MaxBytes: 16 << 20})
	const stay = 5000
	for i := range stay {
		s.Add(fmt.Sprint("stays", i), []byte("v"), 0, 0)
	}
	seen := map[string]bool{}
	s.Range(func(key string, e Entry) bool {
		if e.Value != "v" && e.Value != "comes" {
			t.Errorf("%s has %q", key, e.Value)
		}
		seen[key] = true
		if n := len(seen); n < 2000 { // overflow buckets come and go
			s.Add(fmt.Sprint("comes", n), []byte("comes"), 0, 0)
			s.Remove(fmt.Sprint("comes", n-5))
		}
		return true
	})
	missed := 0
	for i := range stay {
		if !seen[fmt.Sprint("stays", i)] {
			missed++
		}
	}
	if missed != 0 {
		t.Errorf("%d of %d entries were missed", missed, stay)
	}
}
