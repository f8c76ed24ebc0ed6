package singleflight

// Tainted reports that what the flight finds is not to be kept: the key was
// forgotten meanwhile, or the flight was cancelled, timed out or ended.
//
// Forget and the removal of what is cached, in this order, race with a flight
// that caches its value. The flight must look at Tainted and cache the value as
// one step with respect to that removal. Then either the removal comes after,
// and drops the value, or the flight sees the taint.
func (f *Flight[V]) Tainted() bool { return f.tainted.Load() }

// Forget taints the flight of key, if there is one, and lets nobody join it any
// more: its callers get its result, and the next Do starts anew.
func (g *Group[V]) Forget(key string) {
	g.mu.Lock()
	f := g.flights[key]
	if f != nil {
		g.unlist(f)
	}
	g.mu.Unlock()
	if f != nil {
		f.tainted.Store(true)
	}
}

// ForgetAll does for all keys what Forget does for one.
func (g *Group[V]) ForgetAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.flights {
		g.unlist(f)
		f.tainted.Store(true)
	}
}
