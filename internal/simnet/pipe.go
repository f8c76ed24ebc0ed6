package simnet

import "math/rand/v2"

// pipe is one direction of a connection: what src has sent and dst has not read.
// Nothing runs for it: a segment knows when it arrives, and whoever reads looks
// at the clock. All is guarded by Network.mu.
type pipe struct {
	link     *link
	src, dst *conn
	rng      *rand.PCG
	window   int

	segments []segment // in order; the held ones, if any, are the last
	first    int       // the first one that has not been read
	last     instant   // when the last one that is not held arrives
	fin      mark      // src sends nothing more; arrives after all segments
	rst      mark      // the connection is broken in the eyes of dst

	unacked  int // bytes that src has sent and knows no reading of: at most window
	ackLater int // bytes of those that dst has read while src could not be told
}

// segment is bytes that arrive together; at is never while they are held.
type segment struct {
	data []byte
	at   instant
}

// mark is an event without bytes.
type mark struct {
	sent bool
	at   instant
}

func (m mark) arrived(now instant) bool { return m.sent && m.at <= now }

// back returns the other direction.
func (p *pipe) back() *pipe { return p.dst.out }

// arrival returns when size bytes that are sent at the given instant arrive:
// never, while the link holds them.
func (p *pipe) arrival(sent instant, size int) instant {
	if !p.link.moving() {
		return never
	}
	at := p.link.leave(sent, size) + p.link.settings().delay(p.rng)
	p.last = max(p.last, at)
	return p.last
}

// send takes as much of b as there is room for, and returns how much.
func (p *pipe) send(b []byte, now instant) (taken int) {
	for len(b) > 0 && p.unacked < p.window && !p.rst.sent {
		size := p.link.settings().segment(min(len(b), p.window-p.unacked))
		last := false
		if limit := p.link.limit; limit >= 0 && int64(size) >= limit {
			size, last = int(limit), true
		}
		if size > 0 {
			at := p.arrival(now, size)
			p.segments = append(p.segments, segment{append([]byte(nil), b[:size]...), at})
			p.unacked += size
			p.link.stats.Bytes += int64(size)
			p.dst.rd.ringAt(now, at)
		}
		if p.link.limit >= 0 {
			p.link.limit -= int64(size)
		}
		if last {
			p.link.trip(p, now)
		}
		b = b[size:]
		taken += size
	}
	p.bounce(now)
	return taken
}

// take moves what has arrived to b.
func (p *pipe) take(b []byte, now instant) (n int) {
	for n < len(b) && p.first < len(p.segments) {
		s := &p.segments[p.first]
		if s.at > now {
			break
		}
		k := copy(b[n:], s.data)
		n += k
		if s.data = s.data[k:]; len(s.data) == 0 {
			s.data = nil
			p.first++
		}
	}
	if p.first == len(p.segments) {
		p.segments, p.first = p.segments[:0], 0
	}
	p.ack(n)
	return n
}

// ack tells src that n bytes have been read, as soon as it can be told.
func (p *pipe) ack(n int) {
	p.ackLater += n
	if p.ackLater > 0 && p.back().link.moving() {
		full := p.unacked >= p.window
		p.unacked -= p.ackLater
		p.ackLater = 0
		if full {
			p.src.wr.ring()
		}
	}
}

// next returns when something arrives that has not.
func (p *pipe) next() instant {
	at := never
	if p.first < len(p.segments) {
		at = p.segments[p.first].at
	}
	if p.fin.sent {
		at = min(at, p.fin.at)
	}
	if p.rst.sent {
		at = min(at, p.rst.at)
	}
	return at
}

// finish sends the end of the stream. A broken connection has none.
func (p *pipe) finish(now instant) {
	if !p.fin.sent && !p.rst.sent {
		p.fin = mark{true, p.arrival(now, 0)}
		p.dst.rd.ringAt(now, p.fin.at)
	}
}

// abort breaks the connection in the eyes of dst, when the news arrives.
func (p *pipe) abort(sent, now instant) {
	if !p.rst.sent {
		p.rst = mark{true, p.arrival(sent, 0)}
		p.dst.ringAt(now, p.rst.at)
	}
}

// bounce answers bytes that nobody will read with a reset.
func (p *pipe) bounce(now instant) {
	if !p.dst.closed || p.first == len(p.segments) {
		return
	}
	arrives := p.segments[p.first].at
	if arrives == never {
		return // held: they will be answered when they get there
	}
	p.segments, p.first = p.segments[:0], 0
	p.back().abort(max(arrives, now), now)
}

// hold keeps back what is under way, as a link does that was cut.
func (p *pipe) hold(now instant) {
	for i := p.first; i < len(p.segments); i++ {
		if s := &p.segments[i]; s.at > now {
			s.at = never
		}
	}
	if p.fin.sent && p.fin.at > now {
		p.fin.at = never
	}
	if p.rst.sent && p.rst.at > now {
		p.rst.at = never
	}
	p.last = now
}

// release sends what was held.
func (p *pipe) release(now instant) {
	for i := p.first; i < len(p.segments); i++ {
		if s := &p.segments[i]; s.at == never {
			s.at = p.arrival(now, len(s.data))
		}
	}
	if p.fin.sent && p.fin.at == never {
		p.fin.at = p.arrival(now, 0)
	}
	if p.rst.sent && p.rst.at == never {
		p.rst.at = p.arrival(now, 0)
	}
	p.bounce(now)
	p.back().ack(0)
	p.dst.ring()
	p.src.ring() // it may have been frozen
}

// breakAt resets the connection at both ends at the given instant. What arrives
// after it is lost.
func (p *pipe) breakAt(now, at instant) {
	for _, q := range []*pipe{p, p.back()} {
		q.drop(at)
		if !q.rst.sent || q.rst.at > at {
			q.rst = mark{true, at}
		}
		q.dst.ringAt(now, at)
	}
}

// drop loses what arrives after the given instant.
func (p *pipe) drop(after instant) {
	keep := p.segments[:p.first]
	for _, s := range p.segments[p.first:] {
		if s.at <= after {
			keep = append(keep, s)
		}
	}
	p.segments = keep
	if p.fin.at > after {
		p.fin = mark{}
	}
}
