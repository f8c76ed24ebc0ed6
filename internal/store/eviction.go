package store

// eviction decides which entry of a shard leaves when there is no room. It is guarded by the shard's
// lock.
//
// No single policy is good for every load, so there are four (policies.go): TinyLFU with a small
// and with a large window, S3-FIFO, and LRU. Each of them also runs on a small sample of the keys,
// chosen by hash, in a shadow: a cache that is scaled down as much (Waldspurger et al., "Cache
// Modeling and Optimization using Miniature Simulations", ATC 2017). The store uses the policy
// whose shadow has the most hits (adapt.go).
//
// The shard calls add, evict, remove, replace and bytes, and nothing else. A hit only marks its
// entry (touch) with the epoch, which eviction keeps in the table. Everything else happens when
// entries come and go.
type eviction struct {
	core
	table  *table
	sample sample
	// selection is nil until an entry has to leave for the first time, and in a cache that is
	// too small for shadows.
	selection *selection

	// Where there are several shards, the leader's eviction gives the advice that the others
	// take (advice.go). These have no sample.
	advises, advised *advice
}

// newEviction returns an eviction for the entries of t, which take about maxBytes. sampled is
// maxBytes too if a sample of them is to choose the policy, and zero if not.
func newEviction(t *table, maxBytes, sampled int64) *eviction {
	v := &eviction{core: newCore(frequent, t), table: t}
	v.core.max = maxBytes
	v.core.sketch = newSketch(t.main.shift)
	v.core.ghost = newGhost(t.main.shift + 3)
	v.sample = newSample(t, sampled)
	t.epoch.Store(v.now)
	return v
}

// add records e, which is new in the table.
func (v *eviction) add(hash uint64, e *entry) {
	sampled := v.sample.admits(hash)
	if sampled && v.selection != nil {
		v.selection.request(hash)
		v.selection.choose(&v.core)
	}
	if v.core.add(hash, e) {
		v.table.epoch.Store(v.now)
		v.sample.turn(v.items())
		if v.selection != nil && v.sample.outgrown(v.items()) {
			v.startSelection()
		}
	}
	if sampled {
		v.sample.add(e)
	}
	if v.selection != nil && v.sample.look(v.selection.request) {
		v.selection.choose(&v.core)
	}
	if v.advises != nil {
		v.advises.give(&v.core)
	}
}

// evict chooses the entry that leaves when all entries together may take max bytes, forgets it and
// returns it. It returns nil if there are no entries.
func (v *eviction) evict(max int64) *entry {
	if v.advised != nil {
		v.advised.follow(&v.core)
	} else if v.selection == nil {
		v.startSelection()
	}
	e := v.core.evict(max)
	if e != nil {
		v.left(e)
	}
	return e
}

// startSelection makes new shadows, if there are enough entries to learn from.
func (v *eviction) startSelection() {
	size := v.sample.begin(v.items())
	if size < shadowMin {
		v.policy = recent // there is nothing to learn from; LRU surprises nobody
		return
	}
	v.selection = newSelection(size)
	v.model = &v.selection.shadows[fifo].core
	v.selection.replay(&v.sample)
}

// remove forgets e, which leaves for another reason than eviction.
func (v *eviction) remove(e *entry) {
	v.core.remove(e)
	v.left(e)
}

// left passes the last hits of e, which leaves, on to the shadows.
func (v *eviction) left(e *entry) {
	if v.sample.remove(e) && v.selection != nil {
		v.selection.request(v.table.hashOf(e))
	}
}

// bytes returns the heap that eviction takes, without the entries.
func (v *eviction) bytes() int64 {
	n := v.sketch.bytes() + v.ghost.bytes() + v.sample.bytes()
	if v.selection != nil {
		n += v.selection.size
	}
	return n
}
