package cluster

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// formerPeer is a peer that has left the view lately. What belongs to it is kept for a while:
// it may have values that this process owns now, and it may be back.
type lingering struct {
	*Member
	stay context.CancelFunc // ends the wait until it is parted with
}

const (
	// partAfter is for how long the link of a peer that left the view is kept.
	closeAfter = 30 * time.Second
	// longestParting bounds how long its answers are waited for then.
	longestClosing = time.Minute
)

// partLater parts with a peer that has no part in the view any more, when it has handed over
// what this process may own now, unless it is back by then. The caller holds c.mu.
func (c *Cluster) closeLater(m *Member) {
	ctx, stay := context.WithCancel(c.life)
	f := &lingering{m, stay}
	c.lingering[m.name] = f
	c.background.Go(func() {
		defer stay()
		clock.Pause(ctx, closeAfter)
		if !c.stopLingering(f) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), longestClosing)
		m.closeConn(ctx)
		cancel()
		clock.Pause(c.life, longestDeparted-closeAfter)
		c.forgetDeparted(m)
	})
}

// dropFormer reports whether a former peer is not back, and then it cannot be any more.
func (c *Cluster) stopLingering(f *lingering) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lingering[f.name] != f {
		return false
	}
	delete(c.lingering, f.name)
	return true
}

// peerOf returns the peer of a name that comes into the view: the one that it was before, with
// its connection, if it has left lately. The caller holds c.mu.
func (c *Cluster) memberFor(name string) *Member {
	f := c.lingering[name]
	if f == nil {
		return newMember(c, name)
	}
	delete(c.lingering, name)
	f.stay()
	f.conn.Wake() // it may have failed because it was gone
	return f.Member
}

// viewChanges bounds how often the view changes because of what peers say. A change costs
// every process a message to every other.
type changeRate struct {
	perSecond int
	available float64       // of those that may come at once
	updated   clock.Instant // when left was looked at last
	waiting   bool          // a change is due, and will come
}

// take returns how long a change has to wait: zero, if it may come now.
func (r *changeRate) reserve() time.Duration {
	now, most := clock.Now(), float64(r.perSecond)
	if r.updated == 0 {
		r.available = most
	} else {
		r.available = min(most, r.available+most*time.Duration(now-r.updated).Seconds())
	}
	r.updated = now
	if r.available >= 1 {
		r.available--
		return 0
	}
	return time.Duration((1 - r.available) / most * float64(time.Second))
}

// changeView puts the view of the peers in place that are present now, at once if there were
// few changes lately. Others wait, and come in one. The caller holds c.mu.
func (c *Cluster) refreshViewSoon() {
	if c.viewRate.waiting || c.closed.Load() {
		return
	}
	wait := c.viewRate.reserve()
	if wait == 0 {
		c.refreshView()
		return
	}
	c.viewRate.waiting = true
	c.background.Go(func() {
		clock.Pause(c.life, wait)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.viewRate.waiting = false
		c.refreshViewSoon()
	})
}
