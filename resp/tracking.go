package resp

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache"
)

const (
	// trackingShards is in how many parts the table of keys is locked.
	trackingShards = 32
	// longestTracked is how long a key may be that is followed. The value of a longer one is
	// followed by the message that it has changed.
	longestTracked = 4 << 10
	// fewHolders is up to how many clients of a key are looked through for one.
	fewHolders = 8
)

// following is what a client has chosen by CLIENT TRACKING.
type following struct {
	bcast, optin, optout, noloop bool
	redirect                     uint64   // the client that gets the messages; 0: this one
	prefixes                     []string // of keys, with bcast; none: all keys
}

// tracker knows which clients are told of changes, and which keys they have. A key is put in before
// it is got, and taken out when the clients are told that it has changed.
type tracker struct {
	s        *Server
	seed     maphash.Seed
	shards   [trackingShards]trackingShard
	keys     atomic.Int64
	items    atomic.Int64 // keys, once for each client that has one
	most     atomic.Int64 // of keys: Limits.TrackedKeys, or what CONFIG SET says; 0: any number
	sweeping atomic.Bool  // sweep runs

	// watching is held to start and to end watches, while no other lock is.
	watching  sync.Mutex
	stopOther func() // ends Fallback.Track

	pending pending // clients that are to be told of changes of the fallback

	mu      sync.RWMutex
	clients map[uint64]*Conn
	bcast   map[uint64]*Conn // of clients, those with CLIENT TRACKING BCAST
}

// trackingShard is a part of the table. Its lock comes before that of a client.
type trackingShard struct {
	mu      sync.Mutex
	keys    map[string]*tracked
	endings endings // of keys, those whose values expire
	// leaving are keys that were taken out because there are too many, or because their values have
	// expired, until their clients are told.
	leaving map[string]holders
}

// tracked is a key that clients have.
type tracked struct {
	full string
	of   holders
	end  int64 // when its value expires (Server.now); 0: it does not
	at   int   // its place in endings, if it has an end
}

// holders are clients that have a key.
type holders struct {
	few  []uint64
	many map[uint64]struct{} // in place of few
}

func (h holders) with(id uint64) holders {
	switch {
	case h.many != nil:
		h.many[id] = struct{}{}
	case slices.Contains(h.few, id):
	case len(h.few) < fewHolders:
		h.few = append(h.few, id)
	default:
		h.many = map[uint64]struct{}{id: {}}
		for _, other := range h.few {
			h.many[other] = struct{}{}
		}
		h.few = nil
	}
	return h
}

func (h holders) len() int { return len(h.few) + len(h.many) }

// each calls f for each holder.
func (h holders) each(f func(id uint64)) {
	for _, id := range h.few {
		f(id)
	}
	for id := range h.many {
		f(id)
	}
}

func newTracker(s *Server) *tracker {
	t := &tracker{s: s, seed: maphash.MakeSeed(), clients: make(map[uint64]*Conn), bcast: make(map[uint64]*Conn)}
	t.most.Store(int64(s.limits.TrackedKeys))
	return t
}

func (t *tracker) shard(full string) *trackingShard {
	return &t.shards[maphash.String(t.seed, full)%trackingShards]
}

// follow has a client be told of changes, as it has chosen.
func (t *tracker) follow(c *Conn, f *following) {
	t.watching.Lock()
	defer t.watching.Unlock()
	t.mu.Lock()
	first := len(t.clients) == 0
	t.clients[c.id] = c
	if delete(t.bcast, c.id); f.bcast {
		t.bcast[c.id] = c
	}
	t.mu.Unlock()
	c.track.Store(f)
	if first {
		for _, cache := range t.s.keys.caches {
			w := cache.Watch(func(inv peercache.Invalidation) { t.changed(cache, inv) })
			cache.watch.Store(&w)
		}
		if f := t.s.opts.fallback; f != nil && f.Track != nil {
			t.stopOther = f.Track(t.changedOther)
		}
	}
}

// leave has a client not be told any more.
func (t *tracker) leave(c *Conn) {
	t.watching.Lock()
	defer t.watching.Unlock()
	t.mu.Lock()
	_, was := t.clients[c.id]
	delete(t.clients, c.id)
	delete(t.bcast, c.id)
	last := was && len(t.clients) == 0
	t.mu.Unlock()
	c.track.Store(nil)
	if last {
		t.unwatch()
	}
}

// unwatch ends the watches. The caller holds watching.
func (t *tracker) unwatch() {
	for _, cache := range t.s.keys.caches {
		if w := cache.watch.Swap(nil); w != nil {
			(*w).Stop()
		}
	}
	if t.stopOther != nil {
		t.stopOther()
		t.stopOther = nil
	}
	t.drop()
}

// stop ends the watches for good.
func (t *tracker) stop() {
	t.watching.Lock()
	defer t.watching.Unlock()
	t.unwatch()
}

// drop empties the table.
func (t *tracker) drop() {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		t.keys.Add(-int64(len(sh.keys)))
		for _, k := range sh.keys {
			t.items.Add(-int64(k.of.len()))
		}
		sh.keys, sh.endings = nil, nil
		sh.mu.Unlock()
	}
}

// add records that a client is about to get a key.
func (t *tracker) add(full string, id uint64) {
	sh := t.shard(full)
	sh.mu.Lock()
	if sh.keys == nil {
		sh.keys = make(map[string]*tracked)
	}
	k := sh.keys[full]
	if k != nil {
		t.items.Add(-int64(k.of.len()))
		k.of = k.of.with(id)
		t.items.Add(int64(k.of.len()))
		sh.mu.Unlock()
		return
	}
	k = &tracked{full: full}
	k.of = k.of.with(id)
	sh.keys[full] = k
	t.items.Add(1)
	t.keys.Add(1)
	if !t.tooMany() {
		sh.mu.Unlock()
		return
	}
	victim := t.releaseAny(sh)
	sh.mu.Unlock()
	t.tell(sh, victim)
}

// tooMany reports whether more keys are followed than may be.
func (t *tracker) tooMany() bool {
	most := t.most.Load()
	return most > 0 && t.keys.Load() > most
}

// releaseAny is release of any key of a shard that has some.
func (t *tracker) releaseAny(sh *trackingShard) *tracked {
	var victim *tracked
	for _, victim = range sh.keys {
		break
	}
	t.release(sh, victim)
	return victim
}

// shrink tells clients to drop keys until there are no more than may be.
func (t *tracker) shrink() {
	for i := 0; t.tooMany(); i++ {
		sh := &t.shards[i%trackingShards]
		var victim *tracked
		sh.mu.Lock()
		if len(sh.keys) > 0 && t.tooMany() {
			victim = t.releaseAny(sh)
		}
		sh.mu.Unlock()
		if victim != nil {
			t.tell(sh, victim)
		}
	}
}

// remove takes a key out. The caller holds the lock of the shard.
func (t *tracker) remove(sh *trackingShard, k *tracked) {
	delete(sh.keys, k.full)
	sh.endings.remove(k)
	t.keys.Add(-1)
	t.items.Add(-int64(k.of.len()))
}

// release takes a key out whose clients are told afterwards, by tell. A change of the key waits for
// them meanwhile. The caller holds the lock of the shard.
func (t *tracker) release(sh *trackingShard, k *tracked) {
	t.remove(sh, k)
	if sh.leaving == nil {
		sh.leaving = make(map[string]holders)
	}
	sh.leaving[k.full] = k.of
}

// tell tells clients to drop keys that were released.
func (t *tracker) tell(sh *trackingShard, keys ...*tracked) {
	var m messages
	for _, k := range keys {
		k.of.each(func(id uint64) { m.add(t.s.client(id), k.full) })
	}
	m.send()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, k := range keys {
		delete(sh.leaving, k.full)
	}
}

// take takes a key out and calls f for each client that has it. If f returns true, the client still
// has the key afterwards.
func (t *tracker) take(full string, f func(id uint64) (keep bool)) {
	sh := t.shard(full)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if k := sh.keys[full]; k != nil {
		var kept holders
		k.of.each(func(id uint64) {
			if f(id) {
				kept = kept.with(id)
			}
		})
		t.items.Add(int64(kept.len() - k.of.len()))
		if k.of = kept; kept.len() == 0 {
			t.remove(sh, k)
		}
	}
	sh.leaving[full].each(func(id uint64) { f(id) })
}

// figures returns how many clients are told of changes, and of how many keys.
func (t *tracker) figures() (clients, keys int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.clients), int(t.keys.Load())
}

// prefixes returns how many prefixes clients with BCAST follow.
func (t *tracker) prefixes() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[string]bool)
	for _, c := range t.bcast {
		if f := c.track.Load(); f != nil {
			for _, p := range f.allPrefixes() {
				all[p] = true
			}
		}
	}
	return len(all)
}

// allPrefixes returns the prefixes of a client with BCAST: the empty one is that of all keys.
func (f *following) allPrefixes() []string {
	if f.bcast && len(f.prefixes) == 0 {
		return []string{""}
	}
	return f.prefixes
}

// matches reports whether a client with BCAST is told of a key.
func (f *following) matches(full string) bool {
	if len(f.prefixes) == 0 {
		return true
	}
	return slices.ContainsFunc(f.prefixes, func(p string) bool { return len(full) >= len(p) && full[:len(p)] == p })
}

// reading is a key that was read for a reply that is not sent.
type reading struct {
	full string
	// told says that the client was told meanwhile that the key has changed, or that nobody would
	// have told it. It is told (again) after the reply.
	told bool
}

// follow records that the client is about to get a key, and reports whether it is to be told when
// that changes.
func (c *Conn) follow(k key) bool {
	if !c.follows(k.full) {
		return false
	}
	c.read(k.full, !k.cache.live() || len(k.full) > longestTracked)
	return true
}

// follows reports whether the client is to be told when a key changes that it gets now.
func (c *Conn) follows(full string) bool {
	f := c.track.Load()
	if f == nil {
		return false
	}
	caching := c.session.caching
	return !(f.optin && caching <= 0 || f.optout && caching < 0 || f.bcast && !f.matches(full))
}

// read records that the client is about to get a key. told says that nobody else will tell it of a change.
func (c *Conn) read(full string, told bool) {
	c.mu.Lock()
	c.reads = append(c.reads, reading{full, told})
	c.mu.Unlock()
	if f := c.track.Load(); f != nil && !f.bcast && len(full) <= longestTracked {
		c.s.tracking.add(full, c.id)
	}
}

// followed records for how long a client may keep what it has got. What a group does not keep, such
// as that there is no value, nor may a client.
func (c *Conn) followed(k key, got found) {
	end := int64(0)
	if got.ttl > 0 {
		end = c.s.now.Load() + int64(got.ttl) - 2*int64(sweepInterval) // early, not late
	}
	if got.err != nil || got.ttl < 0 || got.ttl > 0 && end <= c.s.now.Load() {
		c.mu.Lock()
		c.tellAgain(k.full)
		c.mu.Unlock()
		return
	}
	if f := c.track.Load(); f != nil && end > 0 && len(k.full) <= longestTracked {
		if f.bcast {
			c.s.tracking.add(k.full, c.id)
		}
		c.s.tracking.expires(k.full, end)
	}
}

// tellAgain has the client be told of a change of a key behind the reply that it waits for. The
// caller holds c.mu.
func (c *Conn) tellAgain(full string) {
	for n := range c.reads {
		if c.reads[n].full == full {
			c.reads[n].told = true
		}
	}
}

// live reports whether clients are told of each change of the group.
func (s *served) live() bool {
	w := s.watch.Load()
	return w != nil && (*w).Live()
}

// stopTracking has the client be told of no changes any more.
func (c *Conn) stopTracking() {
	if c.track.Load() == nil {
		return
	}
	c.s.tracking.leave(c)
	c.mu.Lock()
	c.reads = nil
	c.mu.Unlock()
}
