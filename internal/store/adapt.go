package store

// A selection adapts the policy to the load: it runs a shadow of each policy, and chooses the
// policy whose shadow has the most hits.
type selection struct {
	shadows [policies]shadow
	score   [policies][2]float64 // hits of each shadow, which fade over the short and the long span
	fade    [2]float64           // the part of a score that is left after one more request
	lead    [2]float64           // by how much a score must be higher than that of the policy in use
	size    int64                // bytes
}

// A policy takes over when it has had more hits per request, by the lead, over the last span times
// size requests. The short span follows loads that change, the long one finds small differences.
const (
	shortSpan, shortLead = 4, 0.01
	longSpan, longLead   = 16, 0.002
	leadHits             = 2 // hits in addition, so that a tiny cache does not change by chance
)

// newSelection returns a selection whose shadows have size entries.
func newSelection(size int) *selection {
	sel := &selection{}
	for x := range sel.shadows {
		sel.shadows[x].init(policy(x), size)
		sel.size += sel.shadows[x].bytes()
	}
	n := float64(size)
	sel.fade = [2]float64{1 - 1/(shortSpan*n), 1 - 1/(longSpan*n)}
	sel.lead = [2]float64{shortSpan*shortLead*n + leadHits, longSpan*longLead*n + leadHits}
	return sel
}

// replay passes on to the shadows what happened before the first entry leaves: the sampled entries
// were added, and some were hit.
func (sel *selection) replay(s *sample) {
	for _, in := range s.byAge() {
		e := s.table.entry(in.key)
		hash := s.table.hashOf(e)
		sel.request(hash)
		if e.count() > 0 {
			sel.request(hash)
		}
		s.put(in.key, e.mark())
	}
	sel.score = [policies][2]float64{}
}

// request passes one request on to each shadow.
func (sel *selection) request(hash uint64) {
	for x := range sel.shadows {
		hit := sel.shadows[x].get(hash)
		for i := range sel.fade {
			sel.score[x][i] *= sel.fade[i]
			if hit {
				sel.score[x][i]++
			}
		}
	}
}

// choose sets the policy of c to the one that is best now.
func (sel *selection) choose(c *core) {
	now := &sel.score[c.policy]
	for i, lead := range sel.lead {
		best := c.policy
		for x := range sel.shadows {
			// A lead over the long span does not count if it is lost in the short one.
			if sel.score[x][i] > sel.score[best][i] && sel.score[x][0] >= now[0] {
				best = policy(x)
			}
		}
		if sel.score[best][i] > now[i]+lead {
			c.policy = best
			return
		}
	}
}

// A shadow is a small model of the cache under one policy. Its entries have a hash for a key, and
// no value.
type shadow struct {
	core
	known index   // from prints of hashes to ids
	nodes []entry // by id; id 0 is not used
	free  uint32  // the first node that is not in use; next links them
}

func (s *shadow) init(x policy, size int) {
	s.core = newCore(x, s)
	s.max = int64(size)
	if x == frequent || x == balanced {
		s.sketch = newSketch(0)
		s.sketch.fit(s.max + 1)
	}
	if x == fifo {
		s.ghost = newGhost(smallShift)
		s.ghost.fit(s.max + 1)
	}
	s.known = newIndex(size + 1)
	s.nodes = make([]entry, size+2)
	for id := size + 1; id > 0; id-- {
		s.nodes[id].id = uint32(id)
		s.nodes[id].next = s.free
		s.free = uint32(id)
	}
}

func (s *shadow) entry(id uint32) *entry { return &s.nodes[id] }

// hashOf returns a hash that is made from the part that the entry keeps of its own.
func (s *shadow) hashOf(e *entry) uint64 {
	h := uint64(e.valLen) * spread
	return h ^ h>>32
}

func (s *shadow) costOf(*entry) int64 { return 1 }

// get reports whether the shadow has the key of hash, and adds it if not.
func (s *shadow) get(hash uint64) bool {
	print := max(uint32(hash), 1)
	if at, ok := s.known.find(print); ok {
		s.entry(at.value).touch(s.now)
		return true
	}
	e := s.entry(s.free)
	s.free = e.next
	e.valLen = print
	s.known.put(print, e.id)
	s.add(s.hashOf(e), e)
	for s.cost() > s.max {
		v := s.evict(s.max)
		s.known.take(v.valLen)
		v.next = s.free
		s.free = v.id
	}
	return false
}

func (s *shadow) bytes() int64 {
	return s.sketch.bytes() + s.ghost.bytes() + s.known.bytes() + int64(entryHead)*int64(len(s.nodes))
}
