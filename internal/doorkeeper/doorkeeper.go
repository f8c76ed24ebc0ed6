// Package doorkeeper decides which values that other peers own are worth a copy.
//
// Most values that are fetched are not asked for again before a copy of them would have to leave. A
// copy of such a value costs memory, a lock, the eviction of another one, and a lease at its owner,
// for nothing. So a doorkeeper stands before the cache (Einziger, Friedman, Manes: TinyLFU, 2017).
// It counts the fetches of each key, and lets in a key that was fetched often enough lately.
//
// How often that is, the threshold, follows the load: see Door.adapt.
package doorkeeper

import (
	"hash/maphash"
	"sync/atomic"
)

// Share is the part of the bytes of a cache for copies that its Door takes.
const Share = 1.0 / 64

const (
	// While the cache has room, a key is let in with its fetch number lowest. The threshold is
	// never higher than highest, so a key that becomes hot is let in within so many fetches.
	lowest  = 2
	highest = most
	// window is after how many fetches the threshold is looked at.
	window = 1024
	// fewAdmitted is how many keys may be let in in a window without a doubt: so few copies cost
	// next to nothing, and without any it would not be known whether they pay.
	fewAdmitted = window / 64
	// quietWindows is after how many such windows the threshold falls. Where no key is more popular
	// than others, a step down may let in a third of all, and is taken back in the next window.
	quietWindows = 8
	// trialEvery is which of the copies are on trial: one in so many. fewestTrials is how many must
	// have been before their number says anything.
	trialEvery   = 4
	fewestTrials = 32
	// fewPass and allPass are the part of the trials below which the threshold rises, and above
	// which it falls. A copy pays if it is hit once, but it takes the place of another one. So
	// nearly all should be hit: in a steady load, the cost of all Gets is least then.
	fewPass, allPass = 7.0 / 8, 31.0 / 32
)

// Figures are those of the cache for copies, since it was made.
type Figures struct {
	// Room says that the cache has room for more copies.
	Room bool
	// Items are the copies that the cache has. They may be unknown, and so zero.
	Items int64
	// Evictions are the copies that have left to make room for others. They may be unknown, and so
	// zero.
	Evictions int64
}

// A Door decides which keys are worth a copy. Its methods may be called concurrently, and take no
// lock. It is made by New.
type Door struct {
	seed   maphash.Seed
	blocks int
	sketch atomic.Pointer[sketch] // nil until the first fetch: a process that fetches nothing pays nothing
	look   func() Figures

	threshold atomic.Uint64
	fetches   atomic.Uint64
	admitted  atomic.Int64 // since adapt ran last
	copies    atomic.Uint64
	// Copies on trial, and those of them that were hit, since adapt last decided by them.
	trials, passed atomic.Int64

	adapting atomic.Bool // set by the goroutine that is in adapt
	// These are of the goroutine that has set adapting.
	evictions int64 // when adapt ran last
	quiet     int   // windows with few keys let in, since adapt last made a decision
}

// New returns a Door that takes about bytes of memory, and at least a cache line. look returns the
// figures of the cache. It is called now and then by a goroutine that calls Worth, by one at a
// time. A nil look means that there is no cache: then the threshold is the highest.
func New(bytes int64, look func() Figures) *Door {
	d := &Door{seed: maphash.MakeSeed(), blocks: int(max(1, bytes/blockBytes)), look: look}
	d.threshold.Store(lowest)
	if look == nil {
		d.threshold.Store(highest)
	}
	return d
}

// Worth counts a fetch of key that begins, and reports whether a copy of its value pays.
func (d *Door) Worth(key string) bool {
	s := d.sketch.Load()
	if s == nil {
		d.sketch.CompareAndSwap(nil, newSketch(d.blocks))
		s = d.sketch.Load()
	}
	worth := s.count(maphash.String(d.seed, key)) >= d.threshold.Load()
	if d.fetches.Add(1)%window == 0 && d.look != nil && d.adapting.CompareAndSwap(false, true) {
		d.adapt()
	}
	return worth
}

// Admit counts a key that is let in. Callers who join the fetch of another one are not counted.
func (d *Door) Admit() { d.admitted.Add(1) }

// Trial counts a copy that is made, and reports whether it is on trial. If so, Pass is called when
// it is hit for the first time.
func (d *Door) Trial() bool {
	if d.copies.Add(1)%trialEvery != 0 {
		return false
	}
	d.trials.Add(1)
	return true
}

// Pass counts a copy on trial that was hit.
func (d *Door) Pass() { d.passed.Add(1) }

// adapt lets the threshold follow the load.
//
// It is the lowest while the cache has room. Else it rises as long as too many copies leave without
// a hit, and falls when all are hit, or hardly any are made.
func (d *Door) adapt() {
	defer d.adapting.Store(false)
	now, admitted := d.look(), d.admitted.Swap(0)
	room := now.Room && now.Evictions == d.evictions
	d.evictions = now.Evictions
	if room {
		now.Items = 0 // there will be more of them
	}
	d.sketch.Load().fit(now.Items)
	trials, passed := d.trials.Load(), d.passed.Load()
	threshold := d.threshold.Load()
	switch {
	case room:
		threshold = lowest
	case admitted < fewAdmitted:
		if d.quiet++; d.quiet < quietWindows {
			return
		}
		threshold = max(threshold-1, lowest)
	case trials < fewestTrials:
		return
	case float64(passed) < fewPass*float64(trials):
		threshold = min(threshold+1, highest)
	case float64(passed) > allPass*float64(trials):
		threshold = max(threshold-1, lowest)
	}
	d.threshold.Store(threshold)
	d.quiet = 0
	d.trials.Add(-trials)
	d.passed.Add(-passed)
}
