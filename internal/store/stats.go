package store

import (
	"time"

	"github.com/peercache/peercache/lru"
)

// Reason says why an entry left.
type Reason = lru.Reason

// The reasons. An expired entry leaves as Expired whatever removes it.
const (
	Evicted  = lru.Evicted  // to make room
	Expired  = lru.Expired  // its time was over
	Removed  = lru.Removed  // by Remove or Clear
	Replaced = lru.Replaced // by another value of its key
)

// reasons is how many reasons there are.
const reasons = Replaced + 1

// Stats are a store's figures. Counts are exact, and since New.
type Stats struct {
	Items int64 // entries, with those that have expired within the last tick
	Bytes int64 // the heap that entries and bookkeeping take

	Evicted, Expired, Removed, Replaced int64 // entries that left, by reason

	// Rejected counts values that were not kept because they were too large.
	Rejected int64
	// EvictedEarly counts those of Evicted that had an expiry, and were still fresh. If there
	// are many, the cache is too small for the lifetime of its values.
	EvictedEarly int64
	// YoungestEvicted is the age of the youngest entry that was evicted within the last ten to
	// twenty minutes, to within a tick. Zero means that none was.
	YoungestEvicted time.Duration
}

// add adds the figures of another shard.
func (s *Stats) add(o Stats) {
	s.Items += o.Items
	s.Bytes += o.Bytes
	s.Evicted += o.Evicted
	s.Expired += o.Expired
	s.Removed += o.Removed
	s.Replaced += o.Replaced
	s.Rejected += o.Rejected
	s.EvictedEarly += o.EvictedEarly
	if o.YoungestEvicted != 0 && (s.YoungestEvicted == 0 || o.YoungestEvicted < s.YoungestEvicted) {
		s.YoungestEvicted = o.YoungestEvicted
	}
}

// tally holds the figures that are counted under a shard's lock.
type tally struct {
	left         [reasons]int64
	rejected     int64
	evictedEarly int64
	youngest     youngest
}

// youngest keeps the least age of an evicted entry in this window of time and in the one before.
type youngest struct {
	window int64
	ages   [2]int64 // of this window and the one before; 0: none
}

const youngestWindow = int64(10 * time.Minute)

// turn begins a new window if it is time.
func (y *youngest) turn(now int64) {
	w := now / youngestWindow
	if w == y.window {
		return
	}
	if w == y.window+1 {
		y.ages[1] = y.ages[0]
	} else {
		y.ages[1] = 0
	}
	y.ages[0], y.window = 0, w
}

// record records that an entry of that age was evicted.
func (y *youngest) record(now, age int64) {
	y.turn(now)
	if y.ages[0] == 0 || age < y.ages[0] {
		y.ages[0] = max(age, 1)
	}
}

// get returns the least age of both windows, or 0.
func (y *youngest) get(now int64) time.Duration {
	y.turn(now)
	if y.ages[0] == 0 || y.ages[1] != 0 && y.ages[1] < y.ages[0] {
		return time.Duration(y.ages[1])
	}
	return time.Duration(y.ages[0])
}
