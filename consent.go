package peercache

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/pb"
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
	same := known && last.process == s.process
	anew = s.anew || s.process != 0 && known && (!same || s.began > last.number)
	c.latest[peer] = fact{s.turn, s.view, s.leaving, s.offering, anew || same && last.counted}
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
func (p *HTTPPool) newView(v *view, left []Peer) (announced chan struct{}) {
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
func (p *HTTPPool) announce(v *view, announced chan struct{}) {
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
		if p.compat {
			break // golang/groupcache knows of no views
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
func (p *HTTPPool) announceTo(ctx context.Context, peer Peer) {
	for {
		once, cancel := context.WithTimeout(ctx, p.detectionTime())
		_, err := peer.Change(once, Change{Announced: true})
		cancel()
		if err != nil || !p.isUnheard(peer.Name()) {
			return
		}
		clock.Pause(p.life, clock.Jitter(retellAfter)) // one that ends tells each once
		if ctx.Err() != nil || p.life.Err() != nil {
			return
		}
	}
}

// announceAgain goes on telling those who have not believed what this process said of v. They
// count as peers with another view until they do.
func (p *HTTPPool) announceAgain(v *view) {
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
func (p *HTTPPool) isUnheard(peer string) bool {
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
func (p *HTTPPool) say(peer string) *said {
	c := &p.consent
	c.mu.Lock() // turns are in the order of the views
	defer c.mu.Unlock()
	c.turn++
	v := p.view.Load()
	s := &said{
		turn: turn{c.process, c.turn}, began: c.began,
		view: v.id, leaving: p.leaving.Load(), offering: v.offering(peer), absent: v.gone,
	}
	if s.leaving {
		s.departure = p.ending.departure
	}
	return s
}

// said is what a peer says of its view with each Change, and with each answer to one.
type said struct {
	turn
	view      uint64   // see viewID
	anew      bool     // it has just begun to have it: it may be a process that has just started
	leaving   bool     // it is about to end
	offering  bool     // this process is new to it, and will be offered what is there for it
	absent    []string // who is not in the view because it is leaving
	departure uint64   // the number of its own, if it is leaving
	began     uint64   // the turn with which it began to have the view; 0 in a request, and in an earlier version
	answer    bool     // it is an answer to what this process said of itself
	unheard   bool     // and the peer has not believed that
}

// saidInAnswer returns what a peer says of itself when it answers what this process said.
func saidInAnswer(resp *pb.ChangeResponse) *said {
	return &said{
		turn: turn{resp.GetProcess(), resp.GetTurn()}, view: resp.GetView(),
		leaving: resp.GetLeaving(), offering: resp.GetOffering(), absent: resp.GetAbsent(), departure: resp.GetDeparture(),
		began: resp.GetBegan(), answer: true, unheard: resp.GetUnheard(),
	}
}

// heard records what a peer says of itself. It is a fact: an answer to this process, or
// it came with a proof. What else comes in a request is a hint, see hinted.
func (p *HTTPPool) heard(peer string, s *said) {
	if s.view == 0 || peer == p.self {
		return
	}
	c := &p.consent
	c.mu.Lock()
	v, late := p.view.Load(), c.late(peer, s.turn)
	c.mu.Unlock()
	if !v.lists(peer) {
		return // it has no part in what this process promises
	}
	if s.leaving { // late or not: the answer says that this is noted
		p.logs.begin(s.departure, peer)
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
	late = c.late(peer, s.turn)
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
func (p *HTTPPool) compare(v *view, h *httpPeer, s *said, anew bool) {
	c, peer := &p.consent, h.url
	was, dissented := c.dissent[peer]
	agrees := s.view == v.id && !c.unheard[peer]
	if agrees {
		if !c.agreed[peer] {
			c.agreed[peer], c.shown = true, nil
		}
		delete(c.dissent, peer)
		c.offers(peer, s.offering)
	} else {
		c.dissent[peer] = s.view
		h.disagreements.Add(1)
	}
	switch {
	case len(c.dissent) == 0:
		c.doubtful.Store(0)
	case c.doubtful.Load() == 0:
		c.doubtful.Store(int64(clock.Now()))
		p.watch.begin()
	}
	if anew || dissented == agrees || was != 0 && was != s.view {
		c.newEpoch()
	}
	if anew {
		h.hurry()
	}
}

// heardOfLeavers takes note of who leaves and who is back, by what a peer says.
func (p *HTTPPool) heardOfLeavers(peer string, s *said) {
	switch {
	case s.leaving:
		p.left(peer, s.process)
	case s.anew, s.process != 0 && p.view.Load().lacks(peer): // its announcement may come late
		p.back(peer, s.process)
	}
	p.verify(s.absent)
}

// agreement implements viewer.
func (p *HTTPPool) agreement() agreement {
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	v := p.view.Load()
	if c.shown == nil {
		c.shown = maps.Clone(c.agreed)
	}
	a := agreement{epoch: c.epoch, since: c.since, peers: v.others, absent: v.absent, agreed: c.shown, next: c.next}
	for peer := range c.dissent {
		if a.dissenter == "" || peer < a.dissenter {
			a.dissenter = peer
		}
	}
	for peer := range c.departed {
		if !slices.ContainsFunc(v.absent, func(a Peer) bool { return a.Name() == peer.Name() }) {
			a.departed = append(a.departed, peer)
		}
	}
	return a
}

// agree waits until the peers that can be reached have heard of the view, and none is known
// to have another one; not longer than they need as a rule, because they may never agree.
func (p *HTTPPool) agree(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.agreeingTime())
	defer cancel()
	if p.settled(ctx) != nil {
		return
	}
	for {
		a := p.agreement()
		if a.dissenter == "" {
			return
		}
		select {
		case <-a.next:
		case <-ctx.Done():
			return
		}
	}
}

// agreeingTime is how long Join and a handover wait for the peers to have the view. Until
// they have, the process keeps nothing of what it loads. To tell all of them may take the
// detection time, and theirs to tell this one.
func (p *HTTPPool) agreeingTime() time.Duration {
	return max(leastAgreeing, 2*p.detectionTime())
}

const leastAgreeing = time.Second

// knows implements viewer.
func (p *HTTPPool) knows(name string) bool { return p.view.Load().has(name) != nil }

// doubtful implements viewer.
func (p *HTTPPool) doubtful() clock.Instant { return clock.Instant(p.consent.doubtful.Load()) }

// reconcile implements viewer.
func (p *HTTPPool) reconcile(ctx context.Context, peer string) (difference string) {
	return p.difference(ctx, peer) // what it says is heard, and if it says nothing, that is known
}

// settled implements viewer.
func (p *HTTPPool) settled(ctx context.Context) error {
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

// before implements viewer.
func (p *HTTPPool) before(key string) (Peer, clock.Instant) {
	v := p.view.Load()
	if p.compat { // golang/groupcache would load it
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
