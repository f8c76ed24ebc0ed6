package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Member is another process of the cluster. It is the peer.Peer that groups use: it adds the
// state of this process to each Change, and observes the state in the answer.
type Member struct {
	cluster *Cluster
	name    string
	conn    peer.Conn
	starter peer.Starter // conn, if it is one; else nil

	answerer      answerer
	disagreements atomic.Int64 // how often it was observed with another view
	// retryAt is an Instant: a departed member that could not be told of a change is told of no
	// change before. 0 means that it was told of all.
	retryAt atomic.Int64
	// ownedNothing says of a departed member that it owned nothing in the last view that had it.
	ownedNothing atomic.Bool
}

func newMember(c *Cluster, name string) *Member {
	m := &Member{cluster: c, name: name}
	m.conn = c.transport.Dial(m, name)
	m.starter, _ = m.conn.(peer.Starter)
	return m
}

// newDetachedMember returns a Member that takes a connection of its own for each request, and
// is asked for no keys.
func newDetachedMember(c *Cluster, name string) *Member {
	m := newMember(c, name)
	m.starter = nil
	m.conn.Close(context.Background()) // nothing is in flight
	return m
}

// inView reports whether this Member is in the view. Another one of the same name may be.
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
		m.cluster.problems.solved(m.name, peer.WrongProcess, peer.NotAPeer, peer.Unauthenticated)
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

// Name implements peer.Peer.
func (m *Member) Name() string { return m.name }

// Get implements peer.Peer.
func (m *Member) Get(ctx context.Context, q peer.Query) (peer.Answer, error) {
	if m.cluster.closed.Load() { // this process is alone now
		return peer.Answer{}, &peer.PeerError{Peer: m.name, Err: peer.ErrClosed}
	}
	return m.conn.Get(ctx, &q)
}

// Starter returns the Conn of the peer if it is a peer.Starter, and keys may be asked for; else
// nil.
func (m *Member) Starter() peer.Starter {
	if m.cluster.closed.Load() {
		return nil
	}
	return m.starter
}

// Change implements peer.Peer.
func (m *Member) Change(ctx context.Context, change peer.Change) ([]peer.Holder, error) {
	held, _, err := m.changeInParts(ctx, change)
	return held, err
}

// changeInParts sends a Change, in several requests if its keys do not fit into one. It also
// reports whether the peer is leaving.
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
			held = append(held, m.checkHolder(h))
		}
		if len(keys) == 0 {
			return held, changed.State.Leaving, nil
		}
	}
}

// send sends one Change with the state of this process, and observes the state in the answer.
func (m *Member) send(ctx context.Context, change peer.Change) (peer.Changed, error) {
	c := m.cluster
	change.State = c.stateFor(m.name)
	change.Token, change.Proof = c.token(m.name), c.proofFor(m.name)
	changed, err := m.conn.Change(ctx, &change)
	refused := errors.Is(err, peer.ErrUnauthorized)
	if refused {
		m.ObserveRefusal(err)
	}
	if changed.State.View == 0 && err != nil { // there was no answer
		return peer.Changed{}, err
	}
	if change.State.Leaving && !changed.Unheard && !refused {
		c.recordWitness(m.name)
	}
	c.observe(m.name, stateInAnswer(&changed))
	c.watch.observeGroups(m.name, changed.Groups)
	if err != nil {
		return peer.Changed{}, err
	}
	return changed, nil
}

// checkHolder returns what the peer says of a holder of copies that it could not tell, within
// bounds: a holder that is no peer here is replaced by the peer itself, and no lease is longer
// than the longest.
func (m *Member) checkHolder(h peer.Holder) peer.Holder {
	held := peer.Holder{Peer: h.Peer, Left: max(0, min(h.Left, lease.Longest)), Reason: quote.Text(h.Reason)}
	if !m.cluster.IsPeer(held.Peer) {
		held.Reason = fmt.Sprintf("of %s it says %s", quote.Key(held.Peer), held.Reason)
		held.Peer = m.name
	}
	return held
}

// closeConn closes the connections, when what is in flight on them is answered, or ctx has
// ended. The peer can still be told of changes.
func (m *Member) closeConn(ctx context.Context) { m.conn.Close(ctx) }

// Conn returns the way to the peer.
func (m *Member) Conn() peer.Conn { return m.conn }

// Disagreements returns how often the peer was observed with another view.
func (m *Member) Disagreements() int64 { return m.disagreements.Load() }
