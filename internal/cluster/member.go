package cluster

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Member is another process of the cluster. It is the Peer of the groups: it adds to what they
// say to it what this process says of itself, and observes what the other says.
type Member struct {
	cluster *Cluster
	name    string
	conn    peer.Conn
	starter peer.Starter // conn, if it is one; or nil

	answerer      answerer
	disagreements atomic.Int64 // times it was heard to have another view
	retryAt       atomic.Int64 // an Instant: see tellDeparted; 0: it was told of all changes since it left
}

func newMember(c *Cluster, name string) *Member {
	m := &Member{cluster: c, name: name}
	m.conn = c.transport.Dial(m, name)
	m.starter, _ = m.conn.(peer.Starter)
	return m
}

// newToldMember makes one that is told of changes, by connections of their own, and asked for
// nothing.
func newDetachedMember(c *Cluster, name string) *Member {
	m := newMember(c, name)
	m.starter = nil
	m.conn.Close(context.Background()) // nothing is in flight
	return m
}

// inView reports whether the peer has a part in the view.
func (m *Member) inView() bool {
	v := m.cluster.view.Load()
	return v != nil && v.member(m.name) == m
}

// Identity implements peer.Local.
func (m *Member) Identity() peer.Identity { return m.cluster.Identity() }

// Answered implements peer.Local.
func (m *Member) Answered(by peer.Identity, sent clock.Instant) error {
	err := m.checkIdentity(by, sent)
	if err == nil {
		m.cluster.problems.solved(m.name, peer.WrongProcess, peer.NotAPeer)
	} else {
		m.Misconfigured(peer.WrongProcess, err)
	}
	return err
}

// Misconfigured implements peer.Local.
func (m *Member) Misconfigured(kind peer.ConfigProblem, err error) {
	if m.inView() {
		m.cluster.problems.found(m.name, kind, err)
	}
}

// Degraded implements peer.Local.
func (m *Member) Degraded(what string, err error) { m.cluster.problems.degraded(m.name, what, err) }

// Counts implements peer.Local.
func (m *Member) Counts() bool { return m.inView() && !m.cluster.leaving.Load() }

// Name implements Peer.
func (m *Member) Name() string { return m.name }

// Get implements Peer.
func (m *Member) Get(ctx context.Context, q peer.Query) (peer.Answer, error) {
	if m.cluster.closed.Load() { // this process is alone now
		return peer.Answer{}, &peer.PeerError{Peer: m.name, Err: peer.ErrClosed}
	}
	return m.conn.Get(ctx, &q)
}

// Starter returns the Conn of the peer, if it can be asked without waiting now; or nil.
func (m *Member) Starter() peer.Starter {
	if m.cluster.closed.Load() {
		return nil
	}
	return m.starter
}

// Change implements Peer.
func (m *Member) Change(ctx context.Context, change peer.Change) ([]peer.Holder, error) {
	held, _, err := m.changeInParts(ctx, change)
	return held, err
}

// tell does what Change does, and also returns whether the peer is leaving.
func (m *Member) changeInParts(ctx context.Context, change peer.Change) (held []peer.Holder, leaving bool, err error) {
	for keys := change.Keys; ; {
		var n, size int
		for n < len(keys) && (size == 0 || size+len(keys[n]) <= peer.MaxChangeBytes) {
			size += len(keys[n]) + 8
			n++
		}
		change.Keys, keys = keys[:n], keys[n:]
		changed, err := m.send(ctx, change)
		if err != nil {
			return held, false, err
		}
		for _, h := range changed.Holders {
			held = append(held, m.holder(h))
		}
		if len(keys) == 0 {
			return held, changed.State.Leaving, nil
		}
	}
}

// change sends one Change, with what this process says of itself, and observes what the peer
// says in its answer.
func (m *Member) send(ctx context.Context, c peer.Change) (peer.Changed, error) {
	cluster := m.cluster
	c.State = cluster.stateFor(m.name)
	c.Token, c.Proof = cluster.token(m.name), cluster.proofFor(m.name)
	changed, err := m.conn.Change(ctx, &c)
	if changed.State.View == 0 && err != nil { // there was no answer
		return peer.Changed{}, err
	}
	if c.State.Leaving && !changed.Unheard {
		cluster.recordWitness(m.name)
	}
	cluster.observe(m.name, stateInAnswer(&changed))
	cluster.watch.observeGroups(m.name, changed.Groups)
	if err != nil {
		return peer.Changed{}, err
	}
	return changed, nil
}

// holder returns what a peer says of one that it could not tell of a change. It may say
// anything: one that is no peer here counts as that peer itself, and no lease is longer than
// the longest.
func (m *Member) holder(said peer.Holder) peer.Holder {
	held := peer.Holder{Peer: said.Peer, Left: max(0, min(said.Left, lease.Longest)), Reason: quote.Text(said.Reason)}
	if !m.cluster.IsPeer(held.Peer) {
		held.Reason = fmt.Sprintf("of %s it says %s", quote.Key(held.Peer), held.Reason)
		held.Peer = m.name
	}
	return held
}

// part closes the connections to a peer that has no part in the view any more, when what is in
// flight on them is answered, or ctx has ended. It can still be told of changes.
func (m *Member) closeConn(ctx context.Context) { m.conn.Close(ctx) }

// Conn returns the way to the peer.
func (m *Member) Conn() peer.Conn { return m.conn }

// Disagreements returns how often the peer was heard to have another view.
func (m *Member) Disagreements() int64 { return m.disagreements.Load() }
