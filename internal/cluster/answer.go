package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/internal/lease"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Answer does what a peer's Change says, and answers it. What the Change says of its sender is
// observed if it has a proof, else it is a hint.
func (c *Cluster) Answer(ctx context.Context, from string, change *peer.Change) (peer.Changed, error) {
	proven := c.proven(from, change)
	confirmed, waits, done := c.observeRequest(ctx, from, change, proven)
	defer done()
	answer := peer.Changed{Unheard: !confirmed}
	if len(change.Roll.Packed) > 0 {
		c.answerRoll(from, &change.Roll, proven, &answer)
	}
	if change.Relay && proven {
		c.answerRelay(ctx, from, &change.State, &answer)
	}
	if len(change.PassOn) > 0 && proven {
		c.answerWitness(ctx, from, change, &answer)
	}
	g := (*c.groups.Load())[change.Group] // nil: nothing is cached here
	if g != nil && waits && len(change.Offered) > 0 {
		c.takeOver(ctx, g, from, change.Offered)
	}
	var err error
	var waited time.Duration
	if g != nil {
		waited, err = c.admitChange(ctx, from, change)
	}
	if g != nil && err == nil {
		do := peer.Change{Group: change.Group, Keys: change.Keys, All: change.All, Item: change.Item, From: from, Holders: change.Holders, Wait: max(0, min(change.Wait, lease.Longest)-waited), Trace: change.Trace}
		if !waits {
			do.Wait = 0
		}
		answer.Holders = g.ServeChange(ctx, do, c.order.record(from, change))
	}
	if g != nil && err == nil && change.Watch > 0 && confirmed {
		c.answerWatch(g, from, change, &answer)
	}
	if len(change.Since) > 0 {
		c.answerLog(change.Since, &answer)
	}
	if change.Members {
		c.answerMembers(&answer)
	}
	c.answerGroups(&answer, change.Members)
	if g != nil && err == nil && c.own.wrong.Load() { // the change has not come to the other process
		err = peer.Refuse("another process answers at the address of this one as well")
	}
	// At the end: if the view has changed meanwhile, the sender must know.
	answer.State = c.stateFor(from)
	return answer, err
}

// mostMembersBytes bounds what an answer says of the members of a view. It fits into
// peer.MaxOverhead, and is enough for a thousand peers.
const mostMembersBytes = 32 << 10

// answerMembers adds the names of the view to an answer, as far as they fit.
func (c *Cluster) answerMembers(answer *peer.Changed) {
	members := c.view.Load().listing()
	answer.Size = len(members)
	bytes := 0
	for _, name := range members {
		if bytes += len(name) + 8; bytes > mostMembersBytes {
			return
		}
		answer.Members = append(answer.Members, name)
	}
}

// groupsID returns a number for the names of groups: the same one for the same names.
func groupsID(groups map[string]Group) uint64 {
	h := xxhash.New()
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		h.WriteString(name)
		h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// answerGroups adds the groupsID to an answer, and with names also the names of the groups, as
// far as they fit.
func (c *Cluster) answerGroups(answer *peer.Changed, names bool) {
	answer.Groups = c.groupsID.Load()
	if !names {
		return
	}
	bytes := 0
	for _, name := range slices.Sorted(maps.Keys(*c.groups.Load())) {
		if bytes += len(name) + 8; bytes > mostMembersBytes/2 {
			return
		}
		answer.GroupNames = append(answer.GroupNames, name)
	}
}

// AskedForMissing warns that a peer asks for a group that this process does not have. All peers
// and all names share one warning. It ignores processes that are not listed.
func (c *Cluster) AskedForMissing(from, name string) {
	if c.view.Load().lists(from) {
		c.problems.degraded(c.self,
			"peers ask for a group that this process does not have, which is normal for a moment in a deploy that brings it: want the same groups in all processes, each made with WithPeers, before Set or Join",
			fmt.Errorf("%s asks for a group named %s", from, quote.Key(name)))
	}
}
