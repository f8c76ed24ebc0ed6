package store

// A ghost remembers the keys that left small lately. It is S3-FIFO's ghost queue, as a table of
// fingerprints with the time at which each was added. Fingerprints that are older than the window
// do not count, so nothing has to be removed. Rarely, it seems to remember a key that did not
// leave. It grows like the table, a bucket at a time. A nil ghost remembers nothing.
type ghost struct {
	buckets chunks[ghostBucket]
	n       uint32 // buckets in use
	tick    uint16 // modulo 64
	part    int64  // additions since the last tick
}

// ghostBucket has keys in no order: ten bits of the hash, never 0, and six of the tick; or 0.
type ghostBucket [4]uint16

const (
	ghostWindow   = 32 // ticks that a key is remembered for
	ghostTickMask = 63
	// ghostKeys is how many of the keys to be remembered there are per bucket. Buckets fill
	// unevenly. A full one forgets its oldest key.
	ghostKeys = 3
)

func newGhost(shift uint8) *ghost {
	return &ghost{buckets: newChunks[ghostBucket](shift), n: 1}
}

// fit grows the ghost so that it can remember so many keys. A new bucket begins as a copy of its
// parent.
func (g *ghost) fit(keys int64) {
	for int64(g.n)*ghostKeys < keys {
		g.buckets.reach(g.n)
		*g.buckets.at(g.n) = *g.buckets.at(parent(g.n))
		g.n++
	}
}

// at returns the bucket and the fingerprint of a key.
func (g *ghost) at(hash uint64) (bucket *ghostBucket, print uint16) {
	print = uint16(hash>>48) &^ ghostTickMask
	if print == 0 {
		print = ghostTickMask + 1
	}
	return g.buckets.at(home(hash>>16, g.n)), print
}

func (g *ghost) age(slot uint16) uint16 { return (g.tick - slot) & ghostTickMask }

// add makes the ghost remember a key, until as many more as keys were added.
func (g *ghost) add(hash uint64, keys int64) {
	if g == nil {
		return
	}
	g.fit(keys)
	if g.part++; g.part*ghostWindow >= keys {
		g.part = 0
		g.tick++
	}
	bucket, print := g.at(hash)
	oldest := 0
	for i, s := range bucket {
		if s&^ghostTickMask == print || s == 0 {
			oldest = i
			break
		}
		if g.age(s) > g.age(bucket[oldest]) {
			oldest = i
		}
	}
	bucket[oldest] = print | g.tick&ghostTickMask
}

// take reports whether a key is remembered, and forgets it.
func (g *ghost) take(hash uint64) bool {
	if g == nil {
		return false
	}
	bucket, print := g.at(hash)
	for i, s := range bucket {
		if s&^ghostTickMask == print && g.age(s) <= ghostWindow {
			bucket[i] = 0
			return true
		}
	}
	return false
}

func (g *ghost) bytes() int64 {
	if g == nil {
		return 0
	}
	return g.buckets.bytes()
}
