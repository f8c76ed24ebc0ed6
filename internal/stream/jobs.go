package stream

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/peer"
)

// job is a request that is not answered from a cache.
type job struct {
	id         uint64
	kind       body
	size       int        // of the request's frame
	lane       *lane      // which it goes through
	weight     int        // how much of its lane it takes
	tick       int        // of the server, when the job was queued
	begun      bool       // it is in progress; else it waits, or is refused
	query      peer.Query // of a get; of a batch, all but its Key
	batch      []byte     // of a batch: its message
	places     []uint32   // of a batch: the place in it of each key that was not cached
	change     []byte     // of a change: the request
	afterClose bool       // it came when the server had begun to close: see Close
	uncounted  bool       // Shared.requests does not count it
	quota      *quota     // nil, or what it holds its weight of; of its goroutine

	ctx    context.Context
	cancel context.CancelFunc

	mu         sync.Mutex
	answered   []bool // guarded by mu; by place in places, or just one; nil: none
	unanswered int    // guarded by mu; how many keys are not answered
}

// jobCost is what a job costs beside its request, in bytes, at most.
const jobCost = 512

// lane has the jobs of one kind that are in progress, or wait until they may be.
type lane struct {
	server  *Server
	most    int    // of busy
	quota   *quota // what all servers have for jobs of the kind; nil: they do not share it
	refusal string // why a job that there is no room for is refused; empty: it waits

	// These are guarded by the server's mu.
	busy   int    // the weights of the jobs in progress
	queue  []*job // the first first
	inLine bool   // in that of the quota
}

// jobs are the requests in flight that are not answered from a cache.
type jobs struct {
	open  map[uint64]*job
	peak  int // the most that were in open since it was made
	bytes int // of all in open
	over  bool

	// A job waits for a place in its lane, and then may wait for jobs of other lanes, here
	// or in other processes, but never for one of its own. So no jobs wait for each other,
	// and whatever is in progress, it ends.
	//
	// Changes have a lane for each answer of wire.ChangeWaits: what one of rounds waits
	// for is one of hints, or cached values, which take no lane; what one of hints waits for
	// is one of quick, which waits for nobody.
	//
	// Loads wait for loads: their getters ask other groups, whose owners are other
	// processes, and so on, as deep as they like. What is asked inside of a load goes
	// through nested, where nothing waits for a place: what finds none is refused, and is
	// loaded elsewhere. So what is in loads waits for what is in progress alone. There is
	// one exception. A getter may ask for a key for which its process is waiting already, on
	// behalf of somebody outside of all loads. Then that load may be one that waits in
	// loads. So loads do not wait without end: see shed.
	loads, nested, rounds, hints, quick lane

	stall    *time.Timer // of shed; nil before its first use
	stalling bool        // stall is running, because loads are queued
	tick     int         // how often it has fired
	still    int         // in how many ticks nothing has moved
	moved    int64       // what progress returned before

	closing    bool // see Close
	afterClose int  // the open jobs that came since
}

// restingJobs is for how many jobs a stream keeps memory that has none in flight.
const restingJobs = 64

// mostQuick bounds the goroutines of one stream that do changes which wait for nobody.
const mostQuick = 64

// nestedLoads is how many loads that are asked for inside of loads may be in progress, for
// each other one that may be. A getter may ask for several keys.
const nestedLoads = 4

// batchWeight is how many keys of a batch a load is taken for, at most, however many
// there are: a handler does not load more at once.
const batchWeight = 32

// weigh returns how many loads at once a batch of n keys is taken for. Of very many keys
// the memory counts as well.
func weigh(n int) int { return max(min(n, batchWeight), n/batchWeight) }

// start begins a job, at once or when there is room in its lane.
func (s *Server) start(j *job) error {
	if j.id == 0 {
		return protocolError("a request without an id")
	}
	j.unanswered = max(len(j.places), 1)
	s.mu.Lock()
	o, l := &s.jobs, j.lane
	switch {
	case o.open[j.id] != nil:
		s.mu.Unlock()
		return protocolError("two requests of one id (%d)", j.id)
	case len(o.open) >= s.cfg.MaxRequests || o.bytes >= s.cfg.MaxRequestBytes:
		s.mu.Unlock()
		return protocolError("more requests in flight than allowed")
	}
	j.ctx, j.cancel = context.WithCancel(s.ctx)
	o.open[j.id] = j
	o.peak = max(o.peak, len(o.open))
	o.bytes += j.size
	if j.afterClose = o.closing; j.afterClose {
		o.afterClose++
	}
	if !s.shared.requests.acquire(j.cost()) {
		j.uncounted = true
		s.mu.Unlock()
		s.refuse(j, "as many requests are in progress as the process takes")
		return nil
	}
	if l.refusal != "" && (!l.fits(j) || !l.quota.enter(j.weight, false)) {
		s.mu.Unlock()
		s.refuse(j, l.refusal)
		return nil
	}
	if l.refusal != "" {
		s.begin(j)
	} else {
		j.tick = o.tick
		l.queue = append(l.queue, j)
		s.fill(l, false)
	}
	s.mu.Unlock()
	return s.w.waitRoom() // whoever does not read the answers asks for no more
}

// cost is what j costs while it waits, in bytes.
func (j *job) cost() int { return jobCost + j.size + 5*len(j.places) }

// fits reports whether the lane has a place for j. What is alone may have any size. The
// caller holds the server's mu.
func (l *lane) fits(j *job) bool { return l.busy == 0 || l.busy+j.weight <= l.most }

// begin begins j, for which there is a place in its lane. The caller holds s.mu.
func (s *Server) begin(j *job) {
	j.begun = true
	j.lane.busy += j.weight
	j.quota = j.lane.quota
	s.running.Go(func() { s.run(j) })
}

// fill begins the jobs of a lane that there is room for. The caller holds s.mu, and says
// whether it was called from the head of the line.
func (s *Server) fill(l *lane, called bool) {
	for len(l.queue) > 0 && !s.jobs.over {
		j := l.queue[0]
		if !l.fits(j) {
			break // one of its own ends
		}
		if l.quota != nil && !l.quota.enter(j.weight, called) {
			if l.inLine {
				break
			}
			l.inLine = true
			l.quota.standInLine(l, called)
			if !l.quota.enter(j.weight, true) { // else somebody left before l was in line
				break
			}
		}
		l.queue[0] = nil
		l.queue = l.queue[1:]
		s.begin(j)
	}
	if l == &s.jobs.loads && len(l.queue) > 0 && !s.jobs.over && !s.jobs.stalling {
		s.jobs.stalling, s.jobs.still, s.jobs.moved = true, 0, s.progress()
		if s.jobs.stall == nil {
			s.jobs.stall = time.AfterFunc(stallTick, s.shed)
		} else {
			s.jobs.stall.Reset(stallTick)
		}
	}
}

// goOn is called when a lane of s is at the head of the line. It reports whether the next
// one may be called.
func (s *Server) goOn(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.inLine = false
	s.fill(l, true)
	return !l.inLine
}

// run does j, and begins what there is room for then.
func (s *Server) run(j *job) {
	defer func() { // also when the handler calls runtime.Goexit
		j.releaseQuota()
		s.mu.Lock()
		defer s.mu.Unlock()
		j.lane.busy -= j.weight
		s.fill(j.lane, false)
	}()
	s.do(j)
}

// releaseQuota releases what j holds of what all servers have together.
func (j *job) releaseQuota() {
	if q := j.quota; q != nil {
		j.quota = nil
		q.leave(j.weight)
	}
}

// Loads that wait are refused when in so many ticks none of those gets on that they wait
// for.
const (
	stallTick  = 500 * time.Millisecond
	stallTicks = 3
)

// progress returns a number that grows whenever one of the loads ends that the queued loads
// of s wait for. The caller holds s.mu.
func (s *Server) progress() int64 {
	n := s.loaded.Load()
	if s.jobs.loads.inLine {
		n += s.shared.loads.ended.Load()
	}
	return n
}

// shed refuses the loads that wait, if none of those in progress gets on. They may be
// waiting for each other: see jobs. Whoever is refused asks the next peer, and at last loads
// the key itself, where no lane is needed. So a circle of getters that wait for each other
// does not last, and loads that are only slow are not refused as long as one of them ends now
// and then.
func (s *Server) shed() {
	s.mu.Lock()
	o := &s.jobs
	l := &o.loads
	var refused []*job
	o.tick++
	if moved := s.progress(); moved != o.moved {
		o.moved, o.still = moved, 0
	} else if o.still++; o.still >= stallTicks {
		n := 0
		for n < len(l.queue) && o.tick-l.queue[n].tick >= stallTicks {
			n++
		}
		refused, l.queue = l.queue[:n:n], l.queue[n:]
	}
	if o.stalling = len(l.queue) > 0 && !o.over; o.stalling {
		o.stall.Reset(stallTick)
	}
	if len(refused) > 0 {
		s.running.Go(func() { // it may have to wait for room
			for i, j := range refused {
				refused[i] = nil // the queue goes on in the same array
				s.refuse(j, "as many loads are running as the peer has at once, and none ends")
			}
		})
	}
	s.mu.Unlock()
}

// refuse answers all keys of j: this peer does not, and another may.
func (s *Server) refuse(j *job, why string) {
	j.cancel()
	err := peer.RefuseClosed(why)
	for i := range max(len(j.places), 1) {
		s.reply(j, i, peer.Answer{}, err)
	}
}

// withdraw ends the context of a request that the peer has withdrawn. One that waits is
// answered at once: the peer does not wait for its answer for ever.
func (s *Server) withdraw(id uint64) {
	s.mu.Lock()
	j := s.jobs.open[id]
	waits := false
	if j != nil && !j.begun {
		if i := slices.Index(j.lane.queue, j); i >= 0 { // else it is being refused
			j.lane.queue = slices.Delete(j.lane.queue, i, i+1)
			s.fill(j.lane, false) // there may be room for the one behind it
			waits = true
		}
	}
	s.mu.Unlock()
	if j == nil {
		return
	}
	j.cancel()
	if waits {
		s.do(j) // it sees that it was withdrawn
	}
}

// endJobs forgets the jobs that nobody will do any more.
func (s *Server) endJobs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.jobs
	o.over = true
	if o.stall != nil {
		o.stall.Stop()
	}
	for _, l := range []*lane{&o.loads, &o.rounds, &o.hints, &o.quick} { // nothing waits in nested
		for _, j := range l.queue {
			j.cancel()
			s.forget(j)
		}
		l.queue = nil
	}
}

// forget ends j. The caller holds s.mu.
func (s *Server) forget(j *job) {
	delete(s.jobs.open, j.id)
	if len(s.jobs.open) == 0 && s.jobs.peak > restingJobs {
		s.jobs.open, s.jobs.peak = make(map[uint64]*job), 0 // a map does not become smaller
	}
	s.jobs.bytes -= j.size
	if j.afterClose {
		s.jobs.afterClose--
	}
	if !j.uncounted {
		s.shared.requests.release(j.cost())
	}
}

// errNoAnswer is what the peer gets for what the handler has not answered.
var errNoAnswer = errors.New("the peer gave no answer")

// do answers all keys of j, even if the handler does not.
func (s *Server) do(j *job) {
	a, err := peer.Answer{}, errNoAnswer
	defer func() { // also when the handler calls runtime.Goexit
		j.cancel()
		for i := range max(len(j.places), 1) {
			s.reply(j, i, a, err)
		}
	}()
	if ended := j.ctx.Err(); ended != nil {
		err = ended
		return
	}
	switch j.kind {
	case bodyGet:
		a, err = s.handler.Load(j.ctx, &j.query)
		j.releaseQuota() // that of others does not wait for this peer to read
	case bodyBatch:
		s.handler.LoadBatch(j.ctx, &j.query, j.keys(), func(i int, a peer.Answer, err error) { s.reply(j, i, a, err) })
	case bodyChange:
		a.Value, err = s.change(j.ctx, j.change), nil
	}
}

// change does what a pb.ChangeRequest says and returns the pb.ChangeResponse.
func (s *Server) change(ctx context.Context, request []byte) []byte {
	c, err := peer.DecodeChange(request)
	if err != nil {
		return encodeChanged(&peer.Changed{}, peer.RefuseInvalid(err.Error()))
	}
	changed, err := s.handler.Change(ctx, c)
	return encodeChanged(&changed, err)
}

// keys returns those of a batch that were not cached. While it waits it has only the places.
func (j *job) keys() []string {
	f := frame{kind: bodyBatch}
	f.decodeRequest(j.batch, math.MaxInt) // it was decoded when it came
	keys := make([]string, len(j.places))
	for i, place := range j.places {
		keys[i] = string(f.keys[place].of(j.batch))
	}
	return keys
}

// reply answers the i-th key of j, if it is not answered yet. To a change, the answer is a
// pb.ChangeResponse in a's Value.
func (s *Server) reply(j *job, i int, a peer.Answer, err error) {
	j.mu.Lock()
	if j.answered == nil {
		j.answered = make([]bool, max(len(j.places), 1))
	}
	if j.answered[i] {
		j.mu.Unlock()
		return
	}
	j.answered[i] = true
	j.unanswered--
	last := j.unanswered == 0
	j.mu.Unlock()
	if last { // before the answer: with it, the peer may use the id again
		s.mu.Lock()
		s.forget(j)
		s.mu.Unlock()
	}
	if j.begun && j.lane == &s.jobs.loads {
		s.loaded.Add(1)
	}
	if j.kind == bodyChange {
		if err != nil {
			a.Value = encodeChanged(&peer.Changed{}, err)
		}
		s.replyChange(j.id, a.Value)
		return
	}
	place := uint32(0)
	if j.kind == bodyBatch {
		place = j.places[i]
	}
	r := s.respond(a, err)
	s.w.answerInTurn(j.id, place, &r)
}

// replyChange answers a change with a pb.ChangeResponse.
func (s *Server) replyChange(id uint64, changed []byte) {
	if !s.w.putInTurn(func(b []byte) []byte {
		return append(appendFrame(b, id, bodyChanged, len(changed)), changed...)
	}) {
		s.cancel(fmt.Errorf("stream: %w: it sends changes and does not read the answers", ErrProtocol))
		s.nc.Close()
	}
}

// hold counts n bytes of what is not written yet, and reports whether there may be as many.
func (s *Server) hold(n int) bool {
	if !s.held.acquire(n) {
		return false
	}
	if !s.shared.held.acquire(n) {
		s.held.release(n)
		return false
	}
	return true
}

func (s *Server) release(n int) {
	s.held.release(n)
	s.shared.held.release(n)
}
