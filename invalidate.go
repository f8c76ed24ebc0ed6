package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/peer"
)

// invalidate tells the peers of a change, in rounds, until the set of peers that must be told
// has not changed during a round.
//
// Values are kept by the peers of a key's preference list alone, and copies by those to which
// one of these gave them. So in a settled cluster, a change goes to the preference lists of its
// keys. Each peer there drops its own value before it tells the holders of copies: else one of
// these could drop its copy and fetch the old value again.
//
// While views change, values may be with the preference list of any view. So a change then
// goes to all peers, twice: when the second time begins, nobody has an old value
// but as a copy, or on its way. That includes values that are handed over, because who
// has heard of the change takes none over any more (changedKeys).
func (g *Group) invalidate(ctx context.Context, c Change) error {
	called := clock.Now()
	patience, ctx, over := g.patience(ctx)
	defer over()
	var differ clock.Instant // since when a peer has been seen to have another view; 0: none has
	var hung *round          // one that reached all peers but those that hung
	again := false           // views changed in the last round
	for {
		r, state := g.round(ctx, called, c)
		end, ends := r.end()
		changed := g.peers.Agreement().Epoch != state.Epoch
		switch {
		case state.Dissenter == "":
			differ = 0
		case differ == 0:
			differ = clock.Now()
		}
		tired := differ != 0 && clock.Now() >= differ+clock.Instant(g.times.lease)
		switch {
		case changed && ctx.Err() == nil && !tired:
			// Others may count now, or some of these no more: once again.
			hung, again = nil, true
			continue
		case changed, again && ctx.Err() != nil:
			return r.errChanging(ctx, g.peers.Agreement())
		case !ends && ctx.Err() != nil && hung != nil:
			return hung.err()
		case !ends && r.revived(patience):
			if hung = r; g.peers.Agreement().Epoch != state.Epoch {
				hung, again = nil, true
				continue
			}
		case !ends:
			return r.err()
		case state.Dissenter != "":
			// All is dropped where this process can see. What the other view makes
			// of it is not known until there is one view: soon, or not at all.
			if own := g.ownProblem(); own != nil { // which they cannot be of one mind with
				r.add(Pending{Peer: g.home.Self(), Err: own})
				return r.err()
			}
			difference, err := g.reconcile(ctx, state)
			if err != nil || tired {
				r.add(Pending{Peer: state.Dissenter, Err: because(otherView(difference), err)})
				return r.err()
			}
		case !clock.Outlast(ctx, state.Next, end):
			if g.peers.Agreement().Epoch != state.Epoch {
				return r.errChanging(ctx, g.peers.Agreement())
			}
			return r.err()
		case g.peers.Agreement().Epoch == state.Epoch:
			return nil
		}
		again = false
	}
}

// round tells the peers of a change once, as they agree now.
func (g *Group) round(ctx context.Context, called clock.Instant, c Change) (*round, cluster.Agreement) {
	state := g.peers.Agreement()
	g.recordChange(&c) // each time: whoever has left meanwhile may have a snapshot
	if g.planted == failpoint.AbsentForgotten {
		state.Absent = nil
	}
	r := &round{g: g, called: called, change: c, pending: make(map[string]Pending), failed: make(map[Peer]error), next: state.Next, lasts: g.times.standIn}
	if c.All || state.Changing(g.changing()) {
		r.tellEveryone(ctx, state)
	} else {
		r.tellReplicas(ctx, state)
	}
	g.dropCopies(&c)
	return r, state
}

// changing returns for how long after a change of the view values may be where the view does not
// tell: with former owners and stand-ins, and as copies that one of these gave away before.
func (g *Group) changing() time.Duration { return max(g.times.standIn, g.times.lease) }

// patience returns the contexts that bound how long a change waits for peers that hang, and how
// long it goes on at all. Both are ctx if that has a deadline. Else they get one here, whatever
// the peers and their views do.
func (g *Group) patience(ctx context.Context) (hanging, all context.Context, over func()) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, ctx, func() {}
	}
	all, endAll := context.WithTimeout(ctx, max(g.times.standIn, lease.Longest)+longestRound)
	hanging, endHanging := context.WithTimeout(all, g.times.lease)
	return hanging, all, func() { endHanging(); endAll() }
}

// longestRound is the time that a change without a deadline has beyond what it waits for.
const longestRound = 5 * time.Second

// reconcile waits until the peer that has another view than this process has changed its
// mind, or some time has passed. It returns what the difference is, as far as that is known.
func (p *placement) reconcile(ctx context.Context, state cluster.Agreement) (difference string, err error) {
	difference = p.peers.Reconcile(ctx, state.Dissenter)
	clock.Pause(ctx, clock.Jitter(clock.RetryAfter))
	return difference, ctx.Err()
}

// round is one invalidation round: a change on its way to the peers, as they agreed when it
// began.
type round struct {
	g      *Group
	called clock.Instant
	change Change
	next   <-chan struct{} // closed when peers agree on something else
	lasts  time.Duration   // how long the values of a peer may last that are not endless

	mu      sync.Mutex
	pending map[string]Pending // guarded by mu; by the peer's name
	failed  map[Peer]error     // guarded by mu; why peers could not be told themselves
}

// tellReplicas sends each peer the keys on whose preference lists it is, and asks it to tell
// the holders of copies.
func (r *round) tellReplicas(ctx context.Context, state cluster.Agreement) {
	keys, owners := make(map[Peer][]string), make(map[Peer]bool)
	for _, key := range r.change.Keys {
		for n := range cluster.Candidates {
			p := r.g.peers.Pick(key, n) // nil: this process, or there are fewer
			if p == nil && !r.g.peers.Owns() {
				break
			}
			if of := keys[p]; len(of) == 0 || of[len(of)-1] != key {
				keys[p] = append(of, key)
			}
			owners[p] = owners[p] || n == 0 || p != nil && !state.Confirmed(p)
		}
	}
	for _, p := range state.Absent {
		if state.OwnsNothing(p) {
			continue // if it is back, those that give it leases know
		}
		keys[p], owners[p] = r.change.Keys, true // if it is back, it may own them
	}
	c := r.change
	c.Holders, c.Wait = true, lease.Longest
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		c.Wait = min(c.Wait, left-min(left/10, mostTransit))
	}
	r.tell(ctx, c, keys, owners, owners)
}

// mostTransit is what is left of the time of a change for its answer to come back, if
// that is less than a tenth.
const mostTransit = 100 * time.Millisecond

// tellEveryone tells all peers, twice.
func (r *round) tellEveryone(ctx context.Context, state cluster.Agreement) {
	endless := make(map[Peer]bool)
	keys := map[Peer][]string{nil: r.change.Keys}
	for _, p := range slices.Concat(state.Peers, state.Absent) {
		if r.g.planted == failpoint.GatewaysForgotten && state.OwnsNothing(p) {
			continue
		}
		keys[p] = r.change.Keys
		endless[p] = !state.OwnsNothing(p) || !state.Confirmed(p) // it may hand its values over
	}
	r.lasts = max(r.lasts, lease.Longest) // what others have are copies, and values from when they owned keys
	c := r.change
	c.Item = nil
	departed := state.Departed // who cannot be reached is no peer of the view
	if !state.Changing(r.g.changing()) {
		departed = nil // nobody takes anything over from them any more
	}
	told := r.g.peers.TellDeparted(ctx, departed, c)
	first, cancel := half(ctx) // a peer that hangs leaves the others half of the time
	r.tell(first, c, keys, endless, nil)
	cancel()
	told()
	for p := range r.failed {
		delete(keys, p)
	}
	var owner map[Peer]bool
	if r.change.Item != nil {
		owner = map[Peer]bool{r.g.peers.Pick(r.change.Keys[0], 0): true}
	}
	r.tell(ctx, r.change, keys, endless, owner)
}

// half returns ctx with half of the time that it has left, if it has a deadline.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
}

// tell sends each peer its own keys, concurrently. Peers in endless may hold the values
// indefinitely, others for at most the time r.lasts. Only owners, and those that may
// consider themselves owners, receive an Item.
func (r *round) tell(ctx context.Context, c Change, keys map[Peer][]string, endless, owners map[Peer]bool) {
	ctx, anew := context.WithCancel(ctx)
	defer anew()
	patience, hopeless := context.WithCancel(ctx)
	defer hopeless()
	if r.next != nil {
		go func() {
			select {
			case <-r.next: // all is told once again: nobody waits for those who count no more
				anew()
			case <-patience.Done():
			}
		}()
	}
	var all sync.WaitGroup
	for peer, keys := range keys {
		its, until := c, r.called.Plus(r.lasts)
		its.Keys = keys
		if endless[peer] {
			until = 0
		}
		if !owners[peer] {
			its.Item = nil
		}
		all.Go(func() {
			if peer == nil {
				r.addHolders(r.g.serveChange(ctx, its, never))
				return
			}
			held, err := r.g.tellPeer(ctx, patience, peer, its, until)
			if err != nil {
				r.fail(peer, until, err)
				if until == 0 {
					hopeless() // it fails: nobody waits for the others' ends
				}
			}
			r.addHolders(held)
		})
	}
	all.Wait()
}

// end returns the time at which the last value of a pending peer ends by itself, and reports
// whether all of them do. With no pending peers that is at once.
func (r *round) end() (last time.Time, ends bool) {
	for _, p := range r.pending {
		if p.Until.IsZero() {
			return last, false
		}
		if p.Until.After(last) {
			last = p.Until
		}
	}
	return last, true
}

// fail records a peer that could not be told.
func (r *round) fail(p Peer, until clock.Instant, err error) {
	if r.g.holders != nil {
		r.g.holders.Missed(p.Name())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[p] = err
	r.add(Pending{Peer: p.Name(), Until: clock.TimeOf(until), Err: err})
}

// addHolders records holders of copies that a peer could not tell.
func (r *round) addHolders(held []Holder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range held {
		left := max(0, min(h.Left, lease.Longest)) // no lease is longer, whatever a peer says
		r.add(Pending{h.Peer, time.Now().Add(left), &PeerError{Peer: h.Peer, Err: errors.New(h.Reason)}})
	}
}

// add records a pending peer, with the later end of the two if it is there already. The caller
// holds r.mu, or nobody is being told.
func (r *round) add(p Pending) {
	old, ok := r.pending[p.Peer]
	if !ok || !old.Until.IsZero() && (p.Until.IsZero() || p.Until.After(old.Until)) {
		r.pending[p.Peer] = p
	}
}

func (r *round) err() error {
	e := &InvalidationError{Group: r.g.name}
	for _, p := range r.pending {
		e.Pending = append(e.Pending, p)
	}
	slices.SortFunc(e.Pending, func(a, b Pending) int { return cmp.Compare(a.Peer, b.Peer) })
	return e
}

var (
	// errOtherView says that a peer has another view.
	errOtherView = errors.New("its view of the cluster is another one")
	// errViewsChange says that the views kept changing until the change ran out of time.
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
// may keep its values under a view that this process has not seen. The error of a peer whose
// view differs all the time says so.
func (r *round) errChanging(ctx context.Context, now cluster.Agreement) error {
	if now.Dissenter != "" && ctx.Err() == nil {
		difference, _ := r.g.reconcile(ctx, now)
		r.pending[now.Dissenter] = Pending{Peer: now.Dissenter, Err: otherView(difference)}
	}
	for _, p := range now.Peers {
		if old, ok := r.pending[p.Name()]; !ok || errors.Is(old.Err, context.Canceled) || errors.Is(old.Err, context.DeadlineExceeded) {
			r.pending[p.Name()] = Pending{Peer: p.Name(), Err: because(errViewsChange, ctx.Err())}
		}
	}
	return r.err()
}

// revived waits for the pending peers whose values do not end, if they all hang, or do not list this
// process yet, until they answer or views change. It reports whether that came while ctx lasted: then
// all peers must be told again.
func (r *round) revived(ctx context.Context) bool {
	now := r.g.peers.Agreement()
	isUnlisted := func(p Peer, err error) bool { // that changes with its list: if it has the view already, it does not
		return errors.Is(err, peer.ErrUnauthorized) && !now.Confirmed(p)
	}
	var hang []Peer
	for p, err := range r.failed {
		if !r.pending[p.Name()].Until.IsZero() {
			continue
		}
		if !peer.Silent(err) && !isUnlisted(p, err) {
			return false
		}
		hang = append(hang, p)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	back := make(chan struct{}, len(hang))
	for _, p := range hang {
		go func() {
			for err := error(peer.ErrSilent); (peer.Silent(err) || isUnlisted(p, err)) && ctx.Err() == nil; {
				clock.Pause(ctx, clock.Jitter(clock.RetryAfter))
				_, err = p.Change(ctx, Change{Group: r.change.Group}) // of nothing: all is told again when it answers
			}
			back <- struct{}{}
		}()
	}
	for range hang {
		select {
		case <-back:
		case <-r.next:
			return ctx.Err() == nil
		}
	}
	return ctx.Err() == nil
}
