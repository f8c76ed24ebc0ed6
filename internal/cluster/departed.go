package cluster

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A peer that left the view is told of changes for a while, so that those who still ask it
// see them. That is a best effort: P8 is about the peers of the view, and does not need its
// answer.
//
//   - What it kept as an owner, nobody of the view asks it for any more, but the new owners
//     of its keys, which take its values over. These refuse a value of a key that was
//     changed since: they were told of the change in the first round (changedKeys, and
//     changedBefore where the view has changed once more).
//   - The copies that it gave away are with peers of the view, which are all told themselves
//     as long as views change (everybody).
//   - A peer of another view, which may still ask it, is a dissenter: spread waits for it.
//
// So a machine that was replaced, and hangs, costs a change nothing but a little time, once.

const (
	// departedAtOnce is how many of them one change tells at the same time.
	departedAtOnce = 64
	// departedAgain is when one that could not be told is told again.
	departedRetry = 10 * time.Second
	// departedShare is the share of a change's time that they may have.
	departedShare = 4
)

// TellDeparted tells peers that left the view of a change, all of them together for no
// longer than the detection time. The returned func waits for those that have not failed
// before; nobody waits for the others.
func (c *Cluster) TellDeparted(ctx context.Context, peers []peer.Peer, change peer.Change) (wait func()) {
	var most time.Duration
	var fresh, failed []*Member
	for _, other := range peers {
		m, ok := other.(*Member)
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
		for _, m := range failed { // other changes leave them alone meanwhile
			m.retryAt.Store(int64(clock.Now() + clock.Instant(clock.Jitter(departedRetry))))
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

// tellEach tells departed peers of a change until ctx ends, and notes which could not be told.
func tellEach(ctx context.Context, peers []*Member, change peer.Change) {
	var tells errgroup.Group
	tells.SetLimit(departedAtOnce)
	for _, m := range peers {
		tells.Go(func() error {
			err := ctx.Err() // the others took all the time
			if err == nil {
				_, err = m.Change(ctx, change)
			}
			if err != nil && (peer.Unreachable(err) || ctx.Err() != nil) {
				m.retryAt.Store(int64(clock.Now() + clock.Instant(clock.Jitter(departedRetry))))
			} else {
				m.retryAt.Store(0)
			}
			return nil
		})
	}
	tells.Wait()
}

// forget forgets a peer that left the view so long ago that it is told of no changes any
// more. With it goes the view before, if the present one is as old as that.
func (c *Cluster) forgetDeparted(m *Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	long := clock.Now() - clock.Instant(longestDeparted)
	if at, ok := c.agreement.departed[m]; ok && at <= long {
		delete(c.agreement.departed, m)
	}
	if v := c.view.Load(); v.before != nil && v.since <= long {
		same := *v
		same.before = &view{id: v.before.id, since: v.before.since, handedOver: v.before.handedOver} // there was one
		c.view.Store(&same)
	}
}

// longestDeparted is for how long a peer that left the view is told of changes.
const longestDeparted = 2 * longestClosing

const (
	// partAfter is for how long the link of a peer that left the view is kept.
	closeAfter = 30 * time.Second
	// longestParting bounds how long its answers are waited for then.
	longestClosing = time.Minute
)

// formerPeer is a peer that has left the view lately. What belongs to it is kept for a while:
// it may have values that this process owns now, and it may be back.
type lingering struct {
	*Member
	stay context.CancelFunc // ends the wait until it is parted with
}

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
