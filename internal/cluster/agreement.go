package cluster

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A Remove that has told the owners of a key is complete only if all peers take the same ones
// for the owners. So each process knows which of its peers have its view: every request and
// every answer between them has a peer state, with the number of the sender's view. A peer with
// another view is a dissenter, and the view is disputed as long as there is one. Each change of
// what is known begins an epoch, so that a Remove sees what has changed while it told the
// owners.
//
// Only facts count: what a peer has answered to this process, and what came with a proof.
// Everything else is a hint, see hint.go.

// viewAgreement is what this process knows of the views of its peers, by their names.
type viewAgreement struct {
	process uint32 // a random number, not 0, that tells this process from others at its address

	// disputed is the Instant since when there was a dissenter all the time; 0: there is none.
	// It is written with mu held.
	disputed atomic.Int64
	// announcing is the Instant since when the view is in place that the peers are being told of;
	// 0: they were told.
	announcing atomic.Int64

	// mu guards the fields below, and is held while a view is put in place.
	mu    sync.Mutex
	epoch atomic.Uint64 // may be read without mu
	since clock.Instant // when the epoch began
	next  chan struct{} // closed when the epoch ends

	agreed      map[string]bool           // peers that have this view
	snapshot    map[string]bool           // agreed, as Agreement returned it, and never written to; nil: agreed has grown since
	dissent     map[string]uint64         // peers that have another view, and its number
	departed    map[*Member]clock.Instant // members that left the view, and when
	announced   chan struct{}             // closed when the peers were told of the view
	offering    map[string]bool           // peers that have this view and may still offer values
	offered     chan struct{}             // closed, and replaced, when offering gets smaller
	number      uint64                    // the sequence number of what this process has said last
	views       int64                     // how many views there were, but for that of a process alone, made by New
	began       uint64                    // the one with which it begins to have the view
	observed    map[string]observation    // what is known of each peer
	byID        map[uint64]string         // names of the peers in observed, by the StatementID of name and process
	relays      []*relay                  // of the last views; see keepRelay
	unconfirmed map[string]bool           // peers that could not confirm what this process said last
	tokens      map[string]token          // what each peer expects as a proof
}

// sequence orders what one process says.
type sequence struct {
	process uint32 // see viewAgreement; 0: an earlier version, which says none
	number  uint64
}

// sequenceOf returns the place of a peer state in what the peer says.
func sequenceOf(s *peer.State) sequence { return sequence{s.Process, s.Number} }

// observation is the last peer state that was a fact.
type observation struct {
	sequence
	view              uint64
	leaving, offering bool
	// counted says that an epoch has begun because of the peer's process and its view.
	counted bool
}

// peerState is what a peer says of itself and of its view.
type peerState struct {
	peer.State
	announced   bool // the peer has just begun to have its view; its process may have just started
	answer      bool // it answers what this process said of itself
	unconfirmed bool // and the peer could not confirm that
}

// stateInAnswer returns the peer state in an answer to what this process said of itself.
func stateInAnswer(changed *peer.Changed) *peerState {
	return &peerState{State: changed.State, answer: true, unconfirmed: changed.Unheard}
}

// stateFor returns what this process says of itself to a peer. Only a listed peer is told who is
// absent, this process included: a change without those who are absent is complete, and the next
// processes at their addresses ask nobody about it but those who were listed (restore.go).
func (c *Cluster) stateFor(name string) peer.State {
	a := &c.agreement
	a.mu.Lock() // sequence numbers are in the order of the views
	defer a.mu.Unlock()
	a.number++
	v := c.view.Load()
	s := peer.State{
		Process: a.process, Number: a.number, Began: a.began,
		View: v.id, Offering: v.mayOffer(name),
	}
	if !v.lists(name) {
		return s
	}
	s.Absent = v.absentNames
	if s.Leaving = c.leaving.Load(); s.Leaving {
		s.Departure = c.departure.number
	}
	return s
}

// observe records a peer state that is a fact: it is an answer to this process, or came with a
// proof. The state of a process that is not listed counts for nothing.
func (c *Cluster) observe(name string, s *peerState) {
	if s.View == 0 || name == c.self {
		return
	}
	a := &c.agreement
	a.mu.Lock()
	v, outdated := c.view.Load(), a.isOutdated(name, sequenceOf(&s.State))
	a.mu.Unlock()
	if !v.lists(name) {
		return
	}
	if s.Leaving { // outdated or not: the answer says that the log has begun
		c.logs.begin(s.Departure, name)
	}
	if !outdated {
		c.observeLeaving(name, s)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	v = c.view.Load()
	m := v.member(name)
	if s.answer {
		a.unconfirmed[name] = s.unconfirmed
	}
	outdated = a.isOutdated(name, sequenceOf(&s.State))
	anew := s.announced
	switch {
	case !outdated && v.lists(name):
		anew = a.record(name, s)
	case outdated && s.announced:
		a.beginEpoch() // the peer had another view for a while
	}
	if !outdated && m != nil && c.compareView(v, m, s, anew) {
		a.beginEpoch()
	}
}

// observeLeaving moves peers out of the view, and back into it, by what a peer says.
func (c *Cluster) observeLeaving(name string, s *peerState) {
	switch {
	case s.Leaving:
		c.markAbsent(name, s.Process)
	case s.announced, s.Process != 0 && c.view.Load().isAbsent(name): // its announcement may come late
		c.markPresent(name, s.Process)
	}
	c.checkAbsent(s.Absent)
}

// compareView records whether a peer of the view has this view. anew says that the peer is
// another process, or has begun to have its view. It reports whether an epoch has to begin. The
// caller holds c.agreement.mu.
func (c *Cluster) compareView(v *view, m *Member, s *peerState, anew bool) (begin bool) {
	a, name := &c.agreement, m.name
	was, dissented := a.dissent[name]
	agrees := s.View == v.id && !a.unconfirmed[name]
	if agrees {
		if !a.agreed[name] {
			a.agreed[name], a.snapshot = true, nil
			c.watch.forgetRefusals(name) // it has listed this process
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
	if anew {
		m.conn.Wake()
	}
	return anew || dissented == agrees || was != 0 && was != s.View
}

// isOutdated reports whether a peer has said something with a higher sequence number. Answers
// and announcements overtake each other: what a peer answered before its view changed may
// arrive after it has announced the new one. The caller holds a.mu.
func (a *viewAgreement) isOutdated(name string, s sequence) bool {
	last := a.observed[name]
	return s.process != 0 && s.process == last.process && s.number < last.number
}

// record keeps a peer state as the last one. It reports whether the peer is another process, or
// has begun to have its view, since the one before. The caller holds a.mu.
func (a *viewAgreement) record(name string, s *peerState) (anew bool) {
	last, known := a.observed[name]
	same := known && last.process == s.Process
	if !same {
		delete(a.byID, peer.StatementID(name, last.process))
		a.byID[peer.StatementID(name, s.Process)] = name
	}
	anew = s.announced || s.Process != 0 && known && (!same || s.Began > last.number)
	a.observed[name] = observation{sequenceOf(&s.State), s.View, s.Leaving, s.Offering, anew || same && last.counted}
	return anew
}

// setOffering records whether a peer may still offer values. The caller holds a.mu.
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

// beginEpoch ends the present epoch and begins the next. The caller holds a.mu.
func (a *viewAgreement) beginEpoch() {
	a.epoch.Add(1)
	a.since = clock.Now()
	if a.next != nil {
		close(a.next)
	}
	a.next = make(chan struct{})
}

// Agreement says which peers are known to have this process's view.
type Agreement struct {
	Epoch     uint64          // grows with each change of the fields below
	Since     clock.Instant   // when the view last changed, here or at a peer, or a peer started again; 0: never
	Peers     []peer.Peer     // of the view, without this process
	Absent    []peer.Peer     // listed, but leaving; they may be back at any time
	Departed  []peer.Peer     // of earlier views
	agreed    map[string]bool // peers that have the view; never written to; nil: all have
	nonOwners map[string]bool // those of the view that own nothing; never written to
	// Dissenter is a peer that has another view. Empty means that none is known.
	Dissenter string
	Next      <-chan struct{} // closed when the epoch ends
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
	now := Agreement{Epoch: a.epoch.Load(), Since: a.since, Peers: v.others, Absent: v.absent, agreed: a.snapshot, nonOwners: v.nonOwners, Next: a.next}
	for name := range a.dissent {
		if now.Dissenter == "" || name < now.Dissenter {
			now.Dissenter = name
		}
	}
	for m := range a.departed {
		if !v.isAbsent(m.name) && !m.ownedNothing.Load() { // nobody asks such a one for anything
			now.Departed = append(now.Departed, m)
		}
	}
	return now
}

// Changing reports whether peers that are not among the Candidates of the view may have values
// as if they were. They have them for no longer than a stand-in's time d after the last change.
func (a *Agreement) Changing(d time.Duration) bool {
	return a.Since != 0 && clock.Now() < a.Since.Plus(d)
}

// OwnsNothing reports whether a peer has no values but copies under leases, by the list of this
// process. If the peer has another view, that may not be so.
func (a *Agreement) OwnsNothing(p peer.Peer) bool { return a.nonOwners[p.Name()] }

// Confirmed reports whether a peer is known to have the view. Another one may take itself for
// the owner of any key.
func (a *Agreement) Confirmed(p peer.Peer) bool { return a.agreed == nil || a.agreed[p.Name()] }

// DisputedSince returns since when there has been a dissenter all the time. Zero means that
// there is none.
func (c *Cluster) DisputedSince() clock.Instant { return clock.Instant(c.agreement.disputed.Load()) }
