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
