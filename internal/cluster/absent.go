package cluster

import (
	"context"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A process that leaves says so to its peers, which take it out of their views at once. It
// stays listed: the next process at its address is back in the view as soon as it says
// something, and this process may not have heard of that yet. So an absent member is still told
// of changes. As a rule its process has ended, and nothing listens at its address: that counts
// as told.

// pollEvery is how often an absent member is asked whether it is back. As a rule it says so
// before.
const pollEvery = 2 * time.Second

// absentMember is a listed peer that is not in the view, because its process has said that it
// leaves. It has connections of its own.
type absentMember struct {
	*Member
	process uint32             // the one that leaves; 0: not known
	end     context.CancelFunc // ends poll
}

// markAbsent takes a peer out of the view whose process has said that it leaves.
func (c *Cluster) markAbsent(name string, process uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() || c.absent[name] != nil || !slices.Contains(c.listed, name) {
		return
	}
	ctx, cancel := context.WithCancel(c.life)
	a := &absentMember{newDetachedMember(c, name), process, cancel}
	c.absent[name] = a
	c.auditLeave(name, process)
	c.causes[name] = true
	c.refreshViewSoon()
	c.background.Go(func() { a.poll(ctx) })
}

// markPresent puts an absent peer into the view again, because a process at its address has
// said something. The process that leaves does not come back, but what it said before may
// arrive late. A process of 0 is not known, and is another one.
func (c *Cluster) markPresent(name string, process uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.absent[name]; a != nil && (process == 0 || process != a.process) {
		a.end()
		delete(c.absent, name)
		c.causes[name] = true
		c.refreshViewSoon()
	}
}

// Change implements peer.Peer. It succeeds where nobody is left to tell.
func (a *absentMember) Change(ctx context.Context, change peer.Change) ([]peer.Holder, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cluster.detectionTime())
	defer cancel()
	held, leaving, err := a.changeInParts(ctx, change)
	if err != nil && ctx.Err() == nil && !peer.Gone(err) { // the process may have ended just now
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

// poll asks the peer until it is back, or not listed any more.
func (a *absentMember) poll(ctx context.Context) {
	defer a.cluster.pace.Try()()
	for ctx.Err() == nil {
		clock.Pause(ctx, clock.Jitter(a.cluster.pace.Wait(pollEvery)))
		a.Change(ctx, peer.Change{})
	}
}
