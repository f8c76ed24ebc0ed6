package store

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// sweepSteps bounds how many steps of the wheel a sweep takes while it holds a shard's lock.
const sweepSteps = 128

// An alarm is the one timer of all shards. It runs only while something can expire.
type alarm struct {
	// next is when the timer will run sweep, on the store's clock, or asleep. It is written with
	// mu held, and read without.
	next atomic.Int64

	mu sync.Mutex // locked with a shard's lock held, never the other way round
	// The fields below are guarded by mu.
	timer    *time.Timer
	sweeping bool // sweep runs
	again    bool // the timer ran meanwhile
}

const asleep = int64(1<<63 - 1) // alarm.next: no timer runs

func (a *alarm) init() { a.next.Store(asleep) }

// arm sets the timer to run sweep when the shard's wheel is due, if it would not run before. The
// caller holds s.mu.
func (s *shard) arm(now int64) {
	if due, ok := s.wheel.due(); ok && due < s.store.alarm.next.Load() {
		s.store.setAlarm(due, now)
	}
}

// setAlarm sets the timer to run sweep at due, if it would not run before.
func (s *Store) setAlarm(due, now int64) {
	a := &s.alarm
	a.mu.Lock()
	defer a.mu.Unlock()
	if due >= a.next.Load() {
		return
	}
	a.next.Store(due)
	wait := time.Duration(max(due-now, 0))
	if a.timer != nil {
		a.timer.Reset(wait)
		return
	}
	// The timer must not keep a store alive that is not used any more.
	self := weak.Make(s)
	a.timer = time.AfterFunc(wait, func() {
		if s := self.Value(); s != nil {
			s.sweep()
		}
	})
}

// sweep removes the entries that have expired, a few at a time under a lock. From its beginning on,
// what is added sets the alarm anew, and so does each shard that is swept: a shard whose entries are
// due later than those that were added meanwhile changes nothing.
func (s *Store) sweep() {
	for s.alarm.begin() {
		shards := s.all()
		for i := range shards {
			for shards[i].sweepSome(s.Now(), s) {
				runtime.Gosched()
			}
		}
		if s.alarm.end() {
			return
		}
	}
}

// begin reports whether the caller is to sweep. One goroutine does at a time.
func (a *alarm) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next.Store(asleep)
	a.again = a.sweeping
	a.sweeping = true
	return !a.again
}

// end ends a sweep, and reports whether it was enough.
func (a *alarm) end() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweeping = false
	return !a.again
}

// sweepSome does some steps of a sweep, and reports whether there are more.
func (s *shard) sweepSome(now int64, of *Store) bool {
	var gone departures
	s.mu.Lock()
	steps := sweepSteps
	for e := s.wheel.expired(now, &steps); e != nil; e = s.wheel.expired(now, &steps) {
		s.eviction.remove(e)
		s.drop(e, Expired, now, &gone)
	}
	more := steps == 0
	if !more {
		s.arm(now)
	}
	s.returnSpare()
	s.mu.Unlock()
	of.announce(gone)
	return more
}
