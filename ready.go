package peercache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Ready returns nil when this process is warm enough for the requests of users: it has a
// view, by Set or by Join, the peers that can be reached have it too, those to which this
// process is new have handed over what is its own now, and what may be used of the
// snapshots is restored. If ctx ends before, the error says first what was missing, and wraps
// that and ctx.Err. It is made for a readiness probe: give ctx a time that is shorter than the
// probe's timeout, such as 500 ms where that is 1 s, or the probe never sees the error.
//
// Peers that cannot be reached are not waited for, and those that have values to hand over,
// lack a group, or have not said whether they do, for no longer than WithHandover's time after
// this process got its view.
// For a wrong configuration Ready waits without end, because people have to mend it, and
// errors.As finds a *ConfigError in its error: a WrongProcess, NotAPeer, NotListening or
// DifferentLists.
//
// Once warm, the process stays ready whatever changes in the cluster: otherwise a change that
// all processes see could take all of them away from their users. From Shutdown on
// the error is ErrClosed.
func (p *HTTPPool) Ready(ctx context.Context) error {
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
func (p *HTTPPool) missing() (next <-chan struct{}, most time.Duration, err error) {
	given := p.viewed()
	select {
	case <-given:
	default:
		return given, p.handover.time, errors.New("no view has come yet")
	}
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	most = time.Duration(p.view.Load().since.plus(p.handover.time) - Now())
	select {
	case <-c.announced:
	default:
		return c.announced, p.handover.time, errors.New("the peers have not heard of the view")
	}
	if next, problem := p.problems.lasting(); problem != nil {
		return next, p.handover.time, problem
	}
	// Until it is known whether something lasts: if it does, that is a problem.
	undecided := time.Duration(p.view.Load().since.plus(max(p.handover.time, differAfter+4*watchEvery)) - Now())
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
		return c.offered, most, fmt.Errorf("peers have values to hand over: %s", namesOf(c.offering))
	}
	for name, g := range *p.groups.Load() {
		if g.snapshot == nil {
			continue
		}
		select {
		case <-g.snapshot.restored:
		default:
			return g.snapshot.restored, most, fmt.Errorf("the snapshot of group %q is being restored", name)
		}
	}
	return nil, 0, nil
}

// viewed returns a channel that is closed when the pool has a view.
func (p *HTTPPool) viewed() <-chan struct{} {
	if p.membership != nil {
		return p.membership.held
	}
	return p.given
}

// namesOf names the first of the peers, and counts the others.
func namesOf[V any](peers map[string]V) string { return someOf(slices.Sorted(maps.Keys(peers))) }
