package store

// A tournament runs each expert's shadow and lets the best one rule.
type tournament struct {
	shadows [experts]shadow
	score   [experts][2]float64 // hits, fading over the spans
	fade    [2]float64          // what of a score is left at the next request
	lead    [2]float64          // that an expert needs to take over
	size    int64               // bytes
}

// An expert takes over when its lead in the last span times size requests is more than so
// many hits per request. The short span is for loads that change, the long one is for small
// differences.
const (
	shortSpan, shortLead = 4, 0.01
	longSpan, longLead   = 16, 0.002
	leadHits             = 2 // hits more, so that a tiny cache does not change by chance
)

// newTournament makes shadows of size entries.
func newTournament(size int) *tournament {
	t := &tournament{}
	for x := range t.shadows {
		t.shadows[x].init(expert(x), size)
		t.size += t.shadows[x].bytes()
	}
	n := float64(size)
	t.fade = [2]float64{1 - 1/(shortSpan*n), 1 - 1/(longSpan*n)}
	t.lead = [2]float64{shortSpan*shortLead*n + leadHits, longSpan*longLead*n + leadHits}
	return t
}

// replay shows the shadows what has happened before the first entry leaves: the sampled
// entries came, and some were hit.
func (t *tournament) replay(s *sample) {
	for _, in := range s.byAge() {
		e := s.table.entry(in.key)
		hash := s.table.hashOf(e)
		t.request(hash)
		if e.count() > 0 {
			t.request(hash)
		}
		s.put(in.key, e.mark())
	}
	t.score = [experts][2]float64{}
}

// request lets each shadow answer one request.
func (t *tournament) request(hash uint64) {
	for x := range t.shadows {
		hit := t.shadows[x].get(hash)
		for i := range t.fade {
			t.score[x][i] *= t.fade[i]
			if hit {
				t.score[x][i]++
			}
		}
	}
}

// choose lets the best expert rule c.
func (t *tournament) choose(c *core) {
	now := &t.score[c.expert]
	for i, lead := range t.lead {
		best := c.expert
		for x := range t.shadows {
			// A lead over long must not be one that has been lost.
			if t.score[x][i] > t.score[best][i] && t.score[x][0] >= now[0] {
				best = expert(x)
			}
		}
		if t.score[best][i] > now[i]+lead {
			c.expert = best
			return
		}
	}
}

// A shadow is a cache scaled down, whose entries have a hash for a key and no value.
type shadow struct {
	core
	known index   // ids by print
	nodes []entry // by id; 0 is none's
	free  uint32  // the first of the nodes not in use, linked by next
}

func (s *shadow) init(x expert, size int) {
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

// hashOf makes a hash again of what is kept of one.
func (s *shadow) hashOf(e *entry) uint64 {
	h := uint64(e.valLen) * spread
	return h ^ h>>32
}

func (s *shadow) costOf(*entry) int64 { return 1 }

// get answers a request: if the key is not there, it is afterwards.
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
