package peercache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Ready returns nil when this process is warm enough for the requests of users: it has a
// view, by Set or by Join, the peers that can be reached have it too, and those to which
// this process is new have handed over what is its own now. If ctx ends before, the error
// wraps ctx.Err and says what was missing. It is made for a readiness probe.
//
// Peers are not waited for without end: not at all, if they cannot be reached, and those
// that have another view, or values to hand over, for no longer than WithHandover's time
// after this process got its view. From Shutdown on the error is ErrClosed.
func (p *HTTPPool) Ready(ctx context.Context) error {
	for {
		if p.leaving.Load() || p.closed.Load() {
			return fmt.Errorf("peercache: ready: %w", ErrClosed)
		}
		missing, next, most := p.missing()
		if missing == nil {
			return nil
		}
		patience := time.NewTimer(most)
		select {
		case <-next:
		case <-patience.C:
		case <-ctx.Done():
			patience.Stop()
			return fmt.Errorf("peercache: ready: %w: %w", ctx.Err(), missing)
		}
		patience.Stop()
	}
}

// missing returns what Ready waits for, a channel that is closed when that may have
// changed, and how long it waits at most.
func (p *HTTPPool) missing() (err error, next <-chan struct{}, most time.Duration) {
	given := p.given
	if p.membership != nil {
		given = p.membership.held
	}
	select {
	case <-given:
	default:
		return errors.New("no view has come yet"), given, p.handover.time
	}
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	most = time.Duration(p.view.Load().since + Instant(p.handover.time) - Now())
	select {
	case <-c.announced:
	default:
		return errors.New("the peers have not heard of the view"), c.announced, p.handover.time
	}
	switch {
	case most <= 0:
		return nil, nil, 0
	case len(c.dissent) > 0:
		return fmt.Errorf("peers have another view: %s", namesOf(c.dissent)), c.next, most
	case len(c.offering) > 0:
		return fmt.Errorf("peers have values to hand over: %s", namesOf(c.offering)), c.offered, most
	}
	return nil, nil, 0
}

func namesOf[V any](peers map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(peers)), ", ")
}
