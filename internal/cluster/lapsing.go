package cluster

import "sync/atomic"

// Lapsed reports whether the peers may have a view without this process. Without a discovery
// nobody is replaced.
func (c *Cluster) Lapsed() bool { return c.membership != nil && c.membership.lapsed.Load() }

// lapse is whether peers may have a view without this process: what View.Lapsed says,
// and true while the view lacks the process, before the first one, and when no more come.
type lapse struct{ atomic.Bool }

// end ends the lapse, when the view in place was made anew. What the consistent groups
// cached before, others may have removed meanwhile, without this process.
//
// The order matters, for Gets go on meanwhile:
//
//  1. The view is made anew. A load that begins from here on keeps nothing before the
//     peers have heard that this process is back.
//  2. The loads and fetches that began before are tainted.
//  3. The caches are cleared. Nothing from before comes in any more, because of 2.
//  4. The caches are used again.
func (l *lapse) end(groups map[string]Group) {
	for _, g := range groups {
		if g.Consistent() {
			g.DropAll() // its peers may hand over what they have: they heard of all changes
		}
	}
	l.Store(false)
}
