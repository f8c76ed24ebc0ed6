package peercache

import (
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

// Remove drops the values of keys everywhere, or of none of them if one cannot be a key
// (ErrKeySize). Call it after the origin has changed.
//
// When it returns nil, every Get that starts afterwards, on any peer of the view, sees a
// load that began after Remove was called (P8). Loads that are in progress still answer
// those who wait for them, but are not kept, and nobody joins them any more.
//
// If a peer that holds a copy cannot be reached, Remove waits until the copy is not valid
// any more, as long as ctx lasts. The value of an owner does not end that way: Remove fails
// at once if nothing listens there, and goes on trying an owner that hangs. If a peer has
// another list of peers, Remove waits for the time of a lease (WithLease) until they agree.
// If that fails, the error is an *InvalidationError, which names the peers that may still
// serve an old value, and until when. All others have dropped theirs. If the group has
// WithConsistency, a process that may have been replaced returns ErrLapsed. If the pool is
// shut down, any error is ErrClosed as well.
//
// Remove ends at the latest when ctx does. If ctx has no deadline, it tries an owner that
// hangs for the time of a lease, and ends at the latest five seconds after a minute, or
// after the time of WithStandIn if that is longer. Machines that left the list and hang
// cost it the detection time (WithDetectionTime), once.
func (g *Group) Remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := g.checkKey(key); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return g.change(ctx, Change{Group: g.name, Keys: keys})
}

// Set gives key a value at its owner and drops all others, with the promise and the
// errors of Remove: when it returns nil, every Get that starts afterwards sees this
// value, or a load that began after Set was called. The value is copied. A value that is
// larger than the group allows is refused (ErrValueSize); one that is too large to be
// kept (NewGroup) is loaded when it is asked for.
//
// Of two calls for one key at the same time the one that comes to the owner last wins,
// which need not be the one whose write to the origin came last. Where keys are written
// concurrently, Remove is the safe one.
func (g *Group) Set(ctx context.Context, key string, item Item) error {
	if err := g.checkKey(key); err != nil {
		return err
	}
	if len(item.Value) > g.maxValue {
		return g.keyError(key, fmt.Errorf("%w: %d bytes, want at most %d", ErrValueSize, len(item.Value), g.maxValue))
	}
	return g.change(ctx, Change{Group: g.name, Keys: []string{key}, Item: &item})
}

// Clear drops all values of the group everywhere, with the promise and the errors of
// Remove. It costs two messages a peer, and a time there that does not depend on how
// many values there are.
func (g *Group) Clear(ctx context.Context) error {
	return g.change(ctx, Change{Group: g.name, All: true})
}

// change makes a change known to all who may have values that it ends, as far as this
// process can.
func (g *Group) change(ctx context.Context, c Change) error {
	if g.peers == nil {
		g.apply(&c)
		return g.outdateSnapshot()
	}
	err := g.spread(ctx, c)
	if g.home != nil {
		if err != nil && g.home.Closed() { // the peers may well have gone since
			err = fmt.Errorf("peercache: group %q: %w, and hears of no changes of the list of peers any more: %w", g.name, ErrClosed, err)
		}
		err = errors.Join(err, g.home.OutdateSnapshots(), g.misplacedError(ctx))
	}
	if g.lapsed() {
		return g.lapsedError(err)
	}
	// If it was at the beginning, that is over: there was a new epoch then, in which
	// all of it was done once more.
	return err
}

// spread tells the peers of a change, until no other ones count.
//
// Values are kept by a key's cluster.Candidates alone, and copies by those to which a candidate
// gave them. So in a settled cluster, a change goes to the cluster.Candidates, each of which
// drops its own value before it tells the holders of copies: else one of these could
// drop its copy and fetch the old value again.
//
// While views change, values may be with the cluster.Candidates of any view. So a change then
// goes to all peers, in two rounds: when the second one begins, nobody has an old value
// but as a copy, or on its way. That includes values that are handed over, because who
// has heard of the change takes none over any more (changedKeys).
func (g *Group) spread(ctx context.Context, c Change) error {
	called := clock.Now()
	patience, ctx, over := g.patience(ctx)
	defer over()
	var differ clock.Instant // since when a peer has been seen to have another view; 0: none has
	var hung *telling        // that all have heard of but for peers that hung
	again := false           // views changed in the last round
	for {
		t, state := g.tellAll(ctx, called, c)
		end, ends := t.end()
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
			return t.errChanging(ctx, g.peers.Agreement())
		case !ends && ctx.Err() != nil && hung != nil:
			return hung.err()
		case !ends && t.revived(patience):
			if hung = t; g.peers.Agreement().Epoch != state.Epoch {
				hung, again = nil, true
				continue
			}
		case !ends:
			return t.err()
		case state.Dissenter != "":
			// All is dropped where this process can see. What the other view makes
			// of it is not known until there is one view: soon, or not at all.
			if own := g.ownProblem(); own != nil { // which they cannot be of one mind with
				t.add(Pending{Peer: g.home.Self(), Err: own})
				return t.err()
			}
			difference, err := g.reconcile(ctx, state)
			if err != nil || tired {
				t.add(Pending{Peer: state.Dissenter, Err: because(otherView(difference), err)})
				return t.err()
			}
		case !clock.Outlast(ctx, state.Next, end):
			if g.peers.Agreement().Epoch != state.Epoch {
				return t.errChanging(ctx, g.peers.Agreement())
			}
			return t.err()
		case g.peers.Agreement().Epoch == state.Epoch:
			return nil
		}
		again = false
	}
}

// tellAll tells the peers of a change once, as they agree now.
func (g *Group) tellAll(ctx context.Context, called clock.Instant, c Change) (*telling, cluster.Agreement) {
	state := g.peers.Agreement()
	g.noteChange(&c) // each time: whoever has left meanwhile may have a snapshot
	if g.planted == failpoint.AbsentForgotten {
		state.Absent = nil
	}
	t := &telling{g: g, called: called, c: c, pending: make(map[string]Pending), failed: make(map[Peer]error), next: state.Next}
	if c.All || state.Changing(g.times.standIn) {
		t.everybody(ctx, state)
	} else {
		t.candidates(ctx, state)
	}
	g.dropCopies(&c)
	return t, state
}

// patience returns for how long a change waits for peers that hang, and how long it goes on
// at all: as long as ctx lasts, if that has a deadline. Else it has one here, whatever the
// peers and their views do.
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

// telling is one change on its way to the peers.
type telling struct {
	g      *Group
	called clock.Instant
	c      Change
	next   <-chan struct{} // closed when peers agree on something else

	mu      sync.Mutex
	pending map[string]Pending // guarded by mu; by the peer's name
	failed  map[Peer]error     // guarded by mu; why peers could not be told themselves
}

// cluster.Candidates tells the cluster.Candidates of the keys, and has them tell the holders.
func (t *telling) candidates(ctx context.Context, state cluster.Agreement) {
	parts, owners := make(map[Peer][]string), make(map[Peer]bool)
	for _, key := range t.c.Keys {
		for n := range cluster.Candidates {
			p := t.g.peers.Pick(key, n) // nil: this process, or there are fewer
			if part := parts[p]; len(part) == 0 || part[len(part)-1] != key {
				parts[p] = append(part, key)
			}
			owners[p] = owners[p] || n == 0 || p != nil && !state.Confirmed(p)
		}
	}
	for _, p := range state.Absent {
		parts[p], owners[p] = t.c.Keys, true // if it is back, it may own them
	}
	c := t.c
	c.Holders, c.Wait = true, lease.Longest
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		c.Wait = min(c.Wait, left-min(left/10, mostTransit))
	}
	t.round(ctx, c, parts, owners, owners)
}

// mostTransit is what is left of the time of a change for its answer to come back, if
// that is less than a tenth.
const mostTransit = 100 * time.Millisecond

// everybody tells all peers, twice.
func (t *telling) everybody(ctx context.Context, state cluster.Agreement) {
	endless := make(map[Peer]bool)
	parts := map[Peer][]string{nil: t.c.Keys}
	for _, p := range slices.Concat(state.Peers, state.Absent) {
		parts[p] = t.c.Keys
		endless[p] = true // what it has it may hand over
	}
	c := t.c
	c.Item = nil
	departed := state.Departed // who cannot be reached is no peer of the view
	if !state.Changing(t.g.times.standIn) {
		departed = nil // nobody takes anything over from them any more
	}
	told := t.g.peers.TellDeparted(ctx, departed, c)
	first, cancel := half(ctx) // who hangs leaves the others the time for the second round
	t.round(first, c, parts, endless, nil)
	cancel()
	told()
	for p := range t.failed {
		delete(parts, p)
	}
	var owner map[Peer]bool
	if t.c.Item != nil {
		owner = map[Peer]bool{t.g.peers.Pick(t.c.Keys[0], 0): true}
	}
	t.round(ctx, t.c, parts, endless, owner)
}

// half returns ctx with half of the time that it has left, if it has a deadline.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(end)/2)
}

// round tells each peer of the change, for the keys that stand with it, all at once. What
// is at the peers that are endless has no end; at the others it is a stand-in's. An Item
// to set is for the owners, and for who may take itself for one.
func (t *telling) round(ctx context.Context, c Change, parts map[Peer][]string, endless, owners map[Peer]bool) {
	ctx, anew := context.WithCancel(ctx)
	defer anew()
	patience, hopeless := context.WithCancel(ctx)
	defer hopeless()
	if t.next != nil {
		go func() {
			select {
			case <-t.next: // all is told once again: nobody waits for those who count no more
				anew()
			case <-patience.Done():
			}
		}()
	}
	var all sync.WaitGroup
	for peer, keys := range parts {
		part, until := c, t.called.Plus(t.g.times.standIn)
		part.Keys = keys
		if endless[peer] {
			until = 0
		}
		if !owners[peer] {
			part.Item = nil
		}
		all.Go(func() {
			if peer == nil {
				t.heldBack(t.g.ServeChange(ctx, part))
				return
			}
			held, err := tell(ctx, patience, peer, part, until)
			if err != nil {
				t.fail(peer, until, err)
				if until == 0 {
					hopeless() // it fails: nobody waits for the others' ends
				}
			}
			t.heldBack(held)
		})
	}
	all.Wait()
}

// tell tells a peer of a change: again and again, until it has heard, or what it may have
// has come to its end, as long as there is patience for that. Zero is no end, and then it
// is told once.
func tell(ctx, patience context.Context, p Peer, c Change, until clock.Instant) ([]Holder, error) {
	if until != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(until-clock.Now()))
		defer cancel()
	}
	for {
		held, err := p.Change(ctx, c)
		switch {
		case err == nil:
			return held, nil
		case until != 0 && clock.Now() >= until:
			return nil, nil
		case until == 0, !peer.Unreachable(err) && ctx.Err() == nil:
			return nil, err
		}
		clock.Pause(patience, min(clock.Jitter(clock.RetryAfter), time.Duration(until-clock.Now())))
		if patience.Err() != nil {
			return nil, err
		}
	}
}

// end returns when all that the pending peers may have has come to its end by itself, at
// once if there are none, and whether it does.
func (t *telling) end() (last time.Time, ends bool) {
	for _, p := range t.pending {
		if p.Until.IsZero() {
			return last, false
		}
		if p.Until.After(last) {
			last = p.Until
		}
	}
	return last, true
}

// apply does in this process what a change says, of which nothing is taken over from a
// previous owner any more.
func (g *Group) apply(c *Change) {
	g.stopHandover(c)
	g.drop(c)
}

// drop drops what a change says. What is on its way comes first: a flight that is over
// before it is forgotten has put its value where the next lines remove it.
func (g *Group) drop(c *Change) {
	if c.All {
		g.loads.ForgetAll()
		g.main.Clear()
	}
	for _, key := range c.Keys {
		g.loads.Forget(key)
		if c.Item == nil || len(c.Keys) > 1 || !g.put(key, *c.Item) {
			g.main.Remove(key)
		}
	}
	g.dropCopies(c)
}

// put puts a value that was set into the main cache, if this process owns its key. A peer
// may have sent what could not be loaded.
func (g *Group) put(key string, item Item) bool {
	if g.checkKey(key) != nil {
		return false
	}
	e, err := g.loaded(item)
	if err != nil || g.rank(key) != asOwner || e.Expires != 0 && e.Expires <= clock.Now() {
		return false
	}
	return g.addOwn(key, e, func() bool { return false })
}

// dropCopies drops what this process has of other peers' values.
func (g *Group) dropCopies(c *Change) {
	if c.All {
		g.fetches.ForgetAll()
		if g.hot != nil {
			g.hot.Clear()
		}
	}
	for _, key := range c.Keys {
		g.fetches.Forget(key)
		if g.hot != nil {
			g.hot.Remove(key)
		}
	}
}

// peerNames returns the names of all peers but this process.
func (g *Group) peerNames() []string {
	var names []string
	for _, p := range g.peers.Peers() {
		names = append(names, p.Name())
	}
	return names
}

// tellHolders has the holders of copies drop them, and returns those that could not be
// told before ctx ended, and whose leases were not over.
func (g *Group) tellHolders(ctx context.Context, c *Change) []Holder {
	if g.holders == nil {
		return nil
	}
	type part struct {
		keys  []string
		until clock.Instant
	}
	parts := make(map[string]part)
	for _, key := range c.Keys {
		for name, until := range g.holders.Of(key, g.peerNames) {
			p := parts[name]
			parts[name] = part{append(p.keys, key), max(p.until, until)}
		}
	}
	if len(parts) == 0 {
		return nil
	}
	var mu sync.Mutex
	var held []Holder
	var all sync.WaitGroup
	for _, peer := range g.peers.Peers() {
		p, ok := parts[peer.Name()]
		if !ok || peer.Name() == c.From { // that one drops its own when all have answered
			continue
		}
		all.Go(func() {
			_, err := tell(ctx, ctx, peer, Change{Group: c.Group, Keys: p.keys}, p.until)
			if left := time.Duration(p.until - clock.Now()); err != nil && left > 0 {
				mu.Lock()
				defer mu.Unlock()
				held = append(held, Holder{Peer: peer.Name(), Left: left, Reason: err.Error()})
			}
		})
	}
	all.Wait()
	return held
}

// misplaced reports whether this process has the name of another one: what it keeps would not
// be dropped by the changes of others.
func (g *Group) misplaced() bool { return g.home != nil && g.home.Misplaced() }

// misplacedError returns an error for a change by a process that has the name of another one:
// who has its values is not known. It waits for the first look.
func (g *Group) misplacedError(ctx context.Context) error {
	if err := g.home.MisplacedError(ctx); err != nil {
		return &InvalidationError{Group: g.name, Pending: []Pending{{Peer: g.home.Self(), Err: err}}}
	}
	return nil
}

// ownProblem returns what is wrong at the address of this process, or nil. Its peers cannot
// ask there whether what is said in its name is true, so that they believe none of it.
func (g *Group) ownProblem() error {
	if g.home == nil {
		return nil
	}
	return g.home.OwnProblem()
}

// reconcile waits until the peer that has another view than this process has changed its
// mind, or some time has passed. It returns what the difference is, as far as that is known.
func (g *Group) reconcile(ctx context.Context, state cluster.Agreement) (difference string, err error) {
	difference = g.peers.Reconcile(ctx, state.Dissenter)
	clock.Pause(ctx, clock.Jitter(clock.RetryAfter))
	return difference, ctx.Err()
}

// settle waits until the peers have heard of the view.
//
// A value that is loaded under a new view is not kept before that. Else a peer that has
// the old one, and changes the key, would tell those that it takes for the cluster.Candidates,
// be told that all is well, and the new owner would go on with the old value.
func (g *Group) settle(ctx context.Context) error {
	if g.peers == nil {
		return nil
	}
	return g.peers.Settled(ctx)
}

// noteChange records a change for those who restart.
func (g *Group) noteChange(c *Change) {
	if g.home != nil {
		g.home.NoteChange(c)
	}
}
