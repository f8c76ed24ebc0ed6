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
// The shard calls add, evict, remove, replace and bytes, and nothing else. A hit marks its entry with
// the epoch, which eviction keeps in the table, and goes into the table's ring if its key is in the
// sample (table.hit). Everything else happens when entries come and go.
type eviction struct {
	core
	table     *table
	sample    sample
	selection *selection // nil in a cache that is too small for shadows, and in a follower

	// Where there are several shards, the leader's eviction gives the advice that the others, the
	// followers, take (advice.go). Followers have no sample.
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
	if v.sample.max > 0 {
		v.selection = newSelection()
	}
	t.epoch.Store(v.now)
	return v
}

// add records e, which is new in the table.
func (v *eviction) add(hash uint64, e *entry) {
	if v.core.add(hash, e) {
		v.table.epoch.Store(v.now)
	}
	if v.advised != nil {
		return // the leader learns for all
	}
	v.learn(hash)
	if v.advises != nil {
		v.advises.give(&v.core)
	}
}

// evict chooses the entry that leaves when all entries together may take max bytes, forgets it and
// returns it. It returns nil if there are no entries.
func (v *eviction) evict(max int64) *entry {
	if v.advised != nil {
		v.advised.follow(&v.core)
	}
	return v.core.evict(max)
}

// learn passes the requests on to the shadows that came since the last add, and that of the add
// itself, and takes over the policy that they choose.
func (v *eviction) learn(hash uint64) {
	if v.selection == nil {
		v.policy = recent // there is nothing to learn from; LRU surprises nobody
		return
	}
	if v.sample.admits(hash) {
		v.fit()
	}
	for hit, ok := v.table.hits.take(); ok; hit, ok = v.table.hits.take() {
		v.request(hit)
	}
	v.request(hash)
}

// request passes a request on to the shadows if its key is in the sample.
func (v *eviction) request(hash uint64) {
	if !v.sample.admits(hash) {
		return
	}
	v.selection.request(hash)
	if v.sample.size < shadowMin {
		v.policy = recent
		return
	}
	v.policy, v.model = v.selection.choose(v.policy), &v.selection.shadows[fifo].core
}

// fit makes the shadows what the cache is, but smaller.
func (v *eviction) fit() {
	// While the cache fills, what it will have is known from what it has.
	entries := max(scale(v.items(), v.max, max(v.cost(), 1)), v.items())
	thinner, resized := v.sample.scale(entries)
	if thinner {
		v.selection.thin(v.sample.limit)
	}
	if resized {
		v.selection.resize(v.sample.size)
	}
	if v.cost() >= v.max/2 {
		// Before that, nothing will leave soon.
		v.table.limit.Store(v.sample.limit)
	}
}

// bytes returns the heap that eviction takes, without the entries.
func (v *eviction) bytes() int64 {
	n := v.sketch.bytes() + v.ghost.bytes()
	if v.selection != nil {
		n += v.selection.bytes()
	}
	return n
}
