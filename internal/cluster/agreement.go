package cluster

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// consent is what a pool knows of the views of its peers.
type viewAgreement struct {
	mu          sync.Mutex
	epoch       uint64                      // guarded by mu
	since       clock.Instant               // guarded by mu
	next        chan struct{}               // guarded by mu; closed and made anew with each epoch
	dissent     map[string]uint64           // guarded by mu; the views of peers that have another one
	agreed      map[string]bool             // guarded by mu; the peers that have this one
	snapshot    map[string]bool             // guarded by mu; agreed, as agreement returned it; never written to; nil: it has grown since
	disputed    atomic.Int64                // written with mu held: the Instant at which there was the first of these, or 0
	departed    map[peer.Peer]clock.Instant // guarded by mu; peers that left the view, and when
	announced   chan struct{}               // guarded by mu; closed when the peers have heard of the view
	offering    map[string]bool             // guarded by mu; peers that have the view, and offer what is theirs no more
	offered     chan struct{}               // guarded by mu; closed, and made anew, when there is one less of these
	process     uint32                      // a random number, not 0: tells this process from others at its address
	number      uint64                      // guarded by mu; how often this process has said something
	began       uint64                      // guarded by mu; the turn with which it began to have the view
	observed    map[string]observation      // guarded by mu; what was heard last of each peer
	unconfirmed map[string]bool             // guarded by mu; peers that have not believed what this process said last
	tokens      map[string]token            // guarded by mu; what each peer wants to see as a proof
}

// turn tells the order of what one process says.
type sequence struct {
	process uint32 // see consent; 0: of an earlier version, which does not tell
	number  uint64
}

// turnOf returns when a peer has said something.
func sequenceOf(s *peer.State) sequence { return sequence{s.Process, s.Number} }

// fact is what a peer has said last of itself: in an answer to this process, or with a proof.
type observation struct {
	sequence
	view              uint64
	leaving, offering bool
	// counted says that an epoch has begun because of the peer's process and its view.
	counted bool
}

// late reports whether a peer was heard to say something later. Answers and announcements
// overtake each other: what a peer answered before its view changed may come after it has
// told of the new one. The caller holds a.mu.
func (a *viewAgreement) isOutdated(name string, t sequence) bool {
	last := a.observed[name]
	return t.process != 0 && t.process == last.process && t.number < last.number
}

// note keeps what a peer has said last, and reports whether the peer is another process, or
// has begun to have a view, since it was heard last. The caller holds a.mu.
func (a *viewAgreement) record(name string, s *peerState) (anew bool) {
	last, known := a.observed[name]
	same := known && last.process == s.Process
	anew = s.announced || s.Process != 0 && known && (!same || s.Began > last.number)
	a.observed[name] = observation{sequenceOf(&s.State), s.View, s.Leaving, s.Offering, anew || same && last.counted}
	return anew
}

// offers takes note of whether a peer has something to offer. The caller holds a.mu.
func (a *viewAgreement) setOffering(name string, offering bool) {
	if a.offering[name] == offering {
		return
	}
	if offering {
		a.offering[name] = true
		return
	}
	delete(a.offering, name)
	close(a.offered)
	a.offered = make(chan struct{})
}

// newEpoch takes note of a change. The caller holds a.mu.
func (a *viewAgreement) beginEpoch() {
	a.epoch++
	a.since = clock.Now()
	if a.next != nil {
		close(a.next)
	}
	a.next = make(chan struct{})
}

// say returns what this process says to a peer.
func (c *Cluster) stateFor(peerName string) peer.State {
	a := &c.agreement
	a.mu.Lock() // turns are in the order of the views
	defer a.mu.Unlock()
	a.number++
	v := c.view.Load()
	s := peer.State{
		Process: a.process, Number: a.number, Began: a.began,
		View: v.id, Leaving: c.leaving.Load(), Offering: v.mayOffer(peerName), Absent: v.absentNames,
	}
	if s.Leaving {
		s.Departure = c.departure.departure
	}
	return s
}

// said is what a peer says of itself and of its view.
type peerState struct {
	peer.State
	announced   bool // it has just begun to have its view: it may be a process that has just started
	answer      bool // it is an answer to what this process said of itself
	unconfirmed bool // and the peer has not believed that
}

// saidInAnswer returns what a peer says of itself when it answers what this process said.
func stateInAnswer(changed *peer.Changed) *peerState {
	return &peerState{State: changed.State, answer: true, unconfirmed: changed.Unheard}
}

// heard records what a peer says of itself. It is a fact: an answer to this process, or
// it came with a proof. What else comes in a request is a hint, see hinted.
func (c *Cluster) observe(name string, s *peerState) {
	if s.View == 0 || name == c.self {
		return
	}
	a := &c.agreement
	a.mu.Lock()
	v, late := c.view.Load(), a.isOutdated(name, sequenceOf(&s.State))
	a.mu.Unlock()
	if !v.lists(name) {
		return // it has no part in what this process promises
	}
	if s.Leaving { // late or not: the answer says that this is noted
		c.logs.begin(s.Departure, name)
	}
	if !late {
		c.observeLeaving(name, s)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v = c.view.Load()
	m := v.member(name)
	if s.answer {
		a.unconfirmed[name] = s.unconfirmed
	}
	late = a.isOutdated(name, sequenceOf(&s.State))
	anew := s.announced
	switch {
	case !late && v.lists(name):
		anew = a.record(name, s)
	case late && s.announced:
		a.beginEpoch() // it had another view, whatever it has now
	}
	if !late && m != nil {
		c.compareView(v, m, s, anew)
	}
}

// compare records whether a peer of the view has that view too. anew says that it is another
// process, or has begun to have its view. The caller holds c.consent.mu.
func (c *Cluster) compareView(v *view, m *Member, s *peerState, anew bool) {
	a, name := &c.agreement, m.name
	was, dissented := a.dissent[name]
	agrees := s.View == v.id && !a.unconfirmed[name]
	if agrees {
		if !a.agreed[name] {
			a.agreed[name], a.snapshot = true, nil
		}
		delete(a.dissent, name)
		a.setOffering(name, s.Offering)
	} else {
		a.dissent[name] = s.View
		m.disagreements.Add(1)
	}
	switch {
	case len(a.dissent) == 0:
		a.disputed.Store(0)
	case a.disputed.Load() == 0:
		a.disputed.Store(int64(clock.Now()))
		c.watch.begin()
	}
	if anew || dissented == agrees || was != 0 && was != s.View {
		a.beginEpoch()
	}
	if anew {
		m.conn.Wake()
	}
}

// heardOfLeavers takes note of who leaves and who is back, by what a peer says.
func (c *Cluster) observeLeaving(name string, s *peerState) {
	switch {
	case s.Leaving:
		c.markAbsent(name, s.Process)
	case s.announced, s.Process != 0 && c.view.Load().isAbsent(name): // its announcement may come late
		c.markPresent(name, s.Process)
	}
	c.checkAbsent(s.Absent)
}

// Agreement returns how far the peers agree now.
func (c *Cluster) Agreement() Agreement {
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	v := c.view.Load()
	if a.snapshot == nil {
		a.snapshot = maps.Clone(a.agreed)
	}
	state := Agreement{Epoch: a.epoch, Since: a.since, Peers: v.others, Absent: v.absent, agreed: a.snapshot, Next: a.next}
	for name := range a.dissent {
		if state.Dissenter == "" || name < state.Dissenter {
			state.Dissenter = name
		}
	}
	for other := range a.departed {
		if !slices.ContainsFunc(v.absent, func(absent peer.Peer) bool { return absent.Name() == other.Name() }) {
			state.Departed = append(state.Departed, other)
		}
	}
	return state
}

// Doubtful returns since when a peer has been known to have another view; zero, if none has.
func (c *Cluster) Doubtful() clock.Instant { return clock.Instant(c.agreement.disputed.Load()) }

// Agreement says how far the peers of a view are known to have that view.
type Agreement struct {
	Epoch    uint64          // a higher one with each change of what follows
	Since    clock.Instant   // when a peer last began to have another view, or came anew; 0: never
	Peers    []peer.Peer     // of the view, without this process
	Absent   []peer.Peer     // that are leaving, and may be back at any time
	Departed []peer.Peer     // that were in a view before
	agreed   map[string]bool // peers that were heard to have the view; not to be written to
	// Dissenter is a peer that has another view, or empty if none is known.
	Dissenter string
	Next      <-chan struct{} // closed when there is a later epoch
}

// Changing reports whether values may be with peers that the view does not make their
// Candidates. They are no longer than a stand-in's time d after the last change.
func (a *Agreement) Changing(d time.Duration) bool {
	return a.Since != 0 && clock.Now() < a.Since.Plus(d)
}

// Confirmed reports whether a peer was heard to have the view. One that was not may take
// itself for the owner of any key.
func (a *Agreement) Confirmed(p peer.Peer) bool { return a.agreed == nil || a.agreed[p.Name()] }
