package cluster

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// A process that gets a view before the others do may be cut off from one of them. That one would
// change keys without it, and the process would keep the old values as their new owner. So who
// cannot tell a peer of a view asks witnesses to pass it on: other peers, which may reach it. What
// they pass on is a roll, as from a coordinator (relay.go). They need not have the view.
//
// The witnesses that cannot reach the peer either leave it untold. Then it is down, or cut off
// from several.

const (
	// mostWitnesses is how many peers are asked to pass a view on, all at the same time.
	mostWitnesses = 3
	// mostPassedOn is to how many peers a view is passed on by one request.
	mostPassedOn = 4096
	// passesOfAPeer is how many requests of one peer are passed on at the same time. It has one as a
	// rule, and one more if its view changes meanwhile. Each takes announceAtOnce goroutines, and a
	// message to each peer.
	passesOfAPeer = 2
	// witnessTries is how often a peer is told that has no proof yet of who tells it.
	witnessTries = 3
)

// announceByWitnesses has other peers tell those that could not be told of v. It takes a detection
// time at most, also if it took all of its time to tell them directly.
func (c *Cluster) announceByWitnesses(v *view, untold []peer.Peer) {
	if len(untold) == 0 || c.planted == failpoint.Unwitnessed {
		return
	}
	ctx, cancel := context.WithTimeout(c.life, c.detectionTime())
	defer cancel()
	left := make(map[string]bool)
	ask := peer.Change{Announced: true, Wait: c.detectionTime() / 2}
	for _, p := range untold[:min(len(untold), mostPassedOn)] {
		left[p.Name()] = true
		ask.PassOn = binary.LittleEndian.AppendUint64(ask.PassOn, peer.NameID(p.Name()))
	}
	var mu sync.Mutex // guards left
	forEach(slices.Values(c.witnesses(v, untold)), mostWitnesses, func(m *Member) {
		changed := sendUntilProven(ctx, m, ask)
		if changed == nil || changed.Roll.View != v.id {
			return
		}
		told := c.observeRoll(&changed.Roll, false).told
		mu.Lock()
		defer mu.Unlock()
		maps.DeleteFunc(left, func(name string, _ bool) bool { return slices.Contains(told, name) })
		if len(left) == 0 {
			cancel() // the other witnesses need not be waited for
		}
	})
}

// witnesses returns peers of v that are asked to pass it on to others: the next ones by name, so
// that not all processes ask the same, and those first that own keys.
func (c *Cluster) witnesses(v *view, untold []peer.Peer) (witnesses []*Member) {
	start, _ := slices.BinarySearch(v.names, c.self)
	for i := range 2 * len(v.names) {
		name := v.names[(start+i)%len(v.names)]
		m := v.member(name)
		if m == nil || v.nonOwners[name] != (i >= len(v.names)) || slices.ContainsFunc(untold, func(p peer.Peer) bool { return p.Name() == m.name }) {
			continue
		}
		if witnesses = append(witnesses, m); len(witnesses) == mostWitnesses {
			break
		}
	}
	return witnesses
}

// sendUntilProven sends a change that counts only with a proof, again if the two have no tokens of
// each other yet. nil means that it was not obeyed.
func sendUntilProven(ctx context.Context, m *Member, change peer.Change) *peer.Changed {
	for range witnessTries {
		changed, err := m.send(ctx, change)
		if err != nil {
			return nil
		}
		if changed.Relayed {
			return &changed
		}
		if clock.Pause(ctx, clock.Jitter(clock.RetryAfter)); ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// passing counts the requests that are being passed on, by who asks.
type passing struct {
	mu sync.Mutex
	by map[string]int // guarded by mu; those that have any
}

// begin reports whether one more request of a peer may be passed on. Then the caller calls end.
func (p *passing) begin(from string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[from] >= passesOfAPeer {
		return false
	}
	if p.by == nil {
		p.by = make(map[string]int)
	}
	p.by[from]++
	return true
}

func (p *passing) end(from string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by[from]--; p.by[from] == 0 {
		delete(p.by, from)
	}
}

// answerWitness passes on to some peers that a process has a view, and answers it with the roll of
// those that have recorded it. Its state must have come with a proof. If it asks for too much at once
// it gets no roll, and may ask again.
func (c *Cluster) answerWitness(ctx context.Context, from string, change *peer.Change, answer *peer.Changed) {
	if !c.passing.begin(from) {
		return
	}
	defer c.passing.end(from)
	ctx, cancel := context.WithTimeout(ctx, c.detectionTime()/2)
	defer cancel()
	s := &change.State
	tell := peer.Change{Roll: peer.Roll{View: s.View}}
	tell.Roll.Add(statementOf(from, s))
	wanted := make(map[uint64]bool)
	for raw := change.PassOn; len(raw) >= 8 && len(wanted) < mostPassedOn; raw = raw[8:] {
		wanted[binary.LittleEndian.Uint64(raw)] = true
	}
	var members []*Member
	for name, m := range c.view.Load().named {
		if name != from && wanted[peer.NameID(name)] {
			members = append(members, m)
		}
	}
	answer.Relayed, answer.Roll.View = true, s.View
	var mu sync.Mutex // guards answer
	forEach(slices.Values(members), announceAtOnce, func(m *Member) {
		changed := sendUntilProven(ctx, m, tell)
		if changed == nil || changed.Unheard || hasBit(changed.Untold, 0) || changed.State.Process == 0 {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		answer.Roll.Add(statementInAnswer(m, changed))
	})
}
