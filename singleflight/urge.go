package singleflight

// Urge tells the function of f (see Urged) that a caller waits for it on whom others wait. So the
// function must not wait for those others. Urge reports whether it has urged f: not if f was urged
// before, or has ended.
func (g *Group[V]) Urge(f *Flight[V]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.urged[f]
	switch {
	case f.ended.Load(), isClosed(c):
		return false
	case c != nil:
		close(c)
	default:
		g.setUrged(f, over)
	}
	return true
}

// Urged returns a channel that is closed when one of flights is urged, or if one was. flights are
// all the flights of one run.
func (g *Group[V]) Urged(flights ...*Flight[V]) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	var c chan struct{}
	for _, f := range flights {
		if old := g.urged[f]; old != nil && !isClosed(c) {
			c = old
		}
	}
	if c == nil {
		c = make(chan struct{})
	}
	for _, f := range flights {
		if !f.ended.Load() {
			g.setUrged(f, c)
		}
	}
	return c
}

// setUrged sets the channel that Urge closes for f. The caller holds g.mu.
func (g *Group[V]) setUrged(f *Flight[V], c chan struct{}) {
	if g.urged == nil {
		g.urged = make(map[*Flight[V]]chan struct{})
	}
	g.urged[f] = c
}

// urgeNoMore forgets the channel of f. The caller holds g.mu.
func (g *Group[V]) urgeNoMore(f *Flight[V]) {
	if g.urged == nil {
		return
	}
	if delete(g.urged, f); len(g.urged) == 0 {
		g.urged = nil
	}
}

// isClosed reports whether c is closed. A nil c is not.
func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
