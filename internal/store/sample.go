package store

import (
	"cmp"
	"math"
	"slices"
)

// A sample is those of the store's entries whose keys the shadows are asked for: all whose hash
// is below a limit. It knows the marks that it saw last, by id.
//
// Hits leave no record but the mark. So once in each epoch the sampled entries are looked
// through: those that were hit since are requests the shadows have not seen yet. That their
// order within the epoch is lost costs little.
type sample struct {
	index
	table *table
	limit uint32 // of 32 bits of the hash
	max   int    // entries that a shadow may have
	size  int    // and has; 0: there are no shadows yet
	next  int    // the slot that is looked at next; len(slots): none until the epoch ends
}

const (
	shadowMax = 512 // entries of a shadow, at most
	shadowMin = 8   // a smaller cache has nothing to learn from
	// shadowBytes is about what one entry in each shadow takes, with its part of the sample.
	shadowBytes = 192
	// shadowPart: the shadows take at most 1/shadowPart of MaxBytes.
	shadowPart = 5
	// lookSteps is how many slots an add looks at: few, so that none takes long, and enough
	// that hits are seen early in the next epoch also if the cache is small. 32 cost 0.7 points
	// of hit ratio at a thousand entries.
	lookSteps = 256
)

func newSample(t *table, maxBytes int64) sample {
	s := sample{table: t, limit: math.MaxUint32, max: int(min(maxBytes/shadowPart/shadowBytes, shadowMax))}
	if s.max < shadowMin {
		s.max, s.limit = 0, 0
	}
	s.index = newIndex(min(2*s.max, firstSample))
	s.next = len(s.slots)
	return s
}

// firstSample is for how many entries a sample has room at first.
const firstSample = 16

// fit makes room for one more entry.
func (s *sample) fit() {
	if s.n < len(s.slots)/2 || len(s.slots) >= indexLen(2*s.max) {
		return
	}
	slots, ended := s.slots, s.next >= len(s.slots)
	s.index = newIndex(len(slots))
	for _, in := range slots {
		if in.key != 0 {
			s.put(in.key, in.value)
		}
	}
	if ended {
		s.next = len(s.slots)
	}
}

// drawn returns the bits of a hash that decide. Neither the place in the sketch nor that in
// the table depends on them alone.
func drawn(hash uint64) uint32 { return uint32(hash >> 20) }

func (s *sample) admits(hash uint64) bool { return drawn(hash) < s.limit }

// add takes in e, which is admitted. If there are too many, half of them are let go.
func (s *sample) add(e *entry) {
	s.fit()
	s.put(e.id, e.mark())
	for s.n > 2*s.max-1 {
		s.shrink(s.limit / 2)
	}
}

func (s *sample) shrink(limit uint32) {
	s.limit = limit
	slots := s.slots
	s.index = newIndex(2 * s.max)
	for _, in := range slots {
		if in.key != 0 && s.admits(s.table.hashOf(s.table.entry(in.key))) {
			s.put(in.key, in.value)
		}
	}
}

// remove takes out e, which leaves, and tells whether it was hit since it was looked at.
func (s *sample) remove(e *entry) bool {
	mark, ok := s.take(e.id)
	return ok && hitSince(e.mark(), mark)
}

// scale keeps the sample in step with the number of entries, which the bytes do not tell.
func (s *sample) scale(items int64) {
	s.limit = uint32(min(1, float64(s.size)/float64(max(items, 1))) * math.MaxUint32)
}

// outgrown tells whether shadows should be made anew: there can be more entries in them.
func (s *sample) outgrown(items int64) bool {
	return s.size < s.max && items >= 2*int64(s.size)
}

// begin cuts the sample to what a shadow will hold, and returns how many that is; 0 is none.
func (s *sample) begin(items int64) int {
	size := min(s.max, int(items))
	if size < shadowMin {
		return 0
	}
	s.size = size
	s.scale(items)
	s.shrink(s.limit)
	return size
}

// turn is called when an epoch ends: what was hit in it is to be looked for.
func (s *sample) turn(items int64) {
	if s.next >= len(s.slots) {
		s.next = 0
	}
	if s.size > 0 {
		s.scale(items)
	}
}

// look goes on looking for hits, and tells whether it has come to the end.
func (s *sample) look(hit func(hash uint64)) bool {
	if s.next >= len(s.slots) {
		return false
	}
	for end := min(s.next+lookSteps, len(s.slots)); s.next < end; s.next++ {
		in := &s.slots[s.next]
		if in.key == 0 {
			continue
		}
		e := s.table.entry(in.key)
		mark := e.mark()
		if hitSince(mark, in.value) {
			hit(s.table.hashOf(e))
		}
		in.value = mark
	}
	return s.next >= len(s.slots)
}

// byAge returns the ids in the sample, the oldest first, if nothing has left yet.
func (s *sample) byAge() []indexed {
	ids := slices.DeleteFunc(slices.Clone(s.slots), func(in indexed) bool { return in.key == 0 })
	slices.SortFunc(ids, func(a, b indexed) int { return cmp.Compare(a.key, b.key) })
	return ids
}
