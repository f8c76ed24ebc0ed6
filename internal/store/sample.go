package store

import "math"

// A sample is the part of the keys whose requests the shadows get: those whose hash is below a
// limit. It gets the requests in the order in which they come. Hits are in the table's ring, into
// which readers put those of the sample's keys, and the other requests are adds.
type sample struct {
	table *table
	limit uint32 // for 32 bits of the hash
	max   int64  // how many entries a shadow may have; 0: there are no shadows
	size  int64  // how many entries each shadow has room for
}

const (
	everyKey  = math.MaxUint32 // the limit of a sample that has all keys
	shadowMax = 512            // the most entries of a shadow
	shadowMin = 8              // the fewest: a smaller cache has nothing to learn from
	// shadowBytes is about what one entry in each shadow takes.
	shadowBytes = 192
	// shadowPart: the shadows take at most 1/shadowPart of MaxBytes.
	shadowPart = 5
)

func newSample(t *table, maxBytes int64) sample {
	s := sample{table: t, max: min(maxBytes/shadowPart/shadowBytes, shadowMax)}
	if s.max < shadowMin {
		s.max = 0
		return s
	}
	s.limit = everyKey
	t.hits = new(ring)
	return s
}

// drawn returns the bits of a hash that decide whether its key is in the sample. Neither the place
// in the sketch nor that in the table depends on these bits alone.
func drawn(hash uint64) uint32 { return uint32(hash >> 20) }

// admits reports whether the key of hash is in the sample.
func (s *sample) admits(hash uint64) bool { return drawn(hash) < s.limit }

// of returns how many of so many entries the sample has.
func (s *sample) of(entries int64) int64 {
	return int64(float64(entries)*float64(s.limit)/everyKey + 0.5)
}

// scale makes the sample one of a cache with room for so many entries. It reports whether the
// shadows have to follow.
func (s *sample) scale(entries int64) (thinner, resized bool) {
	size := s.of(entries)
	if size > s.max || size < s.max/2 && s.limit < everyKey {
		// Not quite as much as there may be, so that a cache that grows is not thinned at
		// each of its adds.
		limit := uint32(min(float64(s.max)*sampleFill/float64(entries), 1) * everyKey)
		thinner = limit < s.limit
		s.limit = limit
		size = s.of(entries)
	}
	resized = size != s.size
	s.size = size
	return thinner, resized
}

// sampleFill is the part of a shadow's most entries that it has after the limit was changed.
const sampleFill = 0.9
