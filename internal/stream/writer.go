package stream

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// gatherCopies is the size of a value, in bytes, up to which it is copied to
	// where the frames are gathered. A larger one is written from where it is,
	// which costs the kernel an entry of a vector for it and one for what follows.
	gatherCopies = 2 << 10
	// keptBuffer is how large a buffer may be to be used again, and restingBuffer that of a stream
	// that has nothing to do.
	keptBuffer    = 512 << 10
	restingBuffer = 1 << 10
)

// writer gathers frames and writes them, many at once. Frames may be put by many
// goroutines; at any time one of them, or run, writes what was gathered so far,
// while the others gather what goes out next.
type writer struct {
	nc     net.Conn
	copies int // values up to that size are copied
	most   int // bytes that may wait before putters have to
	// hold counts bytes of loaded values, and reports whether there may be as many, and release
	// counts them no more. They are set where answerInTurn is used.
	hold    func(n int) bool
	release func(n int)
	// queued is a budget of all streams for what is gathered beyond keptQueue in each; nil: there is
	// none.
	queued *budget

	// wake tells run that there is something to write. It has room for one, and is
	// written to with mu held: at most one is ever needed.
	wake  chan struct{}
	count atomic.Int64 // bytes written

	mu      sync.Mutex
	drained sync.Cond // of mu: next has become smaller, or err was set
	next    gathered  // guarded by mu; what goes out next
	spare   gathered  // guarded by mu; empty, with memory to use again
	writing bool      // guarded by mu; somebody writes what was next before
	rounds  int       // guarded by mu; writes that are over
	err     error     // guarded by mu; why nothing is written any more
}

// gathered are frames, as they stand one behind the other.
type gathered struct {
	buf  []byte
	cuts []cut // in the order of at
	size int   // of all values in cuts
	held int   // what hold was called for
	over int   // what counts in queued
	vec  net.Buffers
}

// cut is a value that goes between buf[:at] and buf[at:].
type cut struct {
	at    int
	value []byte
}

func (w *writer) init(nc net.Conn, most int) {
	w.nc, w.most = nc, most
	w.wake = make(chan struct{}, 1)
	w.drained.L = &w.mu
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		w.copies = gatherCopies
	default:
		// What else there is would write every piece by itself, and copies it
		// anyway, as TLS does.
		w.copies = 1 << 30
	}
}

// answer gathers an answer and returns how many bytes wait now. It must be followed
// by signal or flush.
func (w *writer) answer(id uint64, index uint32, a *response) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gather(id, index, a)
	return len(w.next.buf) + w.next.size
}

// gather gathers an answer. The caller holds w.mu.
func (w *writer) gather(id uint64, index uint32, a *response) {
	g := &w.next
	if w.err != nil {
		return
	}
	g.buf = appendAnswer(g.buf, id, index, a)
	if len(a.Value) <= w.copies {
		g.buf = append(g.buf, a.Value...)
	} else {
		g.cuts = append(g.cuts, cut{len(g.buf), a.Value})
		g.size += len(a.Value)
	}
}

// costOfWaiting is what an answer costs that waits for room, beside its value: a goroutine does.
const costOfWaiting = 8 << 10

// answerInTurn gathers an answer when there is room, and wakes run. Of many that wait
// no more is gathered than there is room for. A value is held until it is written, and what has to
// wait is too. If it may not be, the answer is that the value takes the plain way, and does not
// wait, because whoever gave it may have the value as long as it does: there are no more of
// these than keys of open requests.
func (w *writer) answerInTurn(id uint64, index uint32, a *response) {
	w.mu.Lock()
	size, waits := len(a.Value), 0
	if w.full() {
		waits = costOfWaiting
	}
	if size+waits > 0 && !w.hold(size+waits) {
		w.gather(id, index, &response{plain: true})
		w.unlockSignal()
		return
	}
	w.awaitRoom()
	if w.err == nil {
		w.gather(id, index, a)
		w.next.held += size
		size = 0
	}
	w.unlockSignal()
	if size+waits > 0 {
		w.release(size + waits)
	}
}

// putInTurn gathers what add appends, when there is room, and wakes run. It reports false if too much
// waits for that already.
func (w *writer) putInTurn(add func(b []byte) []byte) bool {
	w.mu.Lock()
	waits := w.full()
	if waits && !w.hold(costOfWaiting) {
		w.mu.Unlock()
		return false
	}
	w.awaitRoom()
	if w.err == nil {
		w.next.buf = add(w.next.buf)
	}
	w.unlockSignal()
	if waits {
		w.release(costOfWaiting)
	}
	return true
}

// keptQueue is how much a stream may gather however much the others have.
const keptQueue = 16 << 10

// full reports whether whoever has more to say has to wait. The caller holds w.mu.
func (w *writer) full() bool {
	n := len(w.next.buf) + w.next.size
	if w.err != nil || n < keptQueue || w.queued == nil {
		return w.err == nil && n >= w.most
	}
	if over := n - keptQueue; over > w.next.over {
		w.queued.used.Add(int64(over - w.next.over))
		w.next.over = over
	}
	return n >= w.most || w.queued.used.Load() > w.queued.most
}

// put gathers what add appends, and wakes run.
func (w *writer) put(add func(b []byte) []byte) {
	w.mu.Lock()
	if w.err == nil {
		w.next.buf = add(w.next.buf)
	}
	w.unlockSignal()
}

// signal wakes run.
func (w *writer) signal() {
	w.mu.Lock()
	w.unlockSignal()
}

func (w *writer) unlockSignal() {
	if !w.writing { // else the one who writes sees it
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	w.mu.Unlock()
}

// run writes what was gathered whenever it is woken, until done is closed or a write fails.
func (w *writer) run(done <-chan struct{}) error {
	for {
		select {
		case <-w.wake:
		case <-done:
			return nil
		}
		// Those who can run now may have something to say too. Where nobody can,
		// this returns at once.
		runtime.Gosched()
		for more := true; more; {
			var err error
			if more, err = w.flush(); err != nil {
				return err
			}
		}
	}
}

// flush writes what was gathered, unless somebody is writing, who then writes that
// too. It reports whether there is more.
func (w *writer) flush() (more bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writing || len(w.next.buf) == 0 || w.err != nil {
		return false, w.err
	}
	out := w.next
	w.next, w.spare = w.spare, gathered{}
	w.writing = true
	w.mu.Unlock()
	n, err := out.writeTo(w.nc)
	w.unhold(&out)
	out.reset()
	w.count.Add(n)
	w.mu.Lock()
	w.writing = false
	w.rounds++
	w.spare = out
	if err != nil {
		w.err = fmt.Errorf("stream: write: %w", err)
		w.unhold(&w.next)
		w.next = gathered{}
	}
	w.drained.Broadcast()
	return len(w.next.buf) > 0, w.err
}

// idle reports whether all was written.
func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.writing && len(w.next.buf) == 0
}

// waitRoom returns when less than most bytes wait, or nothing is written any more.
// Who has to wait writes, if nobody does.
func (w *writer) waitRoom() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaitRoom()
	if len(w.next.buf) > 0 && !w.writing {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return w.err
}

// awaitRoom does what waitRoom does. The caller holds w.mu, which others have meanwhile.
func (w *writer) awaitRoom() {
	for w.full() {
		if w.writing {
			w.drained.Wait()
			continue
		}
		w.mu.Unlock()
		w.flush() // sets err
		w.mu.Lock()
	}
}

// fail stops all writing, and lets go those who wait.
func (w *writer) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.unhold(&w.next)
	w.next = gathered{}
	w.drained.Broadcast()
	w.mu.Unlock()
}

// unhold releases what g holds.
func (w *writer) unhold(g *gathered) {
	if g.over > 0 {
		w.queued.release(g.over)
		g.over = 0
	}
	if g.held > 0 {
		w.release(g.held)
		g.held = 0
	}
}

func (g *gathered) writeTo(nc net.Conn) (int64, error) {
	if len(g.cuts) == 0 {
		n, err := nc.Write(g.buf)
		return int64(n), err
	}
	from := 0
	for _, c := range g.cuts {
		g.vec = append(g.vec, g.buf[from:c.at], c.value)
		from = c.at
	}
	if from < len(g.buf) {
		g.vec = append(g.vec, g.buf[from:])
	}
	vec := g.vec // WriteTo moves the start of what it is called on
	return vec.WriteTo(nc)
}

// reset makes g empty. It keeps the memory, unless there is much of it, but none
// of the values.
func (g *gathered) reset() {
	clear(g.cuts)
	clear(g.vec)
	g.buf, g.cuts, g.vec, g.size = g.buf[:0], g.cuts[:0], g.vec[:0], 0
	if cap(g.buf) > keptBuffer {
		g.buf = nil
	}
}
