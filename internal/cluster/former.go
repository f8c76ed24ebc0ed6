package cluster

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// formerPeer is a peer that has left the view lately. What belongs to it is kept for a while:
// it may have values that this process owns now, and it may be back.
type formerPeer struct {
	*Member
	stay context.CancelFunc // ends the wait until it is parted with
}

const (
	// partAfter is for how long the link of a peer that left the view is kept.
	partAfter = 30 * time.Second
	// longestParting bounds how long its answers are waited for then.
	longestParting = time.Minute
)

// partLater parts with a peer that has no part in the view any more, when it has handed over
// what this process may own now, unless it is back by then. The caller holds p.mu.
func (p *Cluster) partLater(peer *Member) {
	ctx, stay := context.WithCancel(p.life)
	f := &formerPeer{peer, stay}
	p.former[peer.name] = f
	p.background.Go(func() {
		defer stay()
		clock.Pause(ctx, partAfter)
		if !p.dropFormer(f) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), longestParting)
		peer.part(ctx)
		cancel()
		clock.Pause(p.life, longestDeparted-partAfter)
		p.forget(peer)
	})
}

// dropFormer reports whether a former peer is not back, and then it cannot be any more.
func (p *Cluster) dropFormer(f *formerPeer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.former[f.name] != f {
		return false
	}
	delete(p.former, f.name)
	return true
}

// peerOf returns the peer of a name that comes into the view: the one that it was before, with
// its connection, if it has left lately. The caller holds p.mu.
func (p *Cluster) peerOf(name string) *Member {
	f := p.former[name]
	if f == nil {
		return newMember(p, name)
	}
	delete(p.former, name)
	f.stay()
	f.conn.Wake() // it may have failed because it was gone
	return f.Member
}

// viewChanges bounds how often the view changes because of what peers say. A change costs
// every process a message to every other.
type viewChanges struct {
	perSecond int
	left      float64       // of those that may come at once
	at        clock.Instant // when left was looked at last
	waiting   bool          // a change is due, and will come
}

// take returns how long a change has to wait: zero, if it may come now.
func (c *viewChanges) take() time.Duration {
	now, most := clock.Now(), float64(c.perSecond)
	if c.at == 0 {
		c.left = most
	} else {
		c.left = min(most, c.left+most*time.Duration(now-c.at).Seconds())
	}
	c.at = now
	if c.left >= 1 {
		c.left--
		return 0
	}
	return time.Duration((1 - c.left) / most * float64(time.Second))
}

// changeView puts the view of the peers in place that are present now, at once if there were
// few changes lately. Others wait, and come in one. The caller holds p.mu.
func (p *Cluster) changeView() {
	if p.changes.waiting || p.closed.Load() {
		return
	}
	wait := p.changes.take()
	if wait == 0 {
		p.resetView()
		return
	}
	p.changes.waiting = true
	p.background.Go(func() {
		clock.Pause(p.life, wait)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changes.waiting = false
		p.changeView()
	})
}
