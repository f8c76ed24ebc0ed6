package peercache

import (
	"context"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// agreement says how far the peers of a view are known to have that view.
type agreement struct {
	epoch    uint64          // a higher one with each change of what follows
	since    clock.Instant   // when a peer last began to have another view, or came anew; 0: never
	peers    []Peer          // of the view, without this process
	absent   []Peer          // that are leaving, and may be back at any time
	departed []Peer          // that were in a view before
	agreed   map[string]bool // peers that were heard to have the view; not to be written to
	// dissenter is a peer that has another view, or empty if none is known.
	dissenter string
	next      <-chan struct{} // closed when there is a later epoch
}

// changing reports whether values may be with peers that the view does not make their
// candidates. They are no longer than a stand-in's time d after the last change.
func (a *agreement) changing(d time.Duration) bool {
	return a.since != 0 && clock.Now() < a.since.Plus(d)
}

// confirmed reports whether a peer was heard to have the view. One that was not may take
// itself for the owner of any key.
func (a *agreement) confirmed(p Peer) bool { return a.agreed == nil || a.agreed[p.Name()] }

// agreement returns how far the group's peers agree. A PeerPicker that does not know
// has peers that always do.
func (g *Group) agreement() agreement {
	if v, ok := g.peers.(viewer); ok {
		return v.agreement()
	}
	return agreement{peers: g.peers.Peers()}
}

// reconcile waits until the peer that has another view than this process has changed its
// mind, or some time has passed. It returns what the difference is, as far as that is known.
func (g *Group) reconcile(ctx context.Context, state agreement) (difference string, err error) {
	difference = g.peers.(viewer).reconcile(ctx, state.dissenter)
	clock.Pause(ctx, clock.Jitter(retellAfter))
	return difference, ctx.Err()
}

// settle waits until the peers have heard of the view.
//
// A value that is loaded under a new view is not kept before that. Else a peer that has
// the old one, and changes the key, would tell those that it takes for the candidates,
// be told that all is well, and the new owner would go on with the old value.
func (g *Group) settle(ctx context.Context) error {
	if v, ok := g.peers.(viewer); ok {
		return v.settled(ctx)
	}
	return nil
}
