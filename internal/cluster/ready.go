package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
)

// Ready implements Pool.Ready.
func (p *Cluster) Ready(ctx context.Context) error {
	for {
		if p.leaving.Load() || p.closed.Load() {
			return fmt.Errorf("peercache: not ready: %w", ErrClosed)
		}
		if p.warm.Load() {
			return nil
		}
		next, most, missing := p.missing()
		if missing == nil {
			p.warm.Store(true)
			return nil
		}
		patience := time.NewTimer(most)
		select {
		case <-next:
		case <-patience.C:
		case <-p.life.Done():
		case <-ctx.Done():
			patience.Stop()
			return fmt.Errorf("peercache: not ready: %w (%w)", missing, ctx.Err())
		}
		patience.Stop()
	}
}

// missing returns a channel that is closed when what Ready waits for may have changed, how
// long it waits at most, and for what: nil, if for nothing.
func (p *Cluster) missing() (next <-chan struct{}, most time.Duration, err error) {
	given := p.viewed()
	select {
	case <-given:
	default:
		return given, p.handover.time, errors.New("no view has come yet")
	}
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	most = time.Duration(p.view.Load().since.Plus(p.handover.time) - clock.Now())
	select {
	case <-c.announced:
	default:
		return c.announced, p.handover.time, errors.New("the peers have not heard of the view")
	}
	if next, problem := p.problems.lasting(); problem != nil {
		return next, p.handover.time, problem
	}
	// Until it is known whether something lasts: if it does, that is a problem.
	undecided := time.Duration(p.view.Load().since.Plus(max(p.handover.time, differAfter+4*watchEvery)) - clock.Now())
	atOwn, found := p.own.found()
	switch {
	case len(p.view.Load().others) > 0 && !found && undecided > 0:
		return atOwn, undecided, fmt.Errorf("this process was not found at its own address, %s: want its server listening there", p.self)
	case len(c.dissent) > 0 && undecided > 0:
		return c.next, min(undecided, watchEvery), fmt.Errorf("peers have another list of peers (normal for a moment in a deploy): %s",
			p.watch.withDifferences(slices.Sorted(maps.Keys(c.dissent))))
	case most <= 0:
		return nil, 0, nil
	}
	if next, missing := p.watch.groupsMissing(); missing != nil {
		return next, most, missing
	}
	if len(c.offering) > 0 {
		return c.offered, most, fmt.Errorf("peers have values to hand over: %s", quote.SomeKeys(c.offering))
	}
	for name, g := range *p.groups.Load() {
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

// viewed returns a channel that is closed when the pool has a view.
func (p *Cluster) viewed() <-chan struct{} {
	if p.membership != nil {
		return p.membership.held
	}
	return p.given
}
