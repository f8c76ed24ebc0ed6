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

// Anybody can send a request in a peer's name. So what a request says of its sender is a hint,
// unless it comes with a proof, and a hint changes nothing:
//
//   - It says what is known: nobody does anything.
//   - It says something else: this process asks the peer itself, at its address, and what that
//     answers is a fact. Who sent the hint is answered when that is over, and told if it was
//     not confirmed (unheard): it must not take its word for heard.
//
// A proof is a token that this process sends to the peer's address with each request, and
// nowhere else. A peer that has been asked for anything so far has one, so that as a rule
// nobody asks.

// token returns what a peer is to send as a proof. It is the same all the time, and nobody
// can guess it.
func (c *Cluster) token(name string) uint64 {
	sum := sha256.Sum256(append(c.secret[:len(c.secret):len(c.secret)], name...))
	return max(binary.LittleEndian.Uint64(sum[:]), 1)
}

// proofFor returns what a peer wants to see as a proof; 0, if it has not said.
func (c *Cluster) proofFor(name string) uint64 {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	return c.agreement.tokens[name].value
}

// proven reports whether a request comes from who answers at the address of the peer that it
// names as its sender: it has the token, and the process was heard there before, and no other
// one since. One that ends while the next one runs at its address already is not.
//
// It keeps the token that comes with the request, but for one without a proof where another
// one came with a proof of the process that answers there. So a forged one changes nothing
// among peers that have shown each other theirs.
func (c *Cluster) proven(from string, req *peer.Change) bool {
	v := c.view.Load()
	if !v.lists(from) {
		return false
	}
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	last, known := a.observed[from]
	proven := req.Proof == c.token(from) && known && last.process == req.State.Process
	if value, old := req.Token, a.tokens[from]; value != 0 {
		switch {
		case proven:
			a.tokens[from] = token{value, last.process}
		case old.process == 0 || old.process != last.process:
			a.tokens[from] = token{value, 0}
		}
	}
	return proven
}

// token is what a peer wants to see as a proof.
type token struct {
	value   uint64
	process uint32 // who has shown a proof with it; 0: nobody has
}

// hear records what a request says of its sender, if that is proven, or asks the sender about
// it. It reports whether that is known now, and whether the request may have this process wait
// for others. The caller calls done when the request is answered.
func (c *Cluster) observeRequest(ctx context.Context, from string, change *peer.Change, proven bool) (heard, waits bool, done func()) {
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

// hinted asks a peer about itself if s says something new, which need not come from that
// peer. It waits for the answer if it may. It reports whether the peer is known to be the
// process that s says, and all is heard that it had to say.
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

// believes reports whether s says of a peer what that was heard to say itself.
func (c *Cluster) alreadyObserved(name string, s *peerState) bool {
	if slices.ContainsFunc(s.Absent[:min(len(s.Absent), mostAbsent)], c.Knows) {
		return false
	}
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	last, known := c.agreement.observed[name]
	if !known || last.process != s.Process || last.view != s.View || last.leaving != s.Leaving || last.offering != s.Offering {
		return false
	}
	return !s.announced || s.Process != 0 && last.counted && s.Number <= last.number
}

// mostAbsentees is how many names of those that are said to be leaving are looked at.
const mostAbsent = 4096

// question is a request to a peer to say how it is. There is one at a time for each peer.
type question struct {
	hint     *peerState    // guarded by c.mu; what somebody said in its name; may be nil
	absent   bool          // guarded by c.mu; another peer has said that it is leaving
	sent     bool          // guarded by c.mu
	answered chan struct{} // closed when it is over
	err      error         // to be read when answered is closed
	process  uint32        // likewise: which one has answered
}

const (
	// askEvery is the shortest time between two questions to one peer.
	askEvery = 100 * time.Millisecond
	// questionsAtOnce is how many peers are asked at the same time.
	questionsAtOnce = 64
)

// question returns the question to a peer that is in progress, and whether it was sent already,
// or begins one. It returns nil when the pool has ended.
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

// ask asks a peer how it is, and records the answer. What it sends says nothing of this
// process: else the peer would have to ask back.
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
		// Distance costs several round trips. Who waits for less repeats the hint.
		ctx, cancel := context.WithTimeout(c.life, c.handshakeTimeout())
		defer cancel()
		question := peer.Change{Question: true, Token: c.token(name), Apart: c.anotherProcess(name, q.hint)}
		var changed peer.Changed
		if changed, err = m.conn.Change(ctx, &question); err == nil {
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

// anotherProcess reports whether a hint comes from another process than the one that was heard
// last. Then the link is one to a process that has ended.
func (c *Cluster) anotherProcess(name string, hint *peerState) bool {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	last, known := c.agreement.observed[name]
	return hint != nil && known && last.process != hint.Process
}

// errNoPeer says that a peer has no part in the view any more.
var errNotMember = errors.New("it is no peer")

// untilAsked returns how long it takes until a peer may be asked again.
func (c *Cluster) questionDelay(name string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, asked := c.asked[name]
	if !asked {
		return 0
	}
	return max(0, time.Duration(last+clock.Instant(askEvery)-clock.Now()))
}

// askable returns whom to ask the question that is to be sent now; nil, if there is no such
// peer any more.
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

// saidWhenAsked returns what a peer says of itself when it is asked because of a hint. What of
// the hint comes from the process that answers is kept, if it cannot be known otherwise.
func (c *Cluster) stateWhenAsked(name string, changed *peer.Changed, hint *peerState) *peerState {
	s := stateInAnswer(changed)
	s.answer = false // it was told nothing of this process
	if hint == nil || hint.Process != s.Process {
		return s
	}
	c.agreement.mu.Lock()
	last := c.agreement.observed[name]
	c.agreement.mu.Unlock()
	// An earlier version does not say when it began to have its view, nor the number of its
	// departure.
	s.announced = hint.announced && (s.Began == 0 || last.process != s.Process || !last.counted)
	if s.Leaving && s.Departure == 0 {
		s.Departure = hint.Departure
	}
	return s
}

// verify looks after peers of the view of which another one says that they have left. This
// process may have missed what they said.
func (c *Cluster) checkAbsent(absent []string) {
	for _, name := range absent[:min(len(absent), mostAbsent)] { // no lock is held
		if c.Knows(name) {
			c.startQuestion(name, nil, true)
		}
	}
}
