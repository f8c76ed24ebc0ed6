package store

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A million entries expire in the same instant: no Get and no Add waits for all of them.
func TestP7AMillionExpireAtOnce(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceEnabled {
		n = 50_000
	}
	samples := n / 16
	s := newStore(t, Config{MaxBytes: 1 << 30})
	for i := range 10_000 {
		s.Add(fmt.Sprint("stay", i), make([]byte, 100), 0, 0)
	}
	at := s.Now() + int64(time.Hour) // none expires by itself, however slow the machine is
	for i := range n {
		s.Add(fmt.Sprint("goes", i), make([]byte, 100), at, 0)
	}
	// The moment of expiry is brought about by the test, so that the quiet is as long as it needs.
	runtime.GC()
	quiet := timed(s, samples, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.expireAll(at + 1<<tickBits)
	}()
	busy := timed(s, samples, done)
	<-done
	if st := s.Stats(); st.Expired < int64(n) {
		t.Fatalf("%d have expired", st.Expired)
	}
	check(t, s)
	for i, what := range []string{"Get", "Add"} {
		p50, p99 := quiet[i][len(quiet[i])/2], quiet[i][len(quiet[i])*99/100]
		b50, b99 := busy[i][len(busy[i])/2], busy[i][len(busy[i])*99/100]
		t.Logf("%s: quiet p50 %v p99 %v max %v; while %d expire p50 %v p99 %v max %v (%d samples)", what,
			p50, p99, quiet[i][len(quiet[i])-1], n, b50, b99, busy[i][len(busy[i])-1], len(busy[i]))
		// A busy machine's noise is larger than the promise, and a writer waits its turn for a
		// processor; a scan of all under the lock is larger than both.
		noise := []time.Duration{2 * time.Millisecond, 20 * time.Millisecond}[i]
		if raceEnabled {
			noise *= 10
		}
		if limit := max(3*p99, noise); b99 > limit {
			t.Errorf("%s: p99 is %v while a million expire, quiet %v", what, b99, p99)
		}
	}
}

// expireAll is sweep with a clock that says at.
func (s *Store) expireAll(at int64) {
	for i := range s.begun() {
		for s.begun()[i].sweepSome(at, s) {
			runtime.Gosched()
		}
	}
}

// timed times Gets, and Adds between them, until done is closed or, if it is nil, n times.
func timed(s *Store, n int, done chan struct{}) (took [2][]time.Duration) {
	for i := 0; ; i++ {
		select {
		case <-done:
			n = 0
		default:
		}
		if i >= n && (done == nil || n == 0) {
			break
		}
		start := time.Now()
		if i%16 == 0 {
			s.Add(fmt.Sprint("stay", i%10_000), nil, 0, 0)
			took[1] = append(took[1], time.Since(start))
		} else {
			s.Get(fmt.Sprint("stay", i%10_000))
			took[0] = append(took[0], time.Since(start))
		}
	}
	slices.Sort(took[0])
	slices.Sort(took[1])
	return took
}

// What expires at the very end of the clock stays, and keeps no other entry from leaving by
// itself.
func TestP7ExpiryAtTheEndOfTheClock(t *testing.T) {
	for _, last := range []int64{math.MaxInt64, math.MaxInt64 - 1<<tickBits + 1, math.MaxInt64 - 1<<tickBits, math.MaxInt64 - 1<<(tickBits+1)} {
		synctest.Test(t, func(t *testing.T) {
			s := newStore(t, Config{MaxBytes: 1 << 20})
			time.Sleep(time.Minute)
			s.Add("last", nil, last, 0)
			for i := range 10 {
				s.Add(fmt.Sprint(i), nil, s.Now()+int64(time.Second), 0)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if n := s.Stats().Items; n != 1 {
				t.Errorf("with one that expires %d ns before the clock's end: %d entries when the others have expired, want 1", math.MaxInt64-last, n)
			}
			check(t, s)
		})
	}
}

// A bound of all bytes there can be is one, and epochs have their length.
func TestSizesSaturate(t *testing.T) {
	for _, c := range []struct{ n, by, of, want int64 }{
		{0, 1, 1, 0}, {10, 100, 7, 142}, {1 << 40, 1 << 40, 1 << 41, 1 << 39}, {math.MaxInt64, math.MaxInt64, 1, math.MaxInt64},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}, {3, math.MaxInt64, 1, math.MaxInt64}, {3, math.MaxInt64, 3, math.MaxInt64},
	} {
		if got := scale(c.n, c.by, c.of); got != c.want {
			t.Errorf("%d * %d / %d = %d, want %d", c.n, c.by, c.of, got, c.want)
		}
	}
	s := newSharded(Config{MaxBytes: math.MaxInt64}, 1)
	epoch := first(s).table.epoch.Load()
	for i := range 1000 {
		s.Add(fmt.Sprint(i), make([]byte, 100), 0, 0)
	}
	if now := first(s).table.epoch.Load(); s.Stats().Items != 1000 || now != epoch {
		t.Errorf("%d entries of 1000, %d epochs: want all, and none", s.Stats().Items, now-epoch)
	}
	check(t, s)
}
