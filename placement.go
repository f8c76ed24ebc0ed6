package peercache

import (
	"context"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/peer"
)

// placement says whose key is whose, as far as that is known. A cluster is one, and fixed is for a
// PeerPicker of the user's own.
type placement interface {
	// Pick returns the n-th peer for key in the ring's order, or nil if that is this process,
	// or there are no more than n.
	Pick(key string, n int) Peer
	// Peers returns all peers but this process.
	Peers() []Peer
	// Knows reports whether a peer of that name is in the view.
	Knows(name string) bool
	// Settled returns when the peers that can be reached have heard of the view, or ctx has
	// ended.
	Settled(ctx context.Context) error
	// cluster.Agreement returns how far the peers agree now.
	Agreement() cluster.Agreement
	// Doubtful returns since when a peer has been known to have another view; zero, if none
	// has.
	Doubtful() clock.Instant
	// Reconcile asks a peer that had another view which it has now, and returns what the
	// difference is, for people to read; empty, if there is none or it is not known.
	Reconcile(ctx context.Context, name string) (difference string)
	// Lapsed reports whether the peers may have a view without this process.
	Lapsed() bool
	// Before returns the peer that owned key until the view changed, and when that was: nil,
	// if it is this process or not known.
	Before(key string) (Peer, clock.Instant)
	// TellDeparted tells peers that left the view of a change. The returned func waits for
	// those that have not failed before.
	TellDeparted(ctx context.Context, peers []Peer, c Change) (wait func())
}

// fixed is the placement of a PeerPicker that says only who the peers are. They always agree.
type fixed struct{ PeerPicker }

func (f fixed) Knows(name string) bool {
	for _, p := range f.Peers() {
		if p.Name() == name {
			return true
		}
	}
	return false
}

func (f fixed) Agreement() cluster.Agreement                             { return cluster.Agreement{Peers: f.Peers()} }
func (fixed) Settled(context.Context) error                              { return nil }
func (fixed) Doubtful() clock.Instant                                    { return 0 }
func (fixed) Reconcile(context.Context, string) string                   { return "" }
func (fixed) Lapsed() bool                                               { return false }
func (fixed) Before(string) (Peer, clock.Instant)                        { return nil, 0 }
func (fixed) TellDeparted(context.Context, []Peer, Change) (wait func()) { return func() {} }

// overridden is a cluster of which a type of the user's own that embeds the pool picks the peers.
type overridden struct {
	*cluster.Cluster
	picker PeerPicker
}

func (o overridden) Pick(key string, n int) Peer { return o.picker.Pick(key, n) }
func (o overridden) Peers() []Peer               { return o.picker.Peers() }

// placementOf returns the placement of a group's peers; nil, if it has none.
func placementOf(p PeerPicker) placement {
	switch p := p.(type) {
	case nil:
		return nil
	case *HTTPPool:
		return p.cluster
	case *Pool:
		return p.cluster
	case interface{ clustered() *cluster.Cluster }:
		return overridden{p.clustered(), p.(PeerPicker)}
	}
	return fixed{p}
}

// starterOf returns what a peer can be asked by without a goroutine for each request; nil, if there
// is nothing of that kind.
func starterOf(p Peer) peer.Starter {
	if m, ok := p.(interface{ Starter() peer.Starter }); ok {
		return m.Starter()
	}
	return nil
}
