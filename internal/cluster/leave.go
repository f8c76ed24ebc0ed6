package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// Leave takes this process out of the views of its peers, hands over what it owned, and withdraws
// what the discovery has made known. From then on it answers no Gets.
func (c *Cluster) Leave(ctx context.Context) error {
	c.leaveView(ctx)
	err := c.membership.leave(ctx)
	// The view stays: Remove needs it. What is no longer asked of the peers are
	// Gets, see member.
	c.mu.Lock()
	c.closed.Store(true)
	c.mu.Unlock()
	c.cancelLife()
	c.own.stop()
	c.watch.stop()
	return err
}

// leave takes this process out of its own view, as the peers do with theirs, and waits
// until it has handed over what it owned.
func (c *Cluster) leaveView(ctx context.Context) {
	if c.stateless { // they cannot be told
		return
	}
	c.mu.Lock()
	c.beginDeparture()
	c.leaving.Store(true)
	c.refreshView()
	c.mu.Unlock()
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/2)
		defer cancel()
	}
	for v := c.view.Load(); ; v = c.view.Load() {
		select {
		case <-v.handedOver:
		case <-ctx.Done():
			return
		}
		if c.view.Load().since == v.since { // else others have left, who may own what this one had
			return
		}
	}
}

// resetView puts the view of the peers in place that are present now. The caller holds c.mu.
func (c *Cluster) refreshView() {
	if c.closed.Load() {
		return
	}
	if err := c.setView(false); err != nil { // the peers were good enough when they were listed
		c.log.Error("a peer has left or is back, and the last view stands", "err", err)
	}
}

// absentee is a peer that has said that it leaves, and has not announced itself since.
//
// It is listed, so that it may be back at any time, and this process may not have heard:
// it still counts where values are to be dropped. But as a rule it has ended, and then
// nothing listens at its address.
type absentMember struct {
	*Member
	process uint32             // that leaves, see consent; 0: not known
	end     context.CancelFunc // of the visits
}

// left takes a peer out of the view whose process has said that it leaves.
func (c *Cluster) markAbsent(name string, process uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() || c.absent[name] != nil || !slices.Contains(c.listed, name) {
		return
	}
	ctx, cancel := context.WithCancel(c.life)
	a := &absentMember{newDetachedMember(c, name), process, cancel}
	c.absent[name] = a
	c.refreshViewSoon()
	c.background.Go(func() { a.poll(ctx) })
}

// back puts a peer that had left into the view again, because of what a process at its
// address has said. It is not the one that left: that does not change its mind, though what
// it said before may come after.
func (c *Cluster) markPresent(name string, process uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.absent[name]; a != nil && (process == 0 || process != a.process) {
		a.end()
		delete(c.absent, name)
		c.refreshViewSoon()
	}
}

// Change implements Peer. It succeeds where there is nobody to tell.
func (a *absentMember) Change(ctx context.Context, change peer.Change) ([]peer.Holder, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cluster.detectionTime())
	defer cancel()
	held, leaving, err := a.changeInParts(ctx, change)
	if err != nil && ctx.Err() == nil && !peer.Gone(err) { // it may just have ended
		held, leaving, err = a.changeInParts(ctx, change)
	}
	if peer.Gone(err) {
		return nil, nil
	}
	if err == nil && !leaving {
		a.cluster.markPresent(a.name, 0)
	}
	return held, err
}

// visitEvery is how often a peer that has left is asked whether it is back. As a rule it
// says so before.
const pollEvery = 2 * time.Second

// visits looks for the peer until it is back or counts no more.
func (a *absentMember) poll(ctx context.Context) {
	defer a.cluster.pace.Try()()
	for ctx.Err() == nil {
		clock.Pause(ctx, clock.Jitter(a.cluster.pace.Wait(pollEvery)))
		a.Change(ctx, peer.Change{})
	}
}

// Drain waits for what the groups load and fetch, for the connections, which then have nothing to
// do, and for what goes on in the background.
func (c *Cluster) Drain(ctx context.Context) error {
	for _, g := range *c.groups.Load() {
		if err := g.Drain(ctx); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	go func() {
		c.CloseConns(ctx)
		c.background.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CloseConns closes the connections to the peers, when what is in flight on them is answered, or
// ctx has ended. The peers can still be told of changes.
func (c *Cluster) CloseConns(ctx context.Context) {
	c.mu.Lock()
	known := slices.Collect(maps.Values(c.known))
	c.mu.Unlock()
	var all sync.WaitGroup // apart: another Shutdown may be waiting for the background
	for _, m := range known {
		all.Go(func() { m.closeConn(ctx) })
	}
	all.Wait()
}
