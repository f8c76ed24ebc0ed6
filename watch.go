package peercache

// Invalidation is what a watcher of a group is told: values of these keys that were got before may
// be old.
type Invalidation struct {
	Keys []string
	// All says that any value of the group may be old: it was cleared, or a change may have been
	// missed.
	All bool
}

// Watch is a watcher of a group, made by Group.Watch.
type Watch interface {
	// Live reports whether the watcher hears of each change. A value that was got while it was not
	// may become old and nobody says so. When it ceases to be live, its function has been told
	// that all values may be old.
	Live() bool
	// Stop ends the watch. Its function is not called after Stop has returned.
	Stop()
}

// Watch has f told of each change of the group, wherever in the cluster Remove, Set or Clear is
// called: before that returns. So a cache in front of this one is exact if it drops what f names. It
// is for such caches: clients that keep values, and are connected with this process.
func (g *Group) Watch(f func(Invalidation)) Watch { panic("the helper 'watch' writes this") }
