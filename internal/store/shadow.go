package store

import "unsafe"

// A shadow is a small model of the cache under one policy. Its keys are those of the sample, and it
// has room for as many entries as the sample has of the cache's. Its entries have no value.
type shadow struct {
	core
	known index  // from prints to ids
	nodes []node // by id; id 0 is not used
	free  uint32 // the first node that is not in use; next links them
}

// A node is an entry of a shadow, which has the print of its key in place of a value's length.
type node struct {
	entry
	drawn uint32
}

func (s *shadow) init(x policy) {
	s.core = newCore(x, s)
	if x == frequent || x == balanced {
		s.sketch = newSketch(smallShift)
	}
	if x == fifo {
		s.ghost = newGhost(smallShift)
	}
	s.known = newIndex(shadowMin)
	s.nodes = make([]node, 1, shadowMin)
}

func (s *shadow) entry(id uint32) *entry { return &s.nodes[id].entry }

// printOf returns what a shadow knows a key by. The bits that make a key one of the sample's are
// much alike for all of them, so they are mixed with the others.
func printOf(hash uint64) uint32 { return max(uint32(hash*spread>>32), 1) }

// hashOf returns a hash that is made from the print.
func (s *shadow) hashOf(e *entry) uint64 {
	h := uint64(e.valLen) * spread
	return h ^ h>>32
}

func (s *shadow) costOf(*entry) int64 { return 1 }

// get reports whether the shadow has the key of hash, and adds it if not.
func (s *shadow) get(hash uint64) bool {
	print := printOf(hash)
	if at, ok := s.known.find(print); ok {
		s.entry(at.value).touch(s.now)
		return true
	}
	id := s.take()
	n := &s.nodes[id]
	n.valLen, n.drawn = print, drawn(hash)
	s.known.fit()
	s.known.put(print, id)
	s.add(s.hashOf(&n.entry), &n.entry)
	s.shed()
	return false
}

// take returns the id of a node that is not in use.
func (s *shadow) take() uint32 {
	id := s.free
	if id != 0 {
		s.free = s.nodes[id].next
		return id
	}
	id = uint32(len(s.nodes))
	s.nodes = append(s.nodes, node{})
	s.nodes[id].id = id
	return id
}

// give takes back the node of e, which has left.
func (s *shadow) give(e *entry) {
	s.known.take(e.valLen)
	e.setQueue(inNone)
	e.next = s.free
	s.free = e.id
}

// shed evicts what is more than the shadow may have.
func (s *shadow) shed() {
	for s.cost() > s.max {
		s.give(s.evict(s.max))
	}
}

// thin drops the entries whose keys have left the sample.
func (s *shadow) thin(limit uint32) {
	for id := range s.nodes {
		if n := &s.nodes[id]; n.queue() != inNone && n.drawn >= limit {
			s.core.remove(&n.entry)
			s.give(&n.entry)
		}
	}
}

func (s *shadow) bytes() int64 {
	return s.sketch.bytes() + s.ghost.bytes() + s.known.bytes() + int64(cap(s.nodes))*int64(unsafe.Sizeof(node{}))
}
