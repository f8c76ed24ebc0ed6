package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// Anybody can send a request in a peer's name. So the peer state in a request is a hint, unless
// it comes with a proof. A hint changes nothing:
//
//   - If it says what is known already, nothing is done.
//   - Else this process asks the peer itself, at its address, and observes the answer. The sender of
//     the hint is answered when that is over, and told if the hint was not confirmed
//     (peer.Changed.Unheard): it must not believe that its state was observed.
//
// A proof is a token that this process sends to the peer's address with each request, and
// nowhere else. Peers that have sent each other requests have their tokens, so that as a rule
// nobody asks.

const (
	// questionEvery is the shortest time between two questions to one peer.
	questionEvery = 100 * time.Millisecond
	// questionsAtOnce is how many peers are asked at the same time.
	questionsAtOnce = 64
	// mostAbsent is how many names of absent peers in one state are looked at.
	mostAbsent = 4096
)

// token is what a peer expects as a proof.
type token struct {
	value   uint64
	process uint32 // the process that has sent a proof with it; 0: none has
}

// token returns what a peer has to send as a proof. It is always the same, and nobody can guess
// it.
func (c *Cluster) token(name string) uint64 {
	sum := sha256.Sum256(append(c.secret[:len(c.secret):len(c.secret)], name...))
	return max(binary.LittleEndian.Uint64(sum[:]), 1)
}

// proofFor returns what a peer expects as a proof; 0, if it has not said.
func (c *Cluster) proofFor(name string) uint64 {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	if r := c.agreement.records[name]; r != nil {
		return r.token.value
	}
	return 0
}

// proven reports whether a request comes from the process that answers at the address of its
// sender: it has the token, and no other process was observed there since. A process that ends
// while the next one runs at its address already is not proven.
//
// It also keeps the token in the request. A token without a proof does not replace one that has
// come with a proof of the process that answers there. So a forged one changes nothing among
// peers that have sent each other proofs.
func (c *Cluster) proven(from string, change *peer.Change) bool {
	v := c.view.Load()
	if !v.lists(from) {
		return false
	}
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.recordOf(from)
	proven := change.Proof == c.token(from) && r.observed && r.last.process == change.State.Process
	if value := change.Token; value != 0 {
		switch {
		case proven:
			r.token = token{value, r.last.process}
		case r.token.process == 0 || r.token.process != r.last.process:
			r.token = token{value, 0}
		}
	}
	return proven
}

// observeRequest observes the peer state in a request if it is proven, else asks the sender
// about it. It reports whether the state is confirmed, and whether the request may wait for
// others. The caller calls done when the request is answered.
func (c *Cluster) observeRequest(ctx context.Context, from string, change *peer.Change, proven bool) (confirmed, waits bool, done func()) {
	s := &peerState{State: change.State, announced: change.Announced}
	s.Began = 0
	if proven {
		c.observe(from, s)
		return true, true, func() {}
	}
	waits = c.unproven.TryAcquire(1)
	done = func() {
		if waits {
			c.unproven.Release(1)
		}
	}
	return c.checkHint(ctx, from, s, waits), waits, done
}

// checkHint asks a peer about itself if s says something new. It waits for the answer if it
// may. It reports whether the hint is confirmed: the peer is the process that s names, and all
// that it says was observed.
func (c *Cluster) checkHint(ctx context.Context, name string, s *peerState, waits bool) bool {
	v := c.view.Load()
	if s.View == 0 || name == c.self || !v.lists(name) {
		return true // it says nothing that counts here
	}
	ctx, cancel := context.WithTimeout(ctx, c.detectionTime())
	defer cancel()
	for first := true; ; first = false {
		if c.alreadyObserved(name, s) {
			return true
		}
		q, sent := c.startQuestion(name, s, false)
		if q == nil || !waits {
			return false
		}
		select {
		case <-q.answered:
		case <-ctx.Done():
			return false
		}
		if !sent || !first { // else it may have been answered before the hint came
			return q.err == nil && (s.Process == 0 || q.process == 0 || q.process == s.Process)
		}
	}
}

// alreadyObserved reports whether a hint says what was observed of the peer already.
func (c *Cluster) alreadyObserved(name string, s *peerState) bool {
	if len(c.presentOf(s.Absent)) > 0 {
		return false
	}
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	last, known := c.agreement.lastOf(name)
	if !known || last.process != s.Process || last.view != s.View || last.leaving != s.Leaving || last.offering != s.Offering {
		return false
	}
	return !s.announced || s.Process != 0 && last.counted && s.Number <= last.number
}

// question asks a peer for its state. Each peer is asked one at a time.
type question struct {
	hint     *peerState // guarded by c.mu; the hint that is to be confirmed; may be nil
	absent   bool       // guarded by c.mu; another peer says that this one is leaving
	sent     bool       // guarded by c.mu
	answered chan struct{}
	err      error  // written before answered is closed
	process  uint32 // likewise; the process that has answered
}

// startQuestion returns the question to a peer that is in progress, and whether it was sent
// already, or begins one. nil means that this process has left.
func (c *Cluster) startQuestion(name string, hint *peerState, absent bool) (q *question, sent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return nil, false
	}
	q = c.questions[name]
	if q == nil {
		q = &question{answered: make(chan struct{})}
		c.questions[name] = q
		c.background.Go(func() { c.sendQuestion(name, q) })
	}
	q.absent = q.absent || absent
	if !q.sent && hint != nil && (q.hint == nil || hint.announced) {
		q.hint = hint
	}
	return q, q.sent
}

// sendQuestion asks a peer for its state, and observes the answer. The request says nothing of
// this process: else the peer would have to ask back.
func (c *Cluster) sendQuestion(name string, q *question) {
	defer close(q.answered)
	clock.Pause(c.life, c.questionDelay(name))
	m, err := (*Member)(nil), c.questionSlots.Acquire(c.life, 1)
	if err == nil {
		defer c.questionSlots.Release(1)
		if m = c.memberToAsk(name, q); m == nil {
			err = errNotMember
		}
	}
	if err == nil {
		// A connection takes several round trips. A sender that waits for less repeats the
		// hint.
		ctx, cancel := context.WithTimeout(c.life, c.handshakeTimeout())
		defer cancel()
		question := peer.Change{Question: true, Token: c.token(name), Apart: c.anotherProcess(name, q.hint)}
		var changed peer.Changed
		changed, err = m.conn.Change(ctx, &question)
		if errors.Is(err, peer.ErrUnauthorized) && changed.State.View != 0 {
			err = nil // it does not list this process, but it has said which view it has
		}
		if err == nil {
			q.process = changed.State.Process
			c.observe(name, c.stateWhenAsked(name, &changed, q.hint))
		}
	}
	q.err = err
	c.mu.Lock()
	delete(c.questions, name)
	absent := q.absent
	c.mu.Unlock()
	if absent && peer.Gone(err) {
		c.markAbsent(name, 0)
	}
}

// errNotMember says that a peer is not listed any more.
var errNotMember = errors.New("it is no peer")

// anotherProcess reports whether a hint comes from another process than the one that was
// observed last. Then the connections may lead to a process that has ended.
func (c *Cluster) anotherProcess(name string, hint *peerState) bool {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	last, known := c.agreement.lastOf(name)
	return hint != nil && known && last.process != hint.Process
}

// questionDelay returns the time until a peer may be asked again.
func (c *Cluster) questionDelay(name string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, asked := c.asked[name]
	if !asked {
		return 0
	}
	return max(0, time.Duration(last+clock.Instant(questionEvery)-clock.Now()))
}

// memberToAsk returns the member of the view, or the absent one, that a question is sent to
// now. nil means that it is not listed any more.
func (c *Cluster) memberToAsk(name string, q *question) *Member {
	c.mu.Lock()
	defer c.mu.Unlock()
	q.sent = true
	m := c.view.Load().member(name)
	if a := c.absent[name]; a != nil {
		m = a.Member
	}
	if m != nil {
		c.asked[name] = clock.Now()
	}
	return m
}

// stateWhenAsked returns the peer state in the answer to a question. If the hint comes from the
// process that has answered, it adds what only the hint says.
func (c *Cluster) stateWhenAsked(name string, changed *peer.Changed, hint *peerState) *peerState {
	s := stateInAnswer(changed)
	s.answer = false // the question said nothing of this process
	if hint == nil || hint.Process != s.Process {
		return s
	}
	c.agreement.mu.Lock()
	last, _ := c.agreement.lastOf(name)
	c.agreement.mu.Unlock()
	// An earlier version says neither when it began to have its view, nor the number of its
	// departure.
	s.announced = hint.announced && (s.Began == 0 || last.process != s.Process || !last.counted)
	if s.Leaving && s.Departure == 0 {
		s.Departure = hint.Departure
	}
	return s
}

// checkAbsent asks those peers of the view that another one names as absent. This process may
// have missed that they leave.
func (c *Cluster) checkAbsent(names []string) {
	for _, name := range c.presentOf(names) { // no lock is held
		c.startQuestion(name, nil, true)
	}
}

// presentOf returns those of the names, which another peer says are absent, that are peers of the
// view and not known to leave. Names of others take no lock.
func (c *Cluster) presentOf(names []string) (present []string) {
	for _, name := range names[:min(len(names), mostAbsent)] {
		if c.Knows(name) {
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(present, func(name string) bool { return c.absent[name] != nil })
}
