package store

import (
	"cmp"
	"math"
	"slices"
)

// A sample has those of the store's entries whose keys the shadows get: all whose hash is below a
// limit. It has the mark of each that it saw last, by id.
//
// Hits leave no record but the mark. So once in each epoch the sample looks through its entries:
// those that were hit since are requests that the shadows have not seen yet. Their order within the
// epoch is lost, which costs little.
type sample struct {
	index
	table *table
	limit uint32 // for 32 bits of the hash
	max   int    // how many entries a shadow may have
	size  int    // how many entries each shadow has; 0: there are no shadows yet
	next  int    // the slot that is looked at next; len(slots): none until the epoch ends
}

const (
	shadowMax = 512 // the most entries of a shadow
	shadowMin = 8   // the fewest: a smaller cache has nothing to learn from
	// shadowBytes is about what one entry in each shadow takes, with its part of the sample.
	shadowBytes = 192
	// shadowPart: the shadows take at most 1/shadowPart of MaxBytes.
	shadowPart = 5
	// lookSteps is how many slots an add looks at: few, so that no add takes long, but enough
	// to see the hits early in the next epoch in a small cache, too. With 32, the hit ratio of
	// a thousand entries is 0.7 points lower.
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

// firstSample is how many entries a new sample has room for.
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

// drawn returns the bits of a hash that decide whether its key is in the sample. Neither the place
// in the sketch nor that in the table depends on these bits alone.
func drawn(hash uint64) uint32 { return uint32(hash >> 20) }

// admits reports whether the key of hash is in the sample.
func (s *sample) admits(hash uint64) bool { return drawn(hash) < s.limit }

// add adds e, which is admitted. If there are too many entries, it drops half of them.
func (s *sample) add(e *entry) {
	s.fit()
	s.put(e.id, e.mark())
	for s.n > 2*s.max-1 {
		s.shrink(s.limit / 2)
	}
}

// shrink sets a lower limit, and drops the entries above it.
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

// remove removes e, which leaves, and reports whether it was hit since the sample looked at it.
func (s *sample) remove(e *entry) bool {
	mark, ok := s.take(e.id)
	return ok && hitSince(e.mark(), mark)
}

// scale sets the limit by the number of entries in the store.
func (s *sample) scale(items int64) {
	s.limit = uint32(min(1, float64(s.size)/float64(max(items, 1))) * math.MaxUint32)
}

// outgrown reports whether new shadows should be made, which could have more entries.
func (s *sample) outgrown(items int64) bool {
	return s.size < s.max && items >= 2*int64(s.size)
}

// begin cuts the sample to the size of a new shadow, and returns that size. Zero means that there
// are too few entries for shadows.
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

// turn is called when an epoch ends. The hits of that epoch are then looked for.
func (s *sample) turn(items int64) {
	if s.next >= len(s.slots) {
		s.next = 0
	}
	if s.size > 0 {
		s.scale(items)
	}
}

// look goes on to look for hits, calls hit for each, and reports whether it has come to the end.
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

// byAge returns the ids in the sample, the oldest first. It is called before any entry has left.
func (s *sample) byAge() []indexed {
	ids := slices.DeleteFunc(slices.Clone(s.slots), func(in indexed) bool { return in.key == 0 })
	slices.SortFunc(ids, func(a, b indexed) int { return cmp.Compare(a.key, b.key) })
	return ids
}
