package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// When one of many peers comes or goes, all of them get a new view at about the same time. If each
// told each, that would take the square of their number in messages. So from relayFrom peers on, a
// process tells one peer, the coordinator of the view, which gathers what several processes say,
// and tells all peers of them at once (coordinator.go). Its answer is the roll: who was told, and
// what they said. Who is not on the roll is told directly.
//
// So for each peer of the view the same holds as when all are told directly: it has recorded that
// this process has the view, and this process has recorded what the peer said of itself then, or
// the peer could not be reached. This is what P8 takes (see Settled), and it does not depend on who
// is the coordinator, nor on whether it lives, or has the same view.
//
// What a coordinator passes on is a fact: it comes with the coordinator's proof, or in its answer.
// It is ordered like everything else that a process says of itself. A statement is of one process:
// a peer that has observed another process at that address, or none, has not been told.
//
// A process that has just started, or is leaving, tells all peers directly. That is what tells
// them which process it is.

const (
	// defaultRelayFrom is of how many peers a view is, at least, for which there is a coordinator.
	// Below that it saves few messages, and takes a round trip more.
	defaultRelayFrom = 16
	// holdForPeer times the peers of a view is how long a coordinator waits for a view that it has
	// not got yet, but at least leastHold.
	holdForPeer = 250 * time.Microsecond
	leastHold   = 20 * time.Millisecond
	// longestRelaying is how many detection times a process waits for a coordinator: it may have to
	// wait for the view, for the next batch, and for a peer that hangs.
	longestRelaying = 2
)

// isRelayed reports whether a coordinator tells the peers of v, and not this process.
func (c *Cluster) isRelayed(v *view) bool {
	return !c.stateless && !v.started && len(v.names) >= c.relayFrom && !c.leaving.Load()
}

// holdTime is how long a coordinator waits for a view of that many peers.
func (c *Cluster) holdTime(peers int) time.Duration {
	return min(max(leastHold, time.Duration(peers)*holdForPeer), c.detectionTime()/2)
}

// announceByRelay has coordinators tell the peers of v. It returns those that are still to be told
// directly. wait returns when the newcomers have been told.
func (c *Cluster) announceByRelay(v *view) (left []peer.Peer, wait func()) {
	others := slices.DeleteFunc(slices.Clone(v.others), func(p peer.Peer) bool { return v.newcomers[p.Name()] != nil })
	wait = c.announceToNewcomers(v)
	told := make(map[string]bool)
	asked := clock.Now()
	first := c.coordinatorOf(v, "")
	if c.askToRelay(v, first, told) {
		return without(others, told), wait
	}
	if second := c.coordinatorOf(v, first); second != "" && clock.Now() < asked.Plus(c.detectionTime()) && c.askToRelay(v, second, told) {
		return without(others, told), wait
	}
	return without(c.announcedSince(v, others), told), wait
}

// announceToNewcomers tells the newcomers of v directly: they have to know what is offered to them
// (peer.State.Offering) before they hear that this process has the view.
func (c *Cluster) announceToNewcomers(v *view) (wait func()) {
	if len(v.newcomers) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(context.Background(), longestAnnouncing*c.detectionTime())
	told := make(chan struct{})
	go func() {
		defer close(told)
		defer cancel()
		forEach(maps.Values(v.newcomers), announceAtOnce, func(m *Member) { c.announceTo(ctx, m) })
	}()
	soon := time.NewTimer(c.holdTime(len(v.names)))
	defer soon.Stop()
	select {
	case <-told:
	case <-soon.C:
	}
	return func() { <-told }
}

// without returns the peers that are not among the names.
func without(peers []peer.Peer, names map[string]bool) []peer.Peer {
	return slices.DeleteFunc(peers, func(p peer.Peer) bool { return names[p.Name()] })
}

// announcedSince returns the peers that have to be told of v although this process may have
// another view by now. If it has, its announcement tells what is true now: those whom it reaches
// need not be told of v.
func (c *Cluster) announcedSince(v *view, peers []peer.Peer) []peer.Peer {
	if c.view.Load().since == v.since {
		return peers
	}
	ctx, cancel := context.WithTimeout(c.life, longestAnnouncing*c.detectionTime())
	defer cancel()
	c.agreement.mu.Lock()
	now, announced := c.view.Load(), c.agreement.announced
	c.agreement.mu.Unlock()
	select {
	case <-announced:
		return slices.DeleteFunc(peers, func(p peer.Peer) bool { return now.member(p.Name()) != nil })
	case <-ctx.Done():
		return peers
	}
}

// coordinatorOf returns the name of a peer that may be the coordinator of v, other than the one
// that was tried before; empty, if there is none. The number of the view says which it is, but for
// newcomers and those that own nothing, so that all views have not the same one. But a peer that is known to have the view
// goes before one that is not: it need not wait for it.
func (c *Cluster) coordinatorOf(v *view, tried string) string {
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	first, start := "", int(v.id%uint64(len(v.names)))
	for i := range v.names {
		name := v.names[(start+i)%len(v.names)]
		if name == tried || v.newcomers[name] != nil || v.nonOwners[name] {
			continue
		}
		if last, known := a.observed[name]; known && last.view == v.id {
			return name
		}
		if first == "" {
			if first = name; name == c.self {
				return name
			}
		}
	}
	if tried != "" {
		return "" // better directly than by another one that may not have the view
	}
	return first
}

// askToRelay has a coordinator tell the peers of v, and adds the names of those that were told. It
// reports whether the coordinator has done it.
func (c *Cluster) askToRelay(v *view, name string, told map[string]bool) bool {
	if name == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(c.life, longestRelaying*c.detectionTime())
	defer cancel()
	if name == c.self {
		return c.relayOwn(ctx, v, told)
	}
	m, ask := v.member(name), peer.Change{Announced: true, Relay: true, Wait: longestRelaying * c.detectionTime()}
	if c.planted == failpoint.RelayUnheard {
		c.background.Go(func() { m.send(c.life, ask) })
		for _, p := range v.others {
			told[p.Name()] = true
		}
		return true
	}
	changed, err := m.send(ctx, ask)
	if err != nil || changed.Unheard {
		return false
	}
	told[name] = true
	if !changed.Relayed || changed.Roll.View != v.id {
		return false
	}
	for _, name := range c.observeRoll(&changed.Roll, false).told {
		told[name] = true
	}
	return true
}

// observedRoll is what observeRoll has made of a Roll.
type observedRoll struct {
	told   []string // names of those whose statements were observed, or are outdated
	untold []byte   // a bit for each of the others, see peer.Changed; nil: there are none
}

// observeRoll observes the statements of a roll. announced says that they are announcements. The
// roll is of a coordinator, and a fact.
func (c *Cluster) observeRoll(roll *peer.Roll, announced bool) (r observedRoll) {
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	v, place, begin := c.view.Load(), 0, false
	for s := range roll.All() {
		name := a.byID[s.ID]
		m := v.member(name)
		if place++; m == nil || place > mostStatements {
			r.untold = setBit(r.untold, place-1) // absent ones are back by their own word alone
			continue
		}
		r.told = append(r.told, name)
		last := a.observed[name]
		state := &peerState{announced: announced, State: peer.State{
			Process: last.process, Number: s.Number, View: s.View, Began: s.Began, Offering: last.offering && last.view == s.View,
		}}
		if a.isOutdated(name, sequenceOf(&state.State)) && c.planted != failpoint.RelayUnordered {
			begin = begin || announced // as in observe
			continue
		}
		if !announced && roll.View == v.id {
			a.unconfirmed[name] = false // it has recorded this process's announcement
		}
		anew := a.record(name, state)
		begin = c.compareView(v, m, state, anew) || begin
	}
	if begin {
		a.beginEpoch()
	}
	return r
}

// setBit sets a bit, and returns the bits with as many bytes as they need.
func setBit(bits []byte, place int) []byte {
	for len(bits) <= place/8 {
		bits = append(bits, 0)
	}
	bits[place/8] |= 1 << (place % 8)
	return bits
}

// hasBit reports whether a bit is set.
func hasBit(bits []byte, place int) bool {
	return place/8 < len(bits) && bits[place/8]&(1<<(place%8)) != 0
}

// mostStatements is how many statements of one roll are looked at.
const mostStatements = 1 << 14

// answerRoll observes a roll that a peer has sent, and says in the answer what was not. Without a
// proof it is nothing: the peer is asked for its state, so that the two have each other's tokens
// next time.
func (c *Cluster) answerRoll(from string, roll *peer.Roll, proven bool, answer *peer.Changed) {
	switch {
	case !c.Knows(from):
	case proven:
		answer.Relayed, answer.Untold = true, c.observeRoll(roll, true).untold
	default:
		c.startQuestion(from, nil, false)
	}
}

// relayTests is what RelayFrom has set.
var relayTests struct {
	mu   sync.Mutex   // held while it is set
	from atomic.Int64 // 0: nothing
}

// RelayFrom has the clusters that f makes have coordinators from that many peers on. It is for
// tests: zero means what is the default.
func RelayFrom(peers int, f func()) {
	relayTests.mu.Lock()
	defer relayTests.mu.Unlock()
	relayTests.from.Store(int64(peers))
	defer relayTests.from.Store(0)
	f()
}
