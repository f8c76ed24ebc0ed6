package stream

import (
	"fmt"
	"time"

	"github.com/peercache/peercache/peer"
)

// A request is overdue when it has not been answered within the Timeout of its Query,
// although the peer gives signs of life. It is withdrawn then, and its Waiter gets a
// *peer.UnansweredError. A peer that
// does not answer the withdrawal either, for as long again, breaks the protocol, and the link
// ends: else the requests that it never answers would take up all the room there is.
//
// As with the signs of life, time is counted in ticks of the watch.

// setTimeout begins the timeout of an open request, if it has one.
func (p *pending) setTimeout(s *slot) {
	if s.timeout <= 0 {
		return
	}
	s.until = p.now + int64(s.timeout/max(p.every, 1)) + 1
	if p.due == 0 || s.until < p.due {
		p.due = s.until
	}
}

// overdue is a request that is overdue, with the indexes that its Waiter gets an error for.
type overdue struct {
	id      uint64
	waiter  peer.Waiter
	timeout time.Duration
	indexes []int // with the base added
}

// tick counts one more tick, and returns the requests that are overdue. broken says that
// the peer has not answered a withdrawal. The caller holds the Link's mu.
func (p *pending) tick() (late []overdue, broken bool) {
	if p.now++; p.due == 0 || p.now < p.due {
		return nil, false
	}
	p.due = 0
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.id == 0 || s.timeout <= 0:
			continue
		case s.until > p.now:
			if p.due == 0 || s.until < p.due {
				p.due = s.until
			}
			continue
		case s.withdrawn:
			return late, true
		}
		if s.waiter != nil {
			o := overdue{id: s.id, waiter: s.waiter, timeout: s.timeout}
			for index := range s.keys {
				if !s.has(index) {
					o.indexes = append(o.indexes, s.base+index)
				}
			}
			late = append(late, o)
		}
		s.withdrawn, s.waiter = true, nil
		p.setTimeout(s)
	}
	return late, false
}

// withdraw tells the peer and the Waiters of the requests that are overdue.
func (l *Link) withdraw(late []overdue) {
	for _, o := range late {
		l.w.put(func(b []byte) []byte { return appendEnd(b, o.id, bodyCancel, nil) })
		err := &peer.UnansweredError{Peer: l.name, Within: o.timeout}
		for _, index := range o.indexes {
			o.waiter.Answer(index, peer.Answer{}, err)
		}
	}
}

// errUnanswered is why a link ends on which withdrawals are not answered.
func errUnanswered() error {
	return fmt.Errorf("%w: no answer to a request that was withdrawn", ErrProtocol)
}
