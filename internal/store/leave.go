package store

// departures are the entries that left while the lock was held. They are collected only if there is
// an OnLeave, which is called with them after the lock is released.
type departures []departure

// departure is an entry that left, and why.
type departure struct {
	e      *entry
	reason Reason
}

// announce calls OnLeave for gone. The caller holds no lock.
func (s *Store) announce(gone departures) {
	for _, d := range gone {
		s.config.OnLeave(d.e.key(), d.e.view(), d.reason)
	}
}

// leave takes e, which eviction has forgotten, out of the wheel and the table. It returns why e
// left: r, or Expired. The caller holds s.mu.
func (s *shard) leave(e *entry, r Reason, now int64, gone *departures) Reason {
	if e.expires() != 0 {
		s.wheel.remove(e)
	}
	return s.drop(e, r, now, gone)
}

// drop takes e, which eviction and the wheel have forgotten, out of the table. It returns why e
// left. The caller holds s.mu.
func (s *shard) drop(e *entry, r Reason, now int64, gone *departures) Reason {
	t := s.table
	born := t.ids.member(e.id).born
	s.bytes -= e.bytes()
	t.remove(e)
	r = s.left(e, r, now, gone)
	if r == Evicted {
		s.tally.youngest.record(now, ageOf(born, now))
		if e.expires() != 0 {
			s.tally.evictedEarly++
		}
	}
	return r
}

// left counts that e has left, and adds it to gone. It returns why e left. The caller holds s.mu.
func (s *shard) left(e *entry, r Reason, now int64, gone *departures) Reason {
	if expires := e.expires(); expires != 0 && expires <= now {
		r = Expired
	}
	s.tally.left[r]++
	if s.store.config.OnLeave != nil {
		*gone = append(*gone, departure{e, r})
	}
	return r
}

// bornAt returns a time as 32 bits, which hold two years of ticks. ageOf returns the age of an
// entry that was added at such a time. An entry that is older than two years counts as younger.
func bornAt(now int64) uint32 { return uint32(now >> tickBits) }

func ageOf(born uint32, now int64) int64 { return int64(bornAt(now)-born) << tickBits }
