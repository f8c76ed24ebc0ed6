package store

// A ghost remembers the keys that left small lately: S3-FIFO's ghost queue, as a table of
// fingerprints with the time they were put in. What is older than the window is not there any
// more, so nothing has to be taken out. It may rarely remember a stranger. It grows like the
// table, a bucket at a time. A nil ghost remembers nothing.
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
	// ghostKeys is how many of the keys to be remembered have a bucket between them. Buckets
	// fill unevenly; one that is full forgets its oldest.
	ghostKeys = 3
)

func newGhost(shift uint8) *ghost {
	return &ghost{buckets: newChunks[ghostBucket](shift), n: 1}
}

// fit grows the ghost for the memory of so many keys; a new bucket begins with all that its
// parent knows.
func (g *ghost) fit(keys int64) {
	for int64(g.n)*ghostKeys < keys {
		g.buckets.reach(g.n)
		*g.buckets.at(g.n) = *g.buckets.at(parent(g.n))
		g.n++
	}
}

func (g *ghost) at(hash uint64) (bucket *ghostBucket, print uint16) {
	print = uint16(hash>>48) &^ ghostTickMask
	if print == 0 {
		print = ghostTickMask + 1
	}
	return g.buckets.at(home(hash>>16, g.n)), print
}

func (g *ghost) age(slot uint16) uint16 { return (g.tick - slot) & ghostTickMask }

// add remembers a key for the next so many additions.
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

// take says whether the key is remembered, and forgets it.
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
