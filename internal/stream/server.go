package stream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/wire"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// Server is the answering side of a stream: of one connection.
type Server struct {
	cfg     Config
	nc      net.Conn
	handler peer.Handler
	// query is what handler.Hit is asked, so that none is allocated. Hit may change it. It belongs
	// to the goroutine in Run.
	query   peer.Query
	r       reader // of the goroutine in Run
	w       writer
	largest int // value that the peer takes; of the goroutine in Run until jobs start

	ctx     context.Context // of all jobs
	cancel  context.CancelCauseFunc
	running sync.WaitGroup // all goroutines but that in Run
	done    chan struct{}  // closed when Run has returned

	// These count what is answered by the goroutine in Run, and are read by Stats.
	requests, keys, batches, changes, canceled, loads atomic.Int64

	shared     *Shared
	held       budget       // the values of answers that wait until there is room to write them
	loaded     atomic.Int64 // keys that were answered by the jobs of the lane loads
	unfinished *time.Timer  // ends the stream if a frame, or the hello, is not whole in time

	mu   sync.Mutex
	jobs jobs // guarded by mu
}

// NewServer makes the answering side of a stream on a connection. br holds what
// was read of nc before, such as what came with a request for an upgrade, and may
// be nil.
func NewServer(nc net.Conn, br *bufio.Reader, h peer.Handler, cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), nc: nc, handler: h, done: make(chan struct{})}
	s.r.init(nc, br)
	s.w.init(nc, s.cfg.MaxQueuedBytes)
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	if s.shared = s.cfg.Shared; s.shared == nil {
		s.shared = NewShared(Limits{})
	}
	s.held.most = int64(s.cfg.MaxHeldBytes)
	s.w.hold, s.w.release, s.w.queued = s.hold, s.release, &s.shared.queued
	s.boundFrames()
	o := &s.jobs
	o.open = make(map[uint64]*job)
	o.loads = lane{server: s, most: s.cfg.MaxLoads, quota: &s.shared.loads}
	o.rounds = lane{server: s, most: s.cfg.MaxChanges, quota: &s.shared.changes}
	o.nested = lane{server: s, most: nestedLoads * s.cfg.MaxLoads, quota: &s.shared.nested,
		refusal: "as many loads that are asked for inside of loads are running as the peer has at once"}
	o.hints = lane{server: s, most: s.cfg.MaxChanges}
	o.quick = lane{server: s, most: mostQuick}
	return s
}

// Run answers requests until the connection ends, and returns when all loads it
// started have returned. Its error is nil if the peer closed the connection. It
// must be called exactly once.
func (s *Server) Run() error {
	defer close(s.done)
	defer s.cancel(io.EOF) // also if the handler panics
	watch := s.endWhenIdle()
	s.running.Go(func() {
		if s.w.run(s.ctx.Done()) != nil {
			s.nc.Close() // Run sees it
		}
	})
	defer s.r.buf.discharge()
	err := s.read()
	s.unfinished.Stop()
	if errors.Is(err, ErrProtocol) {
		s.goAway(peer.RefuseInvalid(err.Error()))
	}
	cause := err
	if cause == nil {
		cause = io.EOF
	}
	s.cancel(cause)
	watch.Stop()
	s.nc.Close()
	s.w.fail(cause)
	s.endJobs()
	s.running.Wait()
	return err
}

// read greets the peer and answers its requests until the connection ends.
func (s *Server) read() error {
	s.w.put(func(b []byte) []byte {
		return appendHello(b, hello{
			maxFrame:        uint64(s.cfg.MaxRequestBytes),
			maxRequests:     uint64(s.cfg.MaxRequests),
			maxRequestBytes: uint64(s.cfg.MaxRequestBytes),
			maxKeys:         uint64(s.cfg.MaxKeys),
			idleTimeout:     s.cfg.IdleTimeout,
		})
	})
	// What was answered goes out before reading may block.
	s.r.src.before = func() {
		s.flush()
		s.query = peer.Query{} // its strings may hold the memory of a long frame
	}
	s.unfinished = time.AfterFunc(s.cfg.HelloTimeout, func() { s.endUnfinished("hello", s.cfg.HelloTimeout) })
	asking, err := s.r.hello()
	if err != nil {
		return s.ended(err)
	}
	if s.unfinished.Stop() {
		s.unfinished = time.AfterFunc(time.Hour, func() { s.endUnfinished("whole frame", s.cfg.FrameTimeout) })
		s.unfinished.Stop()
	}
	s.r.onPartial = func() { s.unfinished.Reset(s.cfg.FrameTimeout) }
	s.r.onWhole = func() { s.unfinished.Stop() }
	s.largest = s.cfg.LargeValue
	if asking.maxFrame > 0 {
		s.largest = max(0, min(s.largest, int(min(asking.maxFrame, 1<<30))-besideValue))
	}
	s.r.maxFrame, s.r.maxKeys = s.cfg.MaxRequestBytes, s.cfg.MaxKeys
	for {
		f, size, err := s.r.next()
		if err == nil {
			err = s.handle(f, size)
		}
		if err != nil {
			return s.ended(err)
		}
	}
}

// endUnfinished ends the stream because what has begun to come was not whole in time. Whoever
// sends a byte now and then would hold on to it otherwise.
func (s *Server) endUnfinished(what string, within time.Duration) {
	s.cancel(fmt.Errorf("stream: %w: no %s within %v", ErrSilent, what, within))
	s.nc.Close()
}

// ended returns why reading ended with err, or nil if the peer hung up.
func (s *Server) ended(err error) error {
	switch cause := context.Cause(s.ctx); {
	case cause != nil:
		return cause // and reading ended because of that
	case err == io.EOF:
		return nil
	}
	return err
}

// handle does what a frame of size bytes says.
func (s *Server) handle(f *frame, size int) error {
	switch f.kind {
	case bodyGet:
		return s.get(f, size)
	case bodyBatch:
		return s.batch(f, size)
	case bodyChange:
		s.requests.Add(1)
		s.changes.Add(1)
		lane := &s.jobs.quick
		switch wire.ChangeWaits(f.message) {
		case wire.ForSender:
			lane = &s.jobs.hints
		case wire.ForOthers:
			lane = &s.jobs.rounds
		}
		return s.start(&job{id: f.id, kind: bodyChange, size: size, lane: lane, weight: 1, change: bytes.Clone(f.message)})
	case bodyCancel:
		s.canceled.Add(1)
		s.withdraw(f.id)
		return nil
	case bodyPing:
		s.w.put(func(b []byte) []byte { return appendFrame(b, 0, bodyPong, 0) })
		return s.w.waitRoom()
	case bodyNone:
		return nil
	}
	return protocolError("a frame that only the answering side sends")
}

func (s *Server) get(f *frame, size int) error {
	s.requests.Add(1)
	s.keys.Add(1)
	f.query(&s.query)
	a, err := s.handler.Hit(&s.query)
	if err != peer.ErrNotCached && f.id != 0 {
		return s.answer(f.id, 0, a, err)
	}
	s.loads.Add(1)
	f.query(&s.query)
	if f.cachedOnly && f.id != 0 { // it waits for nothing, and so must not wait for loads
		q := cloneQuery(&s.query)
		a, err := s.handler.Load(s.ctx, &q)
		return s.answer(f.id, 0, a, err)
	}
	return s.start(&job{id: f.id, kind: bodyGet, size: size, lane: s.loadLane(f), weight: 1, query: cloneQuery(&s.query)})
}

// loadLane returns the lane of what is to be loaded.
func (s *Server) loadLane(f *frame) *lane {
	if f.nested != 0 {
		return &s.jobs.nested
	}
	return &s.jobs.loads
}

func (s *Server) batch(f *frame, size int) error {
	s.requests.Add(1)
	s.batches.Add(1)
	s.keys.Add(int64(len(f.keys)))
	if len(f.keys) == 0 || f.id == 0 {
		return protocolError("a batch without a key or an id")
	}
	var misses *job
	for i, at := range f.keys {
		q := &s.query
		f.query(q)
		q.Key, q.More = wire.StringOf(at.of(f.body)), i+1 < len(f.keys)
		if len(f.digests) > 0 {
			q.Digest = wire.StringOf(f.digests[i].of(f.body))
		}
		if a, err := s.handler.Hit(q); err != peer.ErrNotCached {
			if err := s.answer(f.id, uint32(i), a, err); err != nil {
				return err
			}
			continue
		}
		if misses == nil {
			misses = &job{id: f.id, kind: bodyBatch, size: size, lane: s.loadLane(f), batch: bytes.Clone(f.body)}
			f.query(&s.query)
			misses.query = cloneQuery(&s.query)
			misses.places = make([]uint32, 0, len(f.keys)-i)
		}
		misses.places = append(misses.places, uint32(i))
	}
	if misses == nil {
		return nil
	}
	misses.weight = weigh(len(misses.places))
	s.loads.Add(int64(len(misses.places)))
	return s.start(misses)
}

// writeAt is how many bytes of answers are gathered, at most, before the reading
// goroutine writes them, although there is more to read.
const writeAt = 128 << 10

// answer answers a key, from the reading goroutine.
func (s *Server) answer(id uint64, index uint32, a peer.Answer, err error) error {
	r := s.respond(a, err)
	if s.w.answer(id, index, &r) < writeAt {
		return nil
	}
	s.flush()
	return s.w.waitRoom()
}

// respond returns the response for what the handler answers: one that the peer takes.
func (s *Server) respond(a peer.Answer, err error) response {
	r := response{Answer: a}
	switch {
	case err != nil:
		r.Value, r.err = nil, encodeError(err)
	case len(a.Value) > s.largest:
		r = response{plain: true}
	}
	return r
}

// flush writes what was answered, once. What came meanwhile is left to the
// goroutine that writes, so that reading goes on.
func (s *Server) flush() {
	if more, err := s.w.flush(); err != nil {
		s.nc.Close()
	} else if more {
		s.w.signal()
	}
}

// goAway tells the peer to leave, because of an error, if there is one.
func (s *Server) goAway(err error) {
	var e *pb.Error
	if err != nil {
		e = encodeError(err)
	}
	s.w.put(func(b []byte) []byte { return appendEnd(b, 0, bodyGoAway, e) })
	if e != nil {
		s.nc.SetWriteDeadline(time.Now().Add(time.Second))
		s.w.flush()
	}
}

// closingTicks is for how many detection times after the request to leave requests of
// the peer count: it may have sent them before it heard. What comes later is done, but not
// waited for.
const closingTicks = 4

// Close asks the peer to send no more requests and waits until it has closed the
// connection, which it does when all its requests are answered. If they are, and no request
// comes from the peer for the detection time, it hangs, or is gone, and is not waited for.
// Pings are no requests. When ctx ends, Close ends the connection and the contexts of the
// loads, waits for them, and returns ctx's error.
func (s *Server) Close(ctx context.Context) (err error) {
	s.goAway(nil)
	silence := time.NewTicker(s.cfg.Detect)
	defer silence.Stop()
	came, went, over := int64(-1), int64(-1), false
	for ticks := 1; !over && err == nil; ticks++ {
		select {
		case <-s.done:
			return nil
		case <-silence.C:
			requests, bytes := s.requests.Load(), s.r.src.count.Load()
			s.mu.Lock()
			s.jobs.closing = ticks >= closingTicks
			over = len(s.jobs.open) == s.jobs.afterClose
			s.mu.Unlock()
			if ticks < closingTicks { // a peer that pings may still read the last answers
				over = over && requests == came && (bytes == went || s.w.idle())
			}
			came, went = requests, bytes
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.cancel(ErrClosed)
	s.nc.Close()
	<-s.done
	return err
}

// endWhenIdle closes the connection when for the idle timeout no byte has come, or none
// could be written.
func (s *Server) endWhenIdle() *time.Timer {
	const ticks = 4
	var mu sync.Mutex // the timer may be faster than its own assignment
	var timer *time.Timer
	var bytes int64
	var rounds, silent, stuck int
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(s.cfg.IdleTimeout/ticks, func() {
		mu.Lock()
		defer mu.Unlock()
		if s.ctx.Err() != nil {
			return
		}
		silent, stuck = silent+1, stuck+1
		if silent > 1 {
			s.rest()
		}
		if n := s.r.src.count.Load(); n != bytes {
			bytes, silent = n, 0
		}
		s.w.mu.Lock()
		if !s.w.writing || s.w.rounds != rounds {
			rounds, stuck = s.w.rounds, 0
		}
		s.w.mu.Unlock()
		if silent >= ticks || stuck >= ticks {
			s.cancel(fmt.Errorf("stream: %w: no byte went or came for %v", ErrSilent, s.cfg.IdleTimeout))
			s.nc.Close()
			return
		}
		timer.Reset(s.cfg.IdleTimeout / ticks)
	})
	return timer
}

// Stats returns the server's figures.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Requests: s.requests.Load(),
		Keys:     s.keys.Load(),
		Batches:  s.batches.Load(),
		Changes:  s.changes.Load(),
		Canceled: s.canceled.Load(),
		Loads:    s.loads.Load(),
		BytesIn:  s.r.src.count.Load(),
		BytesOut: s.w.count.Load(),
		InFlight: len(s.jobs.open),
	}
}
