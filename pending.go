package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// InvalidationError says that a Remove, a Set or a Clear has not reached everybody.
type InvalidationError struct {
	Group   string
	Pending []Pending // in the order of their names
}

// Pending is a peer that may still serve what was to be dropped.
type Pending struct {
	Peer  string    // its base URL
	Until time.Time // zero: no end is known
	Err   error     // why
}

// Error names the first of the peers, and counts the others: Pending has them all.
func (e *InvalidationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "peercache: group %q: the old values may still be served", e.Group)
	for i, p := range e.Pending {
		if i == quote.MostNamed {
			fmt.Fprintf(&b, "; and by %d more", len(e.Pending)-quote.MostNamed)
			break
		}
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(" by " + p.Peer)
		if !p.Until.IsZero() {
			fmt.Fprintf(&b, " until %s", p.Until.Format(time.RFC3339))
		}
		fmt.Fprintf(&b, ": %v", p.Err)
	}
	return b.String()
}

// Unwrap returns the errors of the peers.
func (e *InvalidationError) Unwrap() []error {
	errs := make([]error, len(e.Pending))
	for i, p := range e.Pending {
		errs[i] = p.Err
	}
	return errs
}

// fail records a peer that could not be told.
func (t *telling) fail(p Peer, until clock.Instant, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed[p] = err
	t.add(Pending{Peer: p.Name(), Until: clock.TimeOf(until), Err: err})
}

// heldBack records holders that a candidate could not tell.
func (t *telling) heldBack(held []Holder) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range held {
		left := max(0, min(h.Left, lease.Longest)) // no lease is longer, whatever a peer says
		t.add(Pending{h.Peer, time.Now().Add(left), &PeerError{Peer: h.Peer, Err: errors.New(h.Reason)}})
	}
}

// add keeps the later end of a peer. The caller holds t.mu, or no round is in progress.
func (t *telling) add(p Pending) {
	old, ok := t.pending[p.Peer]
	if !ok || !old.Until.IsZero() && (p.Until.IsZero() || p.Until.After(old.Until)) {
		t.pending[p.Peer] = p
	}
}

func (t *telling) err() error {
	e := &InvalidationError{Group: t.g.name}
	for _, p := range t.pending {
		e.Pending = append(e.Pending, p)
	}
	slices.SortFunc(e.Pending, func(a, b Pending) int { return cmp.Compare(a.Peer, b.Peer) })
	return e
}

var (
	// errOtherView is why a change is not complete where the peers' views differ.
	errOtherView = errors.New("its view of the cluster is another one")
	// errViewsChange is why it is not where they never stay the same.
	errViewsChange = errors.New("the peers' views went on changing all the time")
)

// otherView is errOtherView with the difference, if that is known.
func otherView(difference string) error {
	if difference == "" {
		return errOtherView
	}
	return fmt.Errorf("%w: %s", errOtherView, difference)
}

// errChanging returns the error of a change that ends while the views still change: any peer
// may keep what it has under a view that this process has not seen. A peer whose view differs
// all the time is told apart.
func (t *telling) errChanging(ctx context.Context, now cluster.Agreement) error {
	if now.Dissenter != "" && ctx.Err() == nil {
		difference, _ := t.g.reconcile(ctx, now)
		t.pending[now.Dissenter] = Pending{Peer: now.Dissenter, Err: otherView(difference)}
	}
	for _, p := range now.Peers {
		if old, ok := t.pending[p.Name()]; !ok || errors.Is(old.Err, context.Canceled) || errors.Is(old.Err, context.DeadlineExceeded) {
			t.pending[p.Name()] = Pending{Peer: p.Name(), Err: because(errViewsChange, ctx.Err())}
		}
	}
	return t.err()
}

// because returns err with its cause, which may be nil.
func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// revived waits for the peers that may have what has no end, if they all hang, until they
// are heard of, or views change. It reports whether they did while ctx lasted: then all is
// to be told again.
func (t *telling) revived(ctx context.Context) bool {
	var hang []Peer
	for p, err := range t.failed {
		if !t.pending[p.Name()].Until.IsZero() {
			continue
		}
		if !peer.Silent(err) {
			return false
		}
		hang = append(hang, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	back := make(chan struct{}, len(hang))
	for _, p := range hang {
		go func() {
			for err := error(peer.ErrSilent); peer.Silent(err) && ctx.Err() == nil; {
				clock.Pause(ctx, clock.Jitter(clock.RetryAfter))
				_, err = p.Change(ctx, Change{Group: t.c.Group}) // of nothing: all is told again when it answers
			}
			back <- struct{}{}
		}()
	}
	for range hang {
		select {
		case <-back:
		case <-t.next:
			return ctx.Err() == nil
		}
	}
	return ctx.Err() == nil
}
