package store

// An add needs memory in many places: the buckets of table, sketch and ghost of the key that comes
// and of the one that will leave, and the entry that will leave next. Each is a cache miss as a
// rule. Atomic instructions, of which an add has several, let no miss overlap with one before. So
// what is needed is read at the beginning, where the misses overlap.

// warm reads what the next add of the key of hash, and the evict after it, will need.
func (v *eviction) warm(hash uint64) {
	c, t := &v.core, v.table
	n := uint32(t.state.Load())
	used(t.main.at(home(hash, n)).tags.Load(), c.sketch.blocks.at(home(hash, c.sketch.n))[0], c.ghost.buckets.at(home(hash>>16, c.ghost.n))[0])
	if e := c.next(); e != nil {
		hash := t.hash(e.key())
		next := uint32(0)
		if e.next&listRef == 0 {
			next = c.entry(e.next).state.Load()
		}
		used(uint64(next), c.sketch.blocks.at(home(hash, c.sketch.n))[0], c.ghost.buckets.at(home(hash>>16, c.ghost.n))[0])
	}
}

// next returns the entry that will probably leave next.
func (c *core) next() *entry {
	if c.policy == recent {
		return c.oldest(c.old % segments)
	}
	return c.oldest(smallList)
}

// used keeps the compiler from leaving out what is read for its effect on caches alone.
//
//go:noinline
func used(uint64, uint64, uint16) {}
