package store

// A sketch remembers about how often keys were asked for, cached or not: a count-min sketch of
// 4-bit counters with conservative update, all of a key in one cache line, halved now and then
// so that the past fades (Einziger, Friedman, Manes: TinyLFU, 2017). It grows like the table,
// a block at a time. A nil sketch remembers nothing.
type sketch struct {
	blocks chunks[sketchBlock]
	n      uint32 // blocks in use
	added  int64  // since the last halving
	halved uint32 // blocks that the running halving is through with; n: none is running
}

// sketchBlock has the counters of some keys, 16 in a word. It fills a cache line.
type sketchBlock [8]uint64

const (
	sketchMax = 15
	halfMask  = 0x7777777777777777
	// sketchEntries is how many entries of the cache have a block between them: 6.4 bytes each.
	sketchEntries = 10
	// sketchMemory: the counts are halved after so many additions an entry. Longer finds the
	// popular keys of a steady load better, shorter follows a change sooner.
	sketchMemory = 10
	// halveSteps is how many blocks an addition halves: few, so that none takes long, and
	// enough that soon all are alike again.
	halveSteps = 16
)

func newSketch(shift uint8) *sketch {
	return &sketch{blocks: newChunks[sketchBlock](shift), n: 1, halved: 1}
}

// fit grows the sketch for so many entries. A new block begins as a copy of the one whose
// keys it takes over in part, so that no key loses its count.
func (s *sketch) fit(entries int64) {
	for s != nil && int64(s.n)*sketchEntries < entries {
		s.blocks.reach(s.n)
		*s.blocks.at(s.n) = *s.blocks.at(parent(s.n))
		if s.halved == s.n {
			s.halved++
		}
		s.n++
	}
}

// counter i of a key lies in one of two words of its own.
func counter(hash uint64, i int) (word int, shift uint64) {
	x := hash >> (32 + 8*i)
	return i*2 + int(x>>4&1), x & 15 * 4
}

func (s *sketch) estimate(hash uint64) uint64 {
	return s.blocks.at(home(hash, s.n)).least(hash)
}

func (b *sketchBlock) least(hash uint64) uint64 {
	least := uint64(sketchMax)
	for i := range 4 {
		w, shift := counter(hash, i)
		least = min(least, b[w]>>shift&sketchMax)
	}
	return least
}

// add counts n requests for a key. The cache has so many entries.
func (s *sketch) add(hash uint64, n uint32, entries int64) {
	if s == nil {
		return
	}
	for range halveSteps {
		if s.halved == s.n {
			break
		}
		b := s.blocks.at(s.halved)
		for i := range b {
			b[i] = b[i] >> 1 & halfMask
		}
		s.halved++
	}
	b := s.blocks.at(home(hash, s.n))
	have := b.least(hash)
	want := min(have+uint64(n), sketchMax)
	for i := range 4 {
		w, shift := counter(hash, i)
		if v := b[w] >> shift & sketchMax; v < want {
			b[w] += (want - v) << shift
		}
	}
	if s.added += int64(want - have); s.added >= sketchMemory*entries && s.halved == s.n {
		s.halved = 0
		s.added /= 2
	}
}

func (s *sketch) bytes() int64 {
	if s == nil {
		return 0
	}
	return s.blocks.bytes()
}
