package store

import (
	"runtime"
	"time"
	"weak"
)

// departures are entries that left while the lock was held, to be announced when it is not.
// They are collected only if somebody wants to hear of them.
type departures []departure

type departure struct {
	e      *entry
	reason Reason
}

func (s *Store) announce(gone departures) {
	for _, d := range gone {
		s.config.OnLeave(d.e.key(), d.e.view(), d.reason)
	}
}

// leave takes e, which the policy has forgotten, out of wheel and table. The lock is held.
func (s *Store) leave(e *entry, r Reason, now int64, gone *departures) Reason {
	if e.expires() != 0 {
		s.wheel.remove(e)
	}
	return s.drop(e, r, now, gone)
}

// drop takes e, which policy and wheel have forgotten, out of the table. The lock is held.
func (s *Store) drop(e *entry, r Reason, now int64, gone *departures) Reason {
	t := s.table.Load()
	born := t.ids.member(e.id).born
	s.bytes -= e.bytes()
	t.remove(e)
	r = s.left(e, r, now, gone)
	if r == Evicted {
		s.tally.youngest.note(now, ageOf(born, now))
		if e.expires() != 0 {
			s.tally.evictedEarly++
		}
	}
	return r
}

// left counts and notes that e has left. The lock is held.
func (s *Store) left(e *entry, r Reason, now int64, gone *departures) Reason {
	if expires := e.expires(); expires != 0 && expires <= now {
		r = Expired
	}
	s.tally.left[r]++
	if s.config.OnLeave != nil {
		*gone = append(*gone, departure{e, r})
	}
	return r
}

// bornAt and ageOf keep a time in 32 bits, which hold two years of ticks: an entry that is
// older than that when it is evicted counts as younger.
func bornAt(now int64) uint32 { return uint32(now >> tickBits) }

func ageOf(born uint32, now int64) int64 { return int64(bornAt(now)-born) << tickBits }

// arm sees to it that sweep runs when the wheel is due. The lock is held.
func (s *Store) arm(now int64) {
	due, ok := s.wheel.due()
	if !ok || due >= s.armed {
		return
	}
	s.armed = due
	wait := time.Duration(max(due-now, 0))
	if s.timer != nil {
		s.timer.Reset(wait)
		return
	}
	// The timer must not keep a store alive that nobody else does.
	self := weak.Make(s)
	s.timer = time.AfterFunc(wait, func() {
		if s := self.Value(); s != nil {
			s.sweep()
		}
	})
}

// sweep lets entries leave that have expired, a few in each hold of the lock.
func (s *Store) sweep() {
	for s.sweepSome(s.Now()) {
		runtime.Gosched()
	}
}

// sweepSome does some steps of a sweep, and tells whether there are more.
func (s *Store) sweepSome(now int64) bool {
	var gone departures
	s.mu.Lock()
	s.armed = sweeping
	steps := sweepSteps
	for e := s.wheel.expired(now, &steps); e != nil; e = s.wheel.expired(now, &steps) {
		s.policy.remove(e)
		s.drop(e, Expired, now, &gone)
	}
	more := steps == 0
	if !more {
		s.armed = asleep
		s.arm(now)
	}
	s.mu.Unlock()
	s.announce(gone)
	return more
}
