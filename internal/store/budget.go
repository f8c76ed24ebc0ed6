package store

import "sync/atomic"

// A budget is the one bound of all shards. A shard takes bytes from it when it has more to keep, and
// gives back what it does not need. When nothing is free, each shard makes room among its own
// entries. So a shard keeps what it needed while there was room.
//
// The invariant: free, the grants of all shards, and what is on its way from one to another, are
// max together. Bytes are subtracted where they come from before they are added where they go.
type budget struct {
	shards int   // a power of two
	max    int64 // Config.MaxBytes
	share  int64 // of max, for one shard, if all have the same
	first  int64 // what a shard is granted from the start
	step   int64 // what a shard takes at a time, and may have without use
	least  int64 // a shard with less may take from another one
	large  int64 // an entry of more takes its room from several shards

	_    [128]byte    // keeps free, which writers write, away from what they only read
	free atomic.Int64 // see the invariant
	_    [120]byte
}

const (
	// A step is 1/stepPart of a shard's share: so much of the bound may be of no use at a time.
	stepPart = 64
	// leastPart: a shard with less than 1/leastPart of its share takes from the largest one. Few
	// and large entries are not spread evenly over the shards, and a shard that was empty when
	// the others took everything must not stay so. It must not be much more, or large values
	// that the bound has room for would make the shards take from each other all the time.
	leastPart = 2
	// largePart: an entry of more than 1/largePart of a shard's share takes its room from others.
	largePart = 4
	// reserveRounds is how often such an entry asks for room, for each shard.
	reserveRounds = 4
)

func (b *budget) init(max int64, shards int) {
	b.shards, b.max, b.share = shards, max, max/int64(shards)
	b.step, b.first, b.large = max, max, max // one shard has it all
	if shards > 1 {
		b.step = b.share / stepPart
		b.first = b.step
		b.least = b.share / leastPart
		b.large = b.share / largePart
	}
	b.free.Store(max - int64(shards)*b.first)
}

// take takes at least want bytes, and a step if there are so many. It returns zero if there are not
// even want.
func (b *budget) take(want int64) int64 {
	for {
		free := b.free.Load()
		if free < want {
			return 0
		}
		some := min(free, max(want, b.step))
		if b.free.CompareAndSwap(free, free-some) {
			return some
		}
	}
}

// grow gives s a larger grant, by over bytes at least, and reports whether there were so many. The
// caller holds s.mu.
func (s *shard) grow(over, now int64, gone *departures) bool {
	some := s.store.budget.take(over)
	if some == 0 && s.grant.Load() < s.store.budget.least {
		some = s.takeFromLargest(over, now, gone)
	}
	s.grant.Add(some)
	return some > 0
}

// takeFromLargest takes bytes from the shard that has the most. It returns zero if that is in use:
// to wait for one shard with another one locked could wait for ever. The caller holds s.mu.
func (s *shard) takeFromLargest(want, now int64, gone *departures) int64 {
	largest := s.store.largest()
	if largest == s || !largest.mu.TryLock() {
		return 0
	}
	defer largest.mu.Unlock()
	some := largest.give(want, now, gone)
	if some < want {
		s.store.budget.free.Add(some)
		return 0
	}
	return some
}

// largest returns the shard with the largest grant.
func (s *Store) largest() *shard {
	shards := s.begun()
	largest := &shards[0]
	for i := range shards {
		if shard := &shards[i]; shard.grant.Load() > largest.grant.Load() {
			largest = shard
		}
	}
	return largest
}

// give evicts entries until it can return want bytes of the grant, and returns them, or less if
// there are not so many. The caller holds s.mu.
func (s *shard) give(want, now int64, gone *departures) int64 {
	steps := addSteps
	for s.grant.Load()-s.used() < want {
		room := s.grant.Load() - want - (s.metadata() - s.base)
		if !s.evict(max(room, 0), &steps, now, gone) {
			break
		}
	}
	some := max(min(want, s.grant.Load()-s.used()), 0)
	s.grant.Add(-some)
	return some
}

// returnSpare gives back what is more than a step beyond use, if it is worth it. The caller holds
// s.mu.
func (s *shard) returnSpare() {
	step := s.store.budget.step
	if spare := s.grant.Load() - s.used(); spare/2 > step {
		s.grant.Add(step - spare)
		s.store.budget.free.Add(spare - step)
	}
}

// reserve takes bytes for an entry that is large for one shard, which would lose most of its other
// entries for it. It takes them from the shards that have the most, whose grants so stay alike. It
// returns zero for other entries, and if there is not enough. The caller holds no lock.
func (s *Store) reserve(bytes, now int64, gone *departures) (got int64) {
	b := &s.budget
	if bytes <= b.large {
		return 0
	}
	for range reserveRounds * b.shards {
		if got += b.take(bytes - got); got >= bytes {
			return got
		}
		shard := s.largest()
		shard.mu.Lock()
		got += shard.give(min(bytes-got, shard.grant.Load()/2), now, gone)
		shard.mu.Unlock()
		if got >= bytes {
			return got
		}
	}
	b.free.Add(got)
	return 0
}
