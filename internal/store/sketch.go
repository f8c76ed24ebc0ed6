package store

// A sketch estimates how often keys were requested lately, cached or not. It is a count-min sketch
// of 4-bit counters with conservative update. All counters of a key are in one cache line, and they
// are halved now and then so that the past fades (Einziger, Friedman, Manes: TinyLFU, 2017). It
// grows like the table, a block at a time. A nil sketch counts nothing.
type sketch struct {
	blocks chunks[sketchBlock]
	n      uint32 // blocks in use
	added  int64  // since the last halving
	halved uint32 // blocks that the present halving has halved; n: none is in progress
}

// sketchBlock has the counters of some keys, 16 in a word. It fills a cache line.
type sketchBlock [8]uint64

const (
	sketchMax = 15
	halfMask  = 0x7777777777777777
	// sketchEntries is how many entries of the cache there are per block: 9 bytes each. With 10,
	// too many keys share their counters: half a point of the hit ratio where scans come by.
	sketchEntries = 7
	// sketchMemory is after how many additions per entry the counts are halved. A larger number
	// finds the popular keys of a steady load better, a smaller one follows a change sooner.
	sketchMemory = 10
	// halveSteps is how many blocks an addition halves: few, so that no addition takes long,
	// but enough that all blocks are halved soon.
	halveSteps = 16
)

func newSketch(shift uint8) *sketch {
	return &sketch{blocks: newChunks[sketchBlock](shift), n: 1, halved: 1}
}

// fit grows the sketch for so many entries. A new block begins as a copy of the block from which it
// takes over keys, so that no key loses its count.
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

// counter returns where counter i of a key is. Each counter has two words of its own to lie in.
func counter(hash uint64, i int) (word int, shift uint64) {
	x := hash >> (32 + 8*i)
	return i*2 + int(x>>4&1), x & 15 * 4
}

// estimate returns about how often the key of hash was requested, at most sketchMax.
func (s *sketch) estimate(hash uint64) uint64 {
	return s.blocks.at(home(hash, s.n)).least(hash)
}

// least returns the least of the counters of a key.
func (b *sketchBlock) least(hash uint64) uint64 {
	least := uint64(sketchMax)
	for i := range 4 {
		w, shift := counter(hash, i)
		least = min(least, b[w]>>shift&sketchMax)
	}
	return least
}

// add counts n requests for a key. entries is how many entries the cache has.
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
