package stream

import (
	"context"
	"sync"
)

// job is a request that is not answered from a cache.
type job struct {
	id     uint64
	kind   body
	size   int      // of the request's frame
	query  Query    // of a get; of a batch, all but its Key
	keys   []string // of a batch
	places []uint32 // of a batch: the place of each key in the request
	change []byte   // of a change: the request

	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	answered []bool // guarded by mu; by place in keys, or just one
	left     int    // guarded by mu; those not answered
}

// jobs are the requests in flight that are not answered from a cache.
type jobs struct {
	open    map[uint64]*job
	bytes   int    // of all in open
	queue   []*job // those that wait for a goroutine, the first first
	loading int    // goroutines
	nested  int    // goroutines of what is asked inside of loads
}

// start has a job done, in a goroutine of its own or when one is free. A change
// does not wait for loads. Nor does what is asked inside of a load, or loads could wait
// for each other: where there is too much of it, it is refused.
func (s *Server) start(j *job) error {
	took, err := s.admit(j)
	if err != nil || took {
		return err
	}
	j.cancel()
	for i := range j.answered {
		s.reply(j, i, Answer{Err: &Error{Kind: kindUnknown, Message: "the peer runs as many loads inside of loads as it takes"}})
	}
	return nil
}

// nestedLoads is how many goroutines what is asked inside of loads may have, for each that
// other loads may have.
const nestedLoads = 4

// admit reports whether j will be done.
func (s *Server) admit(j *job) (took bool, err error) {
	if j.id == 0 {
		return false, protocolError("a request without an id")
	}
	j.ctx, j.cancel = context.WithCancel(s.ctx)
	j.left = max(len(j.keys), 1)
	j.answered = make([]bool, j.left)
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.jobs
	switch {
	case o.open[j.id] != nil:
		j.cancel()
		return false, protocolError("two requests of one id (%d)", j.id)
	case len(o.open) >= s.cfg.MaxRequests || o.bytes >= s.cfg.MaxRequestBytes:
		j.cancel()
		return false, protocolError("more requests in flight than allowed")
	}
	o.open[j.id] = j
	o.bytes += j.size
	switch {
	case j.kind == bodyChange:
		s.running.Go(func() { s.do(j) })
	case j.query.Nested != 0 && o.nested == nestedLoads*s.cfg.MaxLoads:
		return false, nil
	case j.query.Nested != 0:
		o.nested++
		s.running.Go(func() { s.doNested(j) })
	case o.loading < s.cfg.MaxLoads:
		o.loading++
		s.running.Go(func() { s.load(j) })
	default:
		o.queue = append(o.queue, j)
	}
	return true, nil
}

// doNested does j, which was asked inside of a load.
func (s *Server) doNested(j *job) {
	defer func() { // also when the handler calls runtime.Goexit
		s.mu.Lock()
		defer s.mu.Unlock()
		s.jobs.nested--
	}()
	s.do(j)
}

// load does j, and then what is in the queue.
func (s *Server) load(j *job) {
	returned := false
	defer func() {
		if !returned && j != nil {
			// The handler ended the goroutine. Another goes on.
			s.running.Go(func() { s.load(nil) })
		}
	}()
	for {
		if j != nil {
			s.do(j)
		}
		s.mu.Lock()
		if j = nil; len(s.jobs.queue) > 0 {
			j = s.jobs.queue[0]
			s.jobs.queue[0] = nil
			s.jobs.queue = s.jobs.queue[1:]
		} else {
			s.jobs.loading--
		}
		s.mu.Unlock()
		if j == nil {
			returned = true
			return
		}
	}
}

// do answers all keys of j, even if the handler does not.
func (s *Server) do(j *job) {
	rest := Answer{Err: &Error{Kind: kindUnknown, Message: "the peer gave no answer"}}
	defer func() { // also when the handler calls runtime.Goexit
		j.cancel()
		for i := range j.answered {
			s.reply(j, i, rest)
		}
	}()
	if err := j.ctx.Err(); err != nil {
		rest.Err = errorOf(kindCanceled, err)
		return
	}
	switch j.kind {
	case bodyGet:
		rest = s.handler.Load(j.ctx, j.query)
	case bodyBatch:
		s.handler.LoadBatch(j.ctx, j.query, j.keys, func(i int, a Answer) { s.reply(j, i, a) })
	case bodyChange:
		rest.Value = stringOf(s.handler.Change(j.ctx, j.change))
	}
}

// reply answers the i-th key of j, if it is not answered yet.
func (s *Server) reply(j *job, i int, a Answer) {
	j.mu.Lock()
	if j.answered[i] {
		j.mu.Unlock()
		return
	}
	j.answered[i] = true
	j.left--
	last := j.left == 0
	j.mu.Unlock()
	if last { // before the answer: with it, the peer may use the id again
		s.mu.Lock()
		delete(s.jobs.open, j.id)
		s.jobs.bytes -= j.size
		s.mu.Unlock()
	}
	if s.w.waitRoom() != nil {
		return // there is nobody to answer
	}
	switch j.kind {
	case bodyChange:
		s.w.put(func(b []byte) []byte { return append(appendFrame(b, j.id, bodyChanged, len(a.Value)), a.Value...) })
	case bodyBatch:
		s.fit(&a)
		s.w.answer(j.id, j.places[i], &a)
		s.w.signal()
	default:
		s.fit(&a)
		s.w.answer(j.id, 0, &a)
		s.w.signal()
	}
}
