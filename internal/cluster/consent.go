package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// consent is what a pool knows of the views of its peers.
type consent struct {
	mu        sync.Mutex
	epoch     uint64                 // guarded by mu
	since     clock.Instant          // guarded by mu
	next      chan struct{}          // guarded by mu; closed and made anew with each epoch
	dissent   map[string]uint64      // guarded by mu; the views of peers that have another one
	agreed    map[string]bool        // guarded by mu; the peers that have this one
	shown     map[string]bool        // guarded by mu; agreed, as agreement returned it; never written to; nil: it has grown since
	doubtful  atomic.Int64           // written with mu held: the Instant at which there was the first of these, or 0
	departed  map[Peer]clock.Instant // guarded by mu; peers that left the view, and when
	announced chan struct{}          // guarded by mu; closed when the peers have heard of the view
	offering  map[string]bool        // guarded by mu; peers that have the view, and offer what is theirs no more
	offered   chan struct{}          // guarded by mu; closed, and made anew, when there is one less of these
	process   uint32                 // a random number, not 0: tells this process from others at its address
	turn      uint64                 // guarded by mu; how often this process has said something
	began     uint64                 // guarded by mu; the turn with which it began to have the view
	latest    map[string]fact        // guarded by mu; what was heard last of each peer
	unheard   map[string]bool        // guarded by mu; peers that have not believed what this process said last
	tokens    map[string]token       // guarded by mu; what each peer wants to see as a proof
}

// turn tells the order of what one process says.
type turn struct {
	process uint32 // see consent; 0: of an earlier version, which does not tell
	number  uint64
}

// turnOf returns when a peer has said something.
func turnOf(s *peer.State) turn { return turn{s.Process, s.Number} }

// fact is what a peer has said last of itself: in an answer to this process, or with a proof.
type fact struct {
	turn
	view              uint64
	leaving, offering bool
	// counted says that an epoch has begun because of the peer's process and its view.
	counted bool
}

// late reports whether a peer was heard to say something later. Answers and announcements
// overtake each other: what a peer answered before its view changed may come after it has
// told of the new one. c.mu is held.
func (c *consent) late(peer string, t turn) bool {
	last := c.latest[peer]
	return t.process != 0 && t.process == last.process && t.number < last.number
}

// note keeps what a peer has said last, and reports whether the peer is another process, or
// has begun to have a view, since it was heard last. The caller holds c.mu.
func (c *consent) note(peer string, s *said) (anew bool) {
	last, known := c.latest[peer]
	same := known && last.process == s.Process
	anew = s.anew || s.Process != 0 && known && (!same || s.Began > last.number)
	c.latest[peer] = fact{turnOf(&s.State), s.View, s.Leaving, s.Offering, anew || same && last.counted}
	return anew
}

// offers takes note of whether a peer has something to offer. c.mu is held.
func (c *consent) offers(peer string, offering bool) {
	if c.offering[peer] == offering {
		return
	}
	if offering {
		c.offering[peer] = true
		return
	}
	delete(c.offering, peer)
	close(c.offered)
	c.offered = make(chan struct{})
}

// newEpoch takes note of a change. c.mu is held.
func (c *consent) newEpoch() {
	c.epoch++
	c.since = clock.Now()
	if c.next != nil {
		close(c.next)
	}
	c.next = make(chan struct{})
}

// longestDeparted is for how long a peer that left the view is told of changes.
const longestDeparted = 2 * longestParting

// newView puts a view in place, in one step with what agreement returns. The channel is
// to be closed when the peers have heard of the view; left are those that have no part
// in it any more.
func (p *Cluster) newView(v *view, left []Peer) (announced chan struct{}) {
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newEpoch()
	c.began = c.turn + 1
	v.since = c.since
	p.view.Store(v)
	c.dissent, c.agreed, c.shown = make(map[string]uint64), make(map[string]bool), nil
	c.unheard = make(map[string]bool)
	c.doubtful.Store(0)
	c.announced = make(chan struct{})
	if c.offered != nil {
		close(c.offered)
	}
	c.offering, c.offered = make(map[string]bool), make(chan struct{})
	if c.departed == nil {
		c.departed = make(map[Peer]clock.Instant)
	}
	for peer, at := range c.departed {
		if v.since > at.Plus(longestDeparted) || v.has(peer.Name()) != nil {
			delete(c.departed, peer)
		}
	}
	var names []string
	for _, peer := range left {
		c.departed[peer] = v.since
		names = append(names, peer.Name())
	}
	p.logs.leave(names)
	maps.DeleteFunc(c.latest, func(peer string, _ fact) bool { return !v.lists(peer) })
	maps.DeleteFunc(c.tokens, func(peer string, _ token) bool { return !v.lists(peer) })
	return c.announced
}

// announce tells the peers of the view, and learns which they have.
func (p *Cluster) announce(v *view, announced chan struct{}) {
	defer close(announced)
	if len(v.others) > 0 {
		p.own.lookAgain()
	}
	// Of many peers not all are connected to at the same time.
	ctx, cancel := context.WithTimeout(context.Background(), longestAnnouncing*p.detectionTime())
	defer cancel()
	var all errgroup.Group
	all.SetLimit(announceAtOnce)
	for _, peer := range v.others {
		if p.stateless {
			break
		}
		all.Go(func() error {
			p.announceTo(ctx, peer)
			return nil
		})
	}
	all.Wait()
	p.own.wait(ctx) // nothing is kept before it is known whose keys these are
}

// announceTo tells one peer of the view, again where that has not believed it: a process that
// has just come may not listen yet. One that cannot be reached is not asked.
func (p *Cluster) announceTo(ctx context.Context, peer Peer) {
	for {
		once, cancel := context.WithTimeout(ctx, p.detectionTime())
		_, err := peer.Change(once, Change{Announced: true})
		cancel()
		if err != nil || !p.isUnheard(peer.Name()) {
			return
		}
		clock.Pause(p.life, clock.Jitter(clock.RetryAfter)) // one that ends tells each once
		if ctx.Err() != nil || p.life.Err() != nil {
			return
		}
	}
}

// announceAgain goes on telling those who have not believed what this process said of v. They
// count as peers with another view until they do.
func (p *Cluster) announceAgain(v *view) {
	for {
		unheard := slices.DeleteFunc(slices.Clone(v.others), func(peer Peer) bool { return !p.isUnheard(peer.Name()) })
		if len(unheard) == 0 {
			return
		}
		clock.Pause(p.life, clock.Jitter(visitEvery))
		for _, peer := range unheard {
			if p.life.Err() != nil || p.view.Load().since != v.since {
				return
			}
			ctx, cancel := context.WithTimeout(p.life, p.detectionTime())
			peer.Change(ctx, Change{Announced: true})
			cancel()
		}
	}
}

// isUnheard reports whether a peer has not believed what this process said last.
func (p *Cluster) isUnheard(peer string) bool {
	p.consent.mu.Lock()
	defer p.consent.mu.Unlock()
	return p.consent.unheard[peer]
}

const (
	// announceAtOnce is how many peers are told of the view at the same time.
	announceAtOnce = 64
	// longestAnnouncing is how many detection times that may take: loads wait for it.
	longestAnnouncing = 4
)

// say returns what this process says to a peer.
func (p *Cluster) say(peerName string) peer.State {
	c := &p.consent
	c.mu.Lock() // turns are in the order of the views
	defer c.mu.Unlock()
	c.turn++
	v := p.view.Load()
	s := peer.State{
		Process: c.process, Number: c.turn, Began: c.began,
		View: v.id, Leaving: p.leaving.Load(), Offering: v.offering(peerName), Absent: v.gone,
	}
	if s.Leaving {
		s.Departure = p.ending.departure
	}
	return s
}

// said is what a peer says of itself and of its view.
type said struct {
	peer.State
	anew    bool // it has just begun to have its view: it may be a process that has just started
	answer  bool // it is an answer to what this process said of itself
	unheard bool // and the peer has not believed that
}

// saidInAnswer returns what a peer says of itself when it answers what this process said.
func saidInAnswer(changed *peer.Changed) *said {
	return &said{State: changed.State, answer: true, unheard: changed.Unheard}
}

// heard records what a peer says of itself. It is a fact: an answer to this process, or
// it came with a proof. What else comes in a request is a hint, see hinted.
func (p *Cluster) heard(peer string, s *said) {
	if s.View == 0 || peer == p.self {
		return
	}
	c := &p.consent
	c.mu.Lock()
	v, late := p.view.Load(), c.late(peer, turnOf(&s.State))
	c.mu.Unlock()
	if !v.lists(peer) {
		return // it has no part in what this process promises
	}
	if s.Leaving { // late or not: the answer says that this is noted
		p.logs.begin(s.Departure, peer)
	}
	if !late {
		p.heardOfLeavers(peer, s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v = p.view.Load()
	h := v.has(peer)
	if s.answer {
		c.unheard[peer] = s.unheard
	}
	late = c.late(peer, turnOf(&s.State))
	anew := s.anew
	switch {
	case !late && v.lists(peer):
		anew = c.note(peer, s)
	case late && s.anew:
		c.newEpoch() // it had another view, whatever it has now
	}
	if !late && h != nil {
		p.compare(v, h, s, anew)
	}
}

// compare records whether a peer of the view has that view too. anew says that it is another
// process, or has begun to have its view. The caller holds p.consent.mu.
func (p *Cluster) compare(v *view, h *Member, s *said, anew bool) {
	c, name := &p.consent, h.name
	was, dissented := c.dissent[name]
	agrees := s.View == v.id && !c.unheard[name]
	if agrees {
		if !c.agreed[name] {
			c.agreed[name], c.shown = true, nil
		}
		delete(c.dissent, name)
		c.offers(name, s.Offering)
	} else {
		c.dissent[name] = s.View
		h.disagreements.Add(1)
	}
	switch {
	case len(c.dissent) == 0:
		c.doubtful.Store(0)
	case c.doubtful.Load() == 0:
		c.doubtful.Store(int64(clock.Now()))
		p.watch.begin()
	}
	if anew || dissented == agrees || was != 0 && was != s.View {
		c.newEpoch()
	}
	if anew {
		h.conn.Wake()
	}
}

// heardOfLeavers takes note of who leaves and who is back, by what a peer says.
func (p *Cluster) heardOfLeavers(peer string, s *said) {
	switch {
	case s.Leaving:
		p.left(peer, s.Process)
	case s.anew, s.Process != 0 && p.view.Load().lacks(peer): // its announcement may come late
		p.back(peer, s.Process)
	}
	p.verify(s.Absent)
}

// Agreement returns how far the peers agree now.
func (p *Cluster) Agreement() Agreement {
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	v := p.view.Load()
	if c.shown == nil {
		c.shown = maps.Clone(c.agreed)
	}
	a := Agreement{Epoch: c.epoch, Since: c.since, Peers: v.others, Absent: v.absent, agreed: c.shown, Next: c.next}
	for peer := range c.dissent {
		if a.Dissenter == "" || peer < a.Dissenter {
			a.Dissenter = peer
		}
	}
	for peer := range c.departed {
		if !slices.ContainsFunc(v.absent, func(absent Peer) bool { return absent.Name() == peer.Name() }) {
			a.Departed = append(a.Departed, peer)
		}
	}
	return a
}

// Agree waits until the peers that can be reached have heard of the view, and none is known
// to have another one; not longer than they need as a rule, because they may never agree.
func (p *Cluster) Agree(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.agreeingTime())
	defer cancel()
	if p.Settled(ctx) != nil {
		return
	}
	for {
		a := p.Agreement()
		if a.Dissenter == "" {
			return
		}
		select {
		case <-a.Next:
		case <-ctx.Done():
			return
		}
	}
}

// agreeingTime is how long Join and a handover wait for the peers to have the view. Until
// they have, the process keeps nothing of what it loads. To tell all of them may take the
// detection time, and theirs to tell this one.
func (p *Cluster) agreeingTime() time.Duration {
	return max(leastAgreeing, 2*p.detectionTime())
}

const leastAgreeing = time.Second

// Knows reports whether the peer of that name is in the view.
func (p *Cluster) Knows(name string) bool { return p.view.Load().has(name) != nil }

// Doubtful returns since when a peer has been known to have another view; zero, if none has.
func (p *Cluster) Doubtful() clock.Instant { return clock.Instant(p.consent.doubtful.Load()) }

// Reconcile asks a peer that had another view which it has now, and returns what the
// difference is, for people to read; empty, if there is none or it is not known.
func (p *Cluster) Reconcile(ctx context.Context, peer string) (difference string) {
	return p.difference(ctx, peer) // what it says is heard, and if it says nothing, that is known
}

// Settled returns when the peers that can be reached have heard of the view, or ctx has ended.
func (p *Cluster) Settled(ctx context.Context) error {
	p.consent.mu.Lock()
	announced := p.consent.announced
	p.consent.mu.Unlock()
	select {
	case <-announced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Before returns the peer that owned key until the view changed, and when that was: nil, if it
// is this process or not known.
func (p *Cluster) Before(key string) (Peer, clock.Instant) {
	v := p.view.Load()
	if p.stateless {
		return nil, 0
	}
	if v.before == nil {
		// A process that has just come owns what the next on the ring did.
		return p.Pick(key, 1), v.since
	}
	if v.before.peers == nil { // so long ago that it is forgotten
		return nil, v.since
	}
	return v.before.peers[v.before.ring.OwnerIndex(key)], v.since
}
