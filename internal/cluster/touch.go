package cluster

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A group with watchers takes a lease on all its keys from each peer of the view. While it has all of
// them, and no epoch begins here, this process is told of each change that a peer of the view makes:
//
//   - Each peer has said that it has this view, and that it knows that this process has it. Another
//     view that a peer gets begins an epoch there, in which it does not renew the lease. For longer
//     than the lease lasts it tells all peers of its own changes (Agreement.Changing).
//   - In this view, a change is told to the candidates of its keys, and each of them has given a lease.

// Touch is what a lease on all keys counts for: the peers of one epoch.
type Touch struct {
	Epoch   uint64
	View    uint64 // the number of the view
	Members []*Member
	Next    <-chan struct{} // closed when the epoch ends
}

// Touch returns the peers from which leases on all keys are to be had. It reports false if these
// would count for nothing: no list has come yet, the process has lapsed, is leaving, or does not
// answer at its own address, the peers have not been told of the view yet, or one has another view.
func (c *Cluster) Touch() (t Touch, ok bool) {
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	v := c.view.Load()
	t = Touch{Epoch: a.epoch.Load(), View: v.id, Next: a.next}
	select {
	case <-c.viewed:
	default:
		return t, false
	}
	if c.Lapsed() || c.leaving.Load() || c.closed.Load() || c.Misplaced() || !c.IsSettled() || len(a.dissent) > 0 || c.stateless && len(v.others) > 0 {
		return t, false
	}
	for _, p := range v.others {
		t.Members = append(t.Members, p.(*Member))
	}
	return t, true
}

// InTouch reports whether an epoch still lasts, and leases on all keys count for something.
func (c *Cluster) InTouch(epoch uint64) bool {
	return c.agreement.epoch.Load() == epoch && !c.Lapsed() && !c.leaving.Load() && !c.Misplaced()
}

// LeaseAll asks the peer for a lease on all keys of a group, or for the renewal of that of an id. It
// returns for how long the lease is given, counted from before it was asked for, and its id; zero, if
// it is not given.
func (m *Member) LeaseAll(ctx context.Context, t *Touch, group string, d time.Duration, id uint64) (asked clock.Instant, granted time.Duration, given uint64) {
	asked = clock.Now()
	changed, err := m.send(ctx, peer.Change{Group: group, Watch: d, WatchID: id})
	if err != nil || changed.Unheard || changed.State.View != t.View || changed.WatchID == 0 {
		return asked, 0, 0
	}
	return asked, min(changed.Watch, d), changed.WatchID
}

// answerWatch gives a peer a lease on all keys of a group, if it has the view of this process. What
// the Change says of the peer is a fact.
func (c *Cluster) answerWatch(g Group, from string, change *peer.Change, answer *peer.Changed) {
	if c.Lapsed() || c.leaving.Load() || c.Misplaced() {
		return
	}
	a := &c.agreement
	a.mu.Lock()
	v, epoch := c.view.Load(), a.epoch.Load()
	last := a.observed[from]
	same := v.member(from) != nil && change.State.View == v.id && last.view == v.id && last.process == change.State.Process && !last.leaving
	a.mu.Unlock()
	if !same {
		return
	}
	granted, id := g.LeaseAll(from, change.Watch, change.WatchID, epoch)
	if a.epoch.Load() == epoch {
		answer.Watch, answer.WatchID = granted, id
	}
}

// outOfTouch tells the groups that peers may change values and not tell this process.
func (c *Cluster) outOfTouch(forever bool) {
	for _, g := range *c.groups.Load() {
		g.OutOfTouch(forever)
	}
}
