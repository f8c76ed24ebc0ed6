package cluster

import (
	"context"

	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/peer"
)

// Answer does what a peer's Change says, and answers it. What the Change says of its sender is
// observed, or verified.
func (c *Cluster) Answer(ctx context.Context, from string, change *peer.Change) (peer.Changed, error) {
	proven := c.proven(from, change)
	heard, waits, done := c.observeRequest(ctx, from, change, proven)
	defer done()
	answer := peer.Changed{Unheard: !heard}
	g := (*c.groups.Load())[change.Group] // nil: nothing is cached here
	if g != nil && waits && len(change.Offered) > 0 {
		c.takeOver(ctx, g, from, change.Offered)
	}
	if g != nil {
		do := peer.Change{Group: change.Group, Keys: change.Keys, All: change.All, Item: change.Item, From: from, Holders: change.Holders, Wait: max(0, min(change.Wait, lease.Longest))}
		if !waits {
			do.Wait = 0
		}
		answer.Holders = g.ServeChange(ctx, do)
	}
	if len(change.Since) > 0 {
		c.answerLog(change.Since, &answer)
	}
	if change.Members {
		c.answerMembers(&answer)
	}
	c.answerGroups(&answer, change.Members)
	var err error
	if g != nil && c.own.wrong.Load() { // the change has not come to the other process
		err = peer.Refuse("another process answers at the address of this one as well")
	}
	// Last: a view that came meanwhile is one that the sender must hear of.
	answer.State = c.stateFor(from)
	return answer, err
}
