package singleflight

// Tainted reports whether the result of the flight must not be cached: the key was forgotten
// meanwhile, or the flight was cancelled, timed out or ended.
//
// A change calls Forget, and then removes what is cached. Both race with a flight that caches its
// value. The flight must check Tainted and cache the value in one step, so that the removal does
// not come between. Then either the removal comes later, and removes the value, or the flight sees
// that it is tainted.
func (f *Flight[V]) Tainted() bool { return f.tainted.Load() }

// Forget taints the flight of key, if there is one, and makes sure that nobody joins it any more.
// Its callers get its result, and the next Do starts a new flight.
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
