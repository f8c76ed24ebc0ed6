package stream

import "time"

// A stream that was busy has buffers of up to a megabyte, and a process may have thousands of streams.
// One that rests gives them back: the goroutine that reads does, with the first bytes after a silence,
// which are those of a ping; the rest goes with the ping itself, and with the idle timer of a Server.

// restAfter is after how long without a byte a stream gives back memory that only a busy one needs.
// Pings are rarer.
const restAfter = time.Second

// rest gives back the memory of a busy time.
func (r *reader) rest() {
	r.src.rested = false
	r.buf.rest()
	r.f = frame{}
}

// rest gives back the memory of a buffer that has grown and is empty.
func (b *buffer) rest() {
	if len(b.b) > firstBuffer {
		b.b, b.r, b.w = nil, 0, 0
		b.discharge()
	}
}

// rest gives back the memory of a busy time, if nothing is to be written.
func (w *writer) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing || len(w.next.buf) > 0 {
		return
	}
	w.next.rest()
	w.spare.rest()
}

// rest gives back memory. g is empty.
func (g *gathered) rest() {
	if cap(g.buf) > restingBuffer {
		g.buf = nil
	}
	g.cuts, g.vec = nil, nil
}

// restingSlots is how many slots a link keeps that has nothing to do.
const restingSlots = 16

// rest gives back the memory of a busy time, if no request is open. The ids of later requests are
// not those of earlier ones.
func (p *pending) rest() {
	if p.open > 0 || cap(p.slots) <= restingSlots {
		return
	}
	for i := range p.slots {
		p.used = max(p.used, p.slots[i].uses)
	}
	p.slots, p.free = nil, nil
}

// rest gives back the memory of a busy time, if nothing is in progress.
func (s *Server) rest() {
	s.mu.Lock()
	if len(s.jobs.open) == 0 {
		s.jobs.open = make(map[uint64]*job)
	}
	s.mu.Unlock()
	s.w.rest()
}
