package cluster

import (
	"context"

	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/peer"
)

// Answer does what a peer's Change says, and answers it. What the Change says of its sender is
// observed, or verified.
func (p *Cluster) Answer(ctx context.Context, from string, c *Change) (peer.Changed, error) {
	proven := p.proven(from, c)
	heard, waits, done := p.hear(ctx, from, c, proven)
	defer done()
	answer := peer.Changed{Unheard: !heard}
	g := (*p.groups.Load())[c.Group] // nil: nothing is cached here
	if g != nil && waits && len(c.Offered) > 0 {
		p.takeOver(ctx, g, from, c.Offered)
	}
	if g != nil {
		do := Change{Group: c.Group, Keys: c.Keys, All: c.All, Item: c.Item, From: from, Holders: c.Holders, Wait: max(0, min(c.Wait, lease.Longest))}
		if !waits {
			do.Wait = 0
		}
		answer.Holders = g.ServeChange(ctx, do)
	}
	if len(c.Since) > 0 {
		p.answerSince(c.Since, &answer)
	}
	if c.Members {
		p.answerMembers(&answer)
	}
	p.answerGroups(&answer, c.Members)
	var err error
	if g != nil && p.own.wrong.Load() { // the change has not come to the other process
		err = peer.Refuse("another process answers at the address of this one as well")
	}
	// Last: a view that came meanwhile is one that the sender must hear of.
	answer.State = p.say(from)
	return answer, err
}
