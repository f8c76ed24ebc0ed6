package store

import "time"

// Reason says why an entry left.
type Reason uint8

const (
	Evicted  Reason = iota // there was no room for it
	Expired                // its time had come; an expired entry leaves for no other reason
	Removed                // Remove or Clear
	Replaced               // another value of its key was added
	reasons
)

func (r Reason) String() string {
	return [...]string{"evicted", "expired", "removed", "replaced"}[r]
}

// Stats are a store's figures. Counts are exact, and since New.
type Stats struct {
	Items int64 // entries, with those that have expired within the last tick
	Bytes int64 // the heap that entries and bookkeeping take

	Evicted, Expired, Removed, Replaced int64 // entries that left, by reason

	// Rejected counts values that were not kept because they were too large.
	Rejected int64
	// EvictedEarly counts those of Evicted that had an expiry: they were still fresh. If
	// there are many, the cache is smaller than the expiry asks for.
	EvictedEarly int64
	// YoungestEvicted is how long the entry that was evicted soonest after it was added had
	// been there, of those evicted in the last ten to twenty minutes; 0: none was. To within a tick.
	YoungestEvicted time.Duration
}

// tally holds the figures that are counted under the store's lock.
type tally struct {
	left         [reasons]int64
	rejected     int64
	evictedEarly int64
	youngest     youngest
}

// youngest keeps the least age of this window and the one before.
type youngest struct {
	window int64
	ages   [2]int64 // of this window and the one before; 0: none
}

const youngestWindow = int64(10 * time.Minute)

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

func (y *youngest) note(now, age int64) {
	y.turn(now)
	if y.ages[0] == 0 || age < y.ages[0] {
		y.ages[0] = max(age, 1)
	}
}

func (y *youngest) get(now int64) time.Duration {
	y.turn(now)
	if y.ages[0] == 0 || y.ages[1] != 0 && y.ages[1] < y.ages[0] {
		return time.Duration(y.ages[1])
	}
	return time.Duration(y.ages[0])
}
