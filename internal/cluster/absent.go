package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

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
