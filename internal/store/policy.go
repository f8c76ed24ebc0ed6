package store

// policy decides which entry leaves when there is no room.
//
// No single rule is good for every load, so there are four experts (experts.go): TinyLFU with a
// small and with a large window, S3-FIFO, and LRU. Each also runs on a small sample of the keys,
// chosen by hash, in a shadow of the cache scaled down as much (Waldspurger et al., "Cache
// Modeling and Optimization using Miniature Simulations", ATC 2017). The expert whose shadow
// hits most rules the store (tournament.go).
//
// This is its whole seam: add, evict, remove, replace, bytes. A hit only marks its entry
// (touch), with the epoch that the policy keeps in the table. Everything else happens when
// entries come and go. It is guarded by the store's lock.
type policy struct {
	core
	table  *table
	sample sample
	// contest is nil until something has to leave, and in a cache too small for it.
	contest *tournament
}

func newPolicy(t *table, maxBytes int64) *policy {
	p := &policy{core: newCore(frequent, t), table: t}
	p.core.max = maxBytes
	p.core.sketch = newSketch(t.main.shift)
	p.core.ghost = newGhost(t.main.shift + 3)
	p.sample = newSample(t, maxBytes)
	t.epoch.Store(p.now)
	return p
}

// add takes in e, which is in the table.
func (p *policy) add(hash uint64, e *entry) {
	sampled := p.sample.admits(hash)
	if sampled && p.contest != nil {
		p.contest.request(hash)
		p.contest.choose(&p.core)
	}
	if p.core.add(hash, e) {
		p.table.epoch.Store(p.now)
		p.sample.turn(p.items())
		if p.contest != nil && p.sample.outgrown(p.items()) {
			p.begin()
		}
	}
	if sampled {
		p.sample.add(e)
	}
	if p.contest != nil && p.sample.look(p.contest.request) {
		p.contest.choose(&p.core)
	}
}

// evict chooses an entry to leave when all entries may take max bytes, and forgets it. It
// returns nil if there is none.
func (p *policy) evict(max int64) *entry {
	if p.contest == nil {
		p.begin()
	}
	e := p.core.evict(max)
	if e != nil {
		p.left(e)
	}
	return e
}

// begin begins the tournament, if there are entries enough.
func (p *policy) begin() {
	size := p.sample.begin(p.items())
	if size < shadowMin {
		p.expert = recent // nothing to learn from: the one that surprises nobody
		return
	}
	p.contest = newTournament(size)
	p.model = &p.contest.shadows[fifo].core
	p.contest.replay(&p.sample)
}

// remove forgets e, which leaves for another reason.
func (p *policy) remove(e *entry) {
	p.core.remove(e)
	p.left(e)
}

// left shows the shadows the last hits of an entry that has left.
func (p *policy) left(e *entry) {
	if p.sample.remove(e) && p.contest != nil {
		p.contest.request(p.table.hashOf(e))
	}
}

// bytes returns the heap that the policy takes beyond the entries.
func (p *policy) bytes() int64 {
	n := p.sketch.bytes() + p.ghost.bytes() + p.sample.bytes()
	if p.contest != nil {
		n += p.contest.size
	}
	return n
}
