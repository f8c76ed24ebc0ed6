package peercache

import "fmt"

// WithConsistency makes the group choose consistency, where it cannot have availability
// as well: while the pool's discovery says that the registration of this process has
// run out, or may have (discovery.View.Lapsed), or has no such process in its view. Its
// peers may then know it no more, and their Removes do not come here.
//
// With it, the group answers from the origin, past its caches, until the process is
// back: each Get, and each request of a peer, sees a load that began after it was asked.
// WithStaleIfError and WithNegativeTTL have no effect meanwhile. Remove, Set and Clear
// do what they can, and return an ErrLapsed. When the process is back, the group begins
// with empty caches. The same holds before the pool has joined, and when its discovery
// has ended. The origin has to bear it, see WithMaxLoads: if the registry fails, all
// processes lapse.
//
// By default, the group chooses availability: it goes on serving what it has, and what
// it loads, at most as stale as its TTL.
//
// It has no effect without a WithDiscovery, nor with a PeerPicker of the user's own. All
// peers should have the same.
func WithConsistency() GroupOption {
	return func(g *Group) error {
		g.consistent = true
		return nil
	}
}

// lapsed reports whether nothing may be answered from what is cached here, nor be kept.
func (g *Group) lapsed() bool { return g.registrar != nil && g.registrar.Lapsed() }

// lapsedError is what a change returns that was made known while the group was lapsed.
// err, which may be nil, is what went wrong besides.
func (g *Group) lapsedError(err error) error {
	if err != nil {
		return fmt.Errorf("%w; besides, %w", err, ErrLapsed)
	}
	return fmt.Errorf("peercache: group %q: peers that are not known here may still serve the old values: %w", g.name, ErrLapsed)
}
