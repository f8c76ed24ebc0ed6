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
// what this process may own now, unless it is back by then. The caller holds c.mu.
func (c *Cluster) partLater(m *Member) {
	ctx, stay := context.WithCancel(c.life)
	f := &formerPeer{m, stay}
	c.former[m.name] = f
	c.background.Go(func() {
		defer stay()
		clock.Pause(ctx, partAfter)
		if !c.dropFormer(f) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), longestParting)
		m.part(ctx)
		cancel()
		clock.Pause(c.life, longestDeparted-partAfter)
		c.forget(m)
	})
}

// dropFormer reports whether a former peer is not back, and then it cannot be any more.
func (c *Cluster) dropFormer(f *formerPeer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.former[f.name] != f {
		return false
	}
	delete(c.former, f.name)
	return true
}

// peerOf returns the peer of a name that comes into the view: the one that it was before, with
// its connection, if it has left lately. The caller holds c.mu.
func (c *Cluster) peerOf(name string) *Member {
	f := c.former[name]
	if f == nil {
		return newMember(c, name)
	}
	delete(c.former, name)
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
func (r *viewChanges) take() time.Duration {
	now, most := clock.Now(), float64(r.perSecond)
	if r.at == 0 {
		r.left = most
	} else {
		r.left = min(most, r.left+most*time.Duration(now-r.at).Seconds())
	}
	r.at = now
	if r.left >= 1 {
		r.left--
		return 0
	}
	return time.Duration((1 - r.left) / most * float64(time.Second))
}

// changeView puts the view of the peers in place that are present now, at once if there were
// few changes lately. Others wait, and come in one. The caller holds c.mu.
func (c *Cluster) changeView() {
	if c.changes.waiting || c.closed.Load() {
		return
	}
	wait := c.changes.take()
	if wait == 0 {
		c.resetView()
		return
	}
	c.changes.waiting = true
	c.background.Go(func() {
		clock.Pause(c.life, wait)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changes.waiting = false
		c.changeView()
	})
}
