package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A member that has left the view is departed. Its connections are kept for a while
// (closeAfter): it may have values that this process owns now, and it may be back. Longer than
// that (longestDeparted) it is told of changes, so that those who still ask it see them. That
// is a best effort: P8 is about the peers of the view, and does not need its answer.
//
//   - What it kept as an owner, nobody of the view asks it for any more, but the new owners of its
//     keys, which take its values over. These refuse a value of a key that was changed since: they
//     were told of the change in the first round (changedKeys, and changedBefore where the view has
//     changed once more).
//   - The copies that it gave away are with peers of the view, which are all told themselves as
//     long as views change (everybody).
//   - A peer of another view, which may still ask it, is a dissenter: a Remove waits for it.
//
// So a machine that was replaced, and hangs, costs a change nothing but a little time, once.

const (
	// closeAfter is how long the connections of a departed member are kept.
	closeAfter = 30 * time.Second
	// longestClosing bounds how long answers are waited for then.
	longestClosing = time.Minute
	// longestDeparted is how long a departed member is told of changes.
	longestDeparted = 2 * longestClosing
	// departedAtOnce is how many departed members one change tells at the same time.
	departedAtOnce = 64
	// departedRetry is the time until a departed member that could not be told is told again.
	departedRetry = 10 * time.Second
	// departedShare is the share of a change's time that departed members may take: one in so
	// many.
	departedShare = 4
)

// lingering is a departed member whose connections are kept.
type lingering struct {
	*Member
	stay context.CancelFunc // ends the wait for closeAfter
}

// closeLater closes the connections of a member that has left the view, after closeAfter,
// unless it is back by then. The caller holds c.mu.
func (c *Cluster) closeLater(m *Member) {
	ctx, stay := context.WithCancel(c.life)
	l := &lingering{m, stay}
	c.lingering[m.name] = l
	c.background.Go(func() {
		defer stay()
		clock.Pause(ctx, closeAfter)
		if !c.stopLingering(l) {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), longestClosing)
		m.closeConn(ctx)
		cancel()
		clock.Pause(c.life, longestDeparted-closeAfter)
		c.forgetDeparted(m)
		c.traffic.retire(m)
	})
}

// stopLingering reports whether a member is not back. Then its connections are not used again.
func (c *Cluster) stopLingering(l *lingering) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lingering[l.name] != l {
		return false
	}
	delete(c.lingering, l.name)
	return true
}

// memberFor returns the member of a name that comes into the view: the former one with its
// connections, if these are kept, or a new one. The caller holds c.mu.
func (c *Cluster) memberFor(name string) *Member {
	l := c.lingering[name]
	if l == nil {
		m := newMember(c, name)
		c.traffic.add(m)
		return m
	}
	delete(c.lingering, name)
	l.stay()
	l.conn.Wake() // requests may have failed while its process was gone
	return l.Member
}

// forgetDeparted forgets a member that left the view so long ago that it is told of no changes
// any more, the coordinators of views that are as old, and the owners of the view before, if this
// one has been in place for as long.
func (c *Cluster) forgetDeparted(m *Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	long := clock.Now() - clock.Instant(longestDeparted)
	if at, ok := c.agreement.departed[m]; ok && at <= long {
		delete(c.agreement.departed, m)
	}
	v := c.view.Load()
	c.agreement.relays = slices.DeleteFunc(c.agreement.relays, func(r *relay) bool { return r.view != v.id && r.since <= long })
	if v.before != nil && v.moved <= long {
		same := *v
		same.before = v.before.forgotten()
		c.view.Store(&same)
	}
}

// TellDeparted tells departed members of a change, for no longer than the detection time in
// all. The returned func waits for those that have not failed before. Those that have are told
// again after departedRetry, and nobody waits for them.
func (c *Cluster) TellDeparted(ctx context.Context, peers []peer.Peer, change peer.Change) (wait func()) {
	var most time.Duration
	var fresh, failed []*Member
	for _, p := range peers {
		m, ok := p.(*Member)
		if !ok {
			continue
		}
		most = c.detectionTime()
		switch again := clock.Instant(m.retryAt.Load()); {
		case again == 0:
			fresh = append(fresh, m)
		case clock.Now() >= again:
			failed = append(failed, m)
		}
	}
	if len(failed) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
		for _, m := range failed { // other changes do not try them meanwhile
			m.retryLater()
		}
		go func() {
			defer cancel()
			tellEach(ctx, failed, change)
		}()
	}
	if len(fresh) == 0 {
		return func() {}
	}
	if end, ok := ctx.Deadline(); ok {
		most = min(most, time.Until(end)/departedShare)
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	told := make(chan struct{})
	go func() {
		defer close(told)
		defer cancel()
		tellEach(ctx, fresh, change)
	}()
	return func() { <-told }
}

// tellEach tells departed members of a change until ctx ends, and records which could not be
// told.
func tellEach(ctx context.Context, members []*Member, change peer.Change) {
	forEach(slices.Values(members), departedAtOnce, func(m *Member) {
		err := ctx.Err() // the others took all the time
		if err == nil {
			_, err = m.Change(ctx, change)
		}
		if err != nil && (peer.Unreachable(err) || ctx.Err() != nil) {
			m.retryLater()
		} else {
			m.retryAt.Store(0)
		}
	})
}

// retryLater sets when a departed member that could not be told of a change is told of one
// again.
func (m *Member) retryLater() {
	m.retryAt.Store(int64(clock.Now() + clock.Instant(clock.Jitter(departedRetry))))
}
