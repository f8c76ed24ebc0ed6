package doorkeeper

import (
	"math/bits"
	"sync/atomic"
)

// A sketch estimates how often keys were counted lately. It is a count-min sketch of 4-bit counters
// with conservative update, all counters of a key in one cache line (Einziger, Friedman, Manes:
// TinyLFU, 2017). It takes no lock: two goroutines that count in the same word at the same moment
// may lose one of the two counts, never more.
type sketch struct {
	blocks []block
	used   atomic.Uint64 // how many of the blocks are in use, see fit
	added  atomic.Uint64
}

func newSketch(blocks int) *sketch {
	s := &sketch{blocks: make([]block, blocks)}
	s.used.Store(uint64(blocks))
	return s
}

// fit makes the sketch forget as fast as is right for a cache of so many entries: it takes about
// period counts for each of them until it has halved all blocks. Zero entries means that their
// number is not known. What was counted is lost if the number of blocks changes. It is a power of
// two, so that it seldom does.
func (s *sketch) fit(entries int64) {
	want := uint64(len(s.blocks))
	if n := uint64(entries) * period / memory; n > 0 && n < want {
		want = min(want, 1<<bits.Len64(n))
	}
	if s.used.Load() != want {
		s.used.Store(want)
	}
}

// block has the counters of some keys, 16 in a word. It fills a cache line.
type block [8]atomic.Uint64

const (
	blockBytes = 64
	most       = 15 // of a counter
	rows       = 4  // counters of a key; each row has two words of a block
	halfMask   = 0x7777777777777777
	// memory is how many counts a block takes, on average, from one halving to the next: four for
	// each place of a row. A larger number finds the popular keys of a steady load better, a
	// smaller one forgets sooner.
	memory = 4 * 32
	period = 10 // TinyLFU's
)

// count counts one fetch of the key of hash, and returns about how many there were lately, at most
// most.
func (s *sketch) count(hash uint64) uint64 {
	used := s.used.Load()
	if n := s.added.Add(1); n%memory == 0 {
		s.blocks[n/memory%used].halve() // each in turn
	}
	at, _ := bits.Mul64(hash, used)
	return s.blocks[at].count(hash * spread)
}

// spread is odd. A product with it has bits that do not depend on the highest of hash alone, which
// chose the block.
const spread = 0x9E3779B97F4A7C15

func (b *block) count(hash uint64) uint64 {
	least := uint64(most)
	var words, values [rows]uint64
	for i := range rows {
		word, shift := counter(hash, i)
		words[i] = b[word].Load()
		values[i] = words[i] >> shift & most
		least = min(least, values[i])
	}
	if least == most {
		return most
	}
	for i := range rows {
		if values[i] == least {
			word, shift := counter(hash, i)
			b[word].CompareAndSwap(words[i], words[i]+1<<shift)
		}
	}
	return least + 1
}

// counter returns where the counter of row i of a key is.
func counter(hash uint64, i int) (word int, shift uint64) {
	x := hash >> (32 + 8*i)
	return i*2 + int(x>>4&1), x & 15 * 4
}

// halve makes the past count half as much.
func (b *block) halve() {
	for i := range b {
		for {
			old := b[i].Load()
			if b[i].CompareAndSwap(old, old>>1&halfMask) {
				break
			}
		}
	}
}
