package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Ready returns nil when this process is warm: a view is in place, the peers were told of it,
// nothing lasting is wrong with the configuration, and the values that are handed over, or in
// snapshots, are here. For values it waits no longer than the handover may take. See
// Pool.Ready.
func (c *Cluster) Ready(ctx context.Context) error {
	for {
		if c.leaving.Load() || c.closed.Load() {
			return fmt.Errorf("peercache: not ready: %w", peer.ErrClosed)
		}
		if c.ready.Load() {
			return nil
		}
		next, most, missing := c.awaited()
		if missing == nil {
			if c.ready.CompareAndSwap(false, true) {
				c.log.Info("this process is ready", "peers", len(c.view.Load().names))
			}
			return nil
		}
		patience := time.NewTimer(most)
		select {
		case <-next:
		case <-patience.C:
		case <-c.life.Done():
		case <-ctx.Done():
			patience.Stop()
			return fmt.Errorf("peercache: not ready: %w (%w)", missing, ctx.Err())
		}
		patience.Stop()
	}
}

// IsReady reports whether Ready would return nil at once.
func (c *Cluster) IsReady() bool {
	if c.leaving.Load() || c.closed.Load() {
		return false
	}
	if !c.ready.Load() {
		if _, _, missing := c.awaited(); missing != nil {
			return false
		}
		c.ready.Store(true)
	}
	return true
}

// awaited returns what Ready waits for, as an error; nil, if for nothing. The channel is closed
// when that may have changed, and Ready asks again after the time most in any case.
func (c *Cluster) awaited() (next <-chan struct{}, most time.Duration, err error) {
	select {
	case <-c.viewed:
	default:
		return c.viewed, c.handover.time, errors.New("no view has come yet: want Set with the list of peers, or Join")
	}
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	v := c.view.Load()
	most = time.Duration(v.since.Plus(c.handover.time) - clock.Now())
	select {
	case <-a.announced:
	default:
		return a.announced, c.handover.time, errors.New("the peers have not heard of the view")
	}
	if next, problem := c.problems.lasting(); problem != nil {
		return next, c.handover.time, problem
	}
	// Within this time it is not known yet whether something lasts. If it does, that is a
	// problem.
	undecided := time.Duration(v.since.Plus(max(c.handover.time, differAfter+4*watchEvery)) - clock.Now())
	atOwn, found := c.own.found()
	switch {
	case len(v.others) > 0 && !found && undecided > 0:
		return atOwn, undecided, fmt.Errorf("this process was not found at its own address, %s: want its server listening there", c.self)
	case a.dissenters > 0 && undecided > 0:
		return a.next, min(undecided, watchEvery), fmt.Errorf("peers have another list of peers (normal for a moment in a deploy): %s",
			c.watch.withDifferences(a.dissentNames()))
	case most <= 0:
		return nil, 0, nil
	}
	if next, missing := c.watch.lackingGroups(); missing != nil {
		return next, most, missing
	}
	if a.offerers > 0 {
		return a.offered, most, fmt.Errorf("peers have values to hand over: %s",
			quote.Some(a.namesOf(func(r *record) bool { return r.offering })))
	}
	for name, g := range *c.groups.Load() {
		if !g.HasSnapshot() {
			continue
		}
		select {
		case <-g.Restored():
		default:
			return g.Restored(), most, fmt.Errorf("the snapshot of group %q is being restored", name)
		}
	}
	return nil, 0, nil
}
