package stream

import (
	"container/list"
	"time"

	"github.com/peercache/peercache/peer"
)

// ID names a request of one Link, as long as it is in flight and after.
type ID = uint64

// pending are the requests in flight of a Link. Its methods are called with the
// Link's mu held.
type pending struct {
	slots []slot
	free  []uint32      // the places of slots that are free
	open  int           // the slots that are not
	bytes int           // of the frames of the open requests
	peak  int           // the most that were open at once since none was
	limit hello         // what the peer takes
	every time.Duration // from one tick of the watch to the next
	now   int64         // ticks of the watch
	used  uint64        // the most uses of a slot that was given back
	due   int64         // before this tick no request is overdue; 0: none has a timeout

	// waiting are the Rooms that wait, each a chan struct{} that is closed when it
	// is its turn. Whoever makes room wakes one, and so does whoever was woken,
	// where there is room for more.
	waiting list.List
}

// slot is one request in flight, or the place for one.
type slot struct {
	id      uint64 // the place, below a number that differs each time; 0: free
	kind    body
	waiter  peer.Waiter // nil: canceled
	start   time.Duration
	bytes   int // of the request's frame
	base    int // what is added to an answer's index
	keys    int // answers to come at first: 1 but for a batch
	awaited int // answers still to come
	// answered has a bit for each key of a batch of more than one.
	answered []uint64
	uses     uint64 // how often the slot was used

	timeout   time.Duration // of the Query; 0: none
	until     int64         // the tick at which it is overdue
	withdrawn bool          // because it was overdue
}

// hasRoom reports whether a request may be sent now, of whatever size.
func (p *pending) hasRoom() bool {
	return uint64(p.open) < p.limit.maxRequests && uint64(p.bytes) < p.limit.maxRequestBytes
}

// add takes a slot for a request whose body has size bytes. It reports whether the
// request is the only one in flight, and the one before it was too: where many
// were, more will follow at once.
func (p *pending) add(s slot, size int) (id uint64, alone bool, err error) {
	place, uses := uint32(len(p.slots)), p.used+1
	if n := len(p.free); n > 0 {
		place = p.free[n-1]
		uses = p.slots[place].uses + 1
	}
	s.id, s.uses = uses<<slotBits|uint64(place), uses
	s.bytes = sizeFrame(s.id, size)
	if uint64(s.bytes) > p.limit.maxFrame {
		return 0, false, ErrTooLarge
	}
	if !p.hasRoom() {
		return 0, false, ErrFull
	}
	p.setTimeout(&s)
	if n := len(p.free); n > 0 {
		p.free = p.free[:n-1]
		p.slots[place] = s
	} else {
		p.slots = append(p.slots, s)
	}
	p.open++
	p.bytes += s.bytes
	alone = p.open == 1 && p.peak <= 1
	if p.open == 1 {
		p.peak = 0
	}
	p.peak = max(p.peak, p.open)
	p.wakeOne()
	return s.id, alone, nil
}

// find returns the open request of the id, or nil.
func (p *pending) find(id uint64) *slot {
	place := id & (mostRequests - 1)
	if id == 0 || place >= uint64(len(p.slots)) || p.slots[place].id != id {
		return nil
	}
	return &p.slots[place]
}

// answer counts the answer to one key of s, and reports whether it was awaited.
func (p *pending) answer(s *slot, index uint32) bool {
	if uint64(index) >= uint64(s.keys) {
		return false
	}
	if s.answered != nil {
		if s.has(int(index)) {
			return false
		}
		s.answered[index/64] |= 1 << (index % 64)
	}
	if s.awaited--; s.awaited == 0 {
		p.remove(s)
	}
	return true
}

// has reports whether the key at the index was answered.
func (s *slot) has(index int) bool {
	return s.answered != nil && s.answered[index/64]&(1<<(index%64)) != 0
}

func (p *pending) remove(s *slot) {
	p.free = append(p.free, uint32(s.id&(mostRequests-1)))
	p.open--
	p.bytes -= s.bytes
	*s = slot{uses: s.uses}
	p.wakeOne()
}

// wakeOne tells the first of those who wait, if there is room.
func (p *pending) wakeOne() {
	if p.waiting.Len() > 0 && p.hasRoom() {
		close(p.waiting.Remove(p.waiting.Front()).(chan struct{}))
	}
}

// wakeAll tells all who wait.
func (p *pending) wakeAll() {
	for p.waiting.Len() > 0 {
		close(p.waiting.Remove(p.waiting.Front()).(chan struct{}))
	}
}

// endAll ends all open requests and returns them.
func (p *pending) endAll() []slot {
	ended := p.slots
	p.slots, p.free, p.open, p.bytes, p.due = nil, nil, 0, 0, 0
	return ended
}
