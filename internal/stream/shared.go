package stream

import (
	"cmp"
	"sync"
	"sync/atomic"
)

// The defaults of Limits.
const (
	DefaultAllLoads        = 8192
	DefaultAllChanges      = 2048
	DefaultAllRequestBytes = 64 << 20
	DefaultAllHeldBytes    = 64 << 20
)

// Limits are what all streams together may have that share them. A field that is zero has
// its default.
type Limits struct {
	// MaxLoads bounds what is being loaded, as Config.MaxLoads does for one stream, and four
	// times as much what is inside of loads.
	MaxLoads int
	// MaxChanges bounds the changes in progress that wait for other peers.
	MaxChanges int
	// MaxRequestBytes bounds what the requests cost that are not answered from a cache, in
	// bytes. One that comes at the bound is refused.
	MaxRequestBytes int
	// MaxHeldBytes bounds the values of answers that wait until there is room to write
	// them. One that comes at the bound is answered with peer.ErrLarge.
	MaxHeldBytes int
}

// Shared is what the streams share that one process answers.
type Shared struct {
	loads, nested, changes room
	requests, held         budget
}

// NewShared makes what streams share.
func NewShared(l Limits) *Shared {
	s := new(Shared)
	s.loads.most = int64(cmp.Or(l.MaxLoads, DefaultAllLoads))
	s.nested.most = nestedLoads * s.loads.most
	s.changes.most = int64(cmp.Or(l.MaxChanges, DefaultAllChanges))
	s.requests.most = int64(cmp.Or(l.MaxRequestBytes, DefaultAllRequestBytes))
	s.held.most = int64(cmp.Or(l.MaxHeldBytes, DefaultAllHeldBytes))
	return s
}

// budget is an amount of which parts are taken and given back.
type budget struct {
	most int64
	used atomic.Int64
}

// take takes n, and reports whether there was as much.
func (b *budget) take(n int) bool {
	for {
		used := b.used.Load()
		if used+int64(n) > b.most {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			return true
		}
	}
}

func (b *budget) give(n int) { b.used.Add(-int64(n)) }

// room bounds what all servers have in progress of one kind. Those whose jobs wait for
// it stand in line, so that none of them is overtaken for ever.
type room struct {
	budget
	ended atomic.Int64 // jobs, from the beginning
	waits atomic.Int32 // the length of line, for those who look without the lock

	mu   sync.Mutex
	line []*lane // guarded by mu
}

// enter takes n. Who is not in line does not overtake those who are. What is alone may
// have any size.
func (r *room) enter(n int, inLine bool) bool {
	if !inLine && r.waits.Load() > 0 {
		return false
	}
	return r.take(n) || r.used.CompareAndSwap(0, int64(n))
}

// leave gives n back, and lets in who is in line.
func (r *room) leave(n int) {
	r.give(n)
	r.ended.Add(1)
	for r.waits.Load() > 0 {
		r.mu.Lock()
		var l *lane
		if len(r.line) > 0 {
			l = r.line[0]
			r.line[0] = nil
			r.line = r.line[1:]
			r.waits.Add(-1)
		}
		r.mu.Unlock()
		if l == nil || !l.server.goOn(l) {
			return
		}
	}
}

// standInLine has l wait. Who was at the head of the line, and found less room than it
// needs, stays there.
func (r *room) standInLine(l *lane, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if first {
		r.line = append([]*lane{l}, r.line...)
	} else {
		r.line = append(r.line, l)
	}
	r.waits.Add(1)
}
