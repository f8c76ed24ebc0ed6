package stream

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// The defaults of Limits.
const (
	DefaultAllLoads        = 8192
	DefaultAllChanges      = 2048
	DefaultAllRequestBytes = 64 << 20
	DefaultAllHeldBytes    = 64 << 20
	DefaultAllFrameBytes   = 256 << 20
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
	// MaxHeldBytes bounds the loaded values that are not written yet, and what waits until they
	// may be. One that comes at the bound is answered with peer.ErrLarge. As many bytes of answers
	// may be gathered, beyond 16 KiB for each stream.
	MaxHeldBytes int
	// MaxFrameBytes bounds the buffers for frames of more than 64 KiB that are not whole yet, each as
	// large as it will be. Half of it is for strangers (Config.Stranger). What would be more is read
	// when there is room.
	MaxFrameBytes int
}

// Shared is what the streams share that one process answers.
type Shared struct {
	loads, nested, changes quota
	requests, held, queued budget
	frames, strangeFrames  *semaphore.Weighted // bytes, for which those wait that find too few
}

// NewShared makes what streams share.
func NewShared(l Limits) *Shared {
	s := new(Shared)
	s.loads.most = int64(cmp.Or(l.MaxLoads, DefaultAllLoads))
	s.nested.most = nestedLoads * s.loads.most
	s.changes.most = int64(cmp.Or(l.MaxChanges, DefaultAllChanges))
	s.requests.most = int64(cmp.Or(l.MaxRequestBytes, DefaultAllRequestBytes))
	s.held.most = int64(cmp.Or(l.MaxHeldBytes, DefaultAllHeldBytes))
	s.queued.most = s.held.most
	half := int64(cmp.Or(l.MaxFrameBytes, DefaultAllFrameBytes) / 2)
	s.frames, s.strangeFrames = semaphore.NewWeighted(half), semaphore.NewWeighted(half)
	return s
}

// budget is an amount of which parts are acquired and released.
type budget struct {
	most int64
	used atomic.Int64
}

// acquire acquires n, and reports whether there was as much.
func (b *budget) acquire(n int) bool {
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

func (b *budget) release(n int) { b.used.Add(-int64(n)) }

// quota bounds what all servers have in progress of one kind. Those whose jobs wait for
// it stand in line, so that none of them is overtaken for ever.
type quota struct {
	budget
	ended atomic.Int64 // jobs, from the beginning
	waits atomic.Int32 // the length of line, for those who look without the lock

	mu   sync.Mutex
	line []*lane // guarded by mu
}

// enter acquires n, and reports whether it did. Who is not in line does not overtake those who
// are. What is alone may have any size.
func (q *quota) enter(n int, inLine bool) bool {
	if !inLine && q.waits.Load() > 0 {
		return false
	}
	return q.acquire(n) || q.used.CompareAndSwap(0, int64(n))
}

// leave releases n, and lets in who is in line.
func (q *quota) leave(n int) {
	q.release(n)
	q.ended.Add(1)
	for q.waits.Load() > 0 {
		q.mu.Lock()
		var l *lane
		if len(q.line) > 0 {
			l = q.line[0]
			q.line[0] = nil
			q.line = q.line[1:]
			q.waits.Add(-1)
		}
		q.mu.Unlock()
		if l == nil || !l.server.goOn(l) {
			return
		}
	}
}

// standInLine puts l in line. Who was at the head of the line, and found less room than it
// needs, stays there.
func (q *quota) standInLine(l *lane, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if first {
		q.line = append([]*lane{l}, q.line...)
	} else {
		q.line = append(q.line, l)
	}
	q.waits.Add(1)
}

// boundFrames has s share the memory for frames of more than readBuffer bytes with the other streams.
func (s *Server) boundFrames() {
	frames := s.shared.frames
	if s.cfg.Stranger {
		frames = s.shared.strangeFrames
	}
	s.r.buf.release = func(n int) { frames.Release(int64(n)) }
	s.r.buf.acquire = func(n int) error {
		if frames.Acquire(s.ctx, int64(n)) != nil { // such as when the frame is not whole in time
			return context.Cause(s.ctx)
		}
		return nil
	}
}
