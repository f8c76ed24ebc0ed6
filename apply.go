package peercache

import (
	"context"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// ServeChange does what a peer's Change says, for the transport behind a PeerPicker. A transport
// serves the changes of one sender in the order in which they were sent, and none that its sender has
// given up: else an old value comes back (P8). That of a pool sees to it by itself.
func (g *Group) ServeChange(ctx context.Context, c Change) []Holder {
	return g.servePeerChange(ctx, c, never)
}

// servePeerChange does what a peer's Change says. late reports whether another one of the same peer
// has overtaken it: then its Item is not kept.
func (g *Group) servePeerChange(ctx context.Context, c Change, late func() bool) []Holder {
	if len(c.Keys) == 0 && !c.All { // it only asks whether this process answers
		return g.serveChange(ctx, c, late)
	}
	ctx, span := g.tracing.startChange(g.tracing.extract(ctx, c.Trace), SpanApply, &c, c.From)
	returned := false
	defer func() { span.over(returned, nil) }()
	held := g.serveChange(ctx, c, late)
	returned = true
	return held
}

// serveChange does what servePeerChange does, also for a change of this process.
func (g *Group) serveChange(ctx context.Context, c Change, late func() bool) []Holder {
	g.recordChange(&c)
	if g.planted != failpoint.CopiesFirst {
		g.apply(&c, late)
	}
	if !c.Holders {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	held := g.invalidateHolders(ctx, &c)
	if g.planted == failpoint.CopiesFirst {
		g.apply(&c, late)
	}
	return held
}

// apply drops the values that a change ends in this process, and refuses to take them over from
// their previous owners.
func (g *Group) apply(c *Change, late func() bool) {
	g.refuseHandoffs(c)
	g.drop(c, late)
}

// never is for a change that cannot be late.
func never() bool { return false }

// drop drops the values that a change ends. It forgets their flights first: a flight that ends
// before that has put its value where the next lines remove it.
func (g *Group) drop(c *Change, late func() bool) {
	if c.All {
		g.loads.ForgetAll()
		g.main.Clear()
	}
	for _, key := range c.Keys {
		g.loads.Forget(key)
		if c.Item == nil || len(c.Keys) > 1 || !g.put(key, *c.Item, late) {
			g.main.Remove(key)
		}
	}
	g.dropCopies(c)
}

// put puts a value that was set into the main cache, if this process owns its key, and it is not
// late. It may come from a peer, so it is checked as a loaded value is.
func (g *Group) put(key string, item Item, late func() bool) bool {
	if g.checkKey(key) != nil {
		return false
	}
	e, err := g.loaded(item)
	if err != nil || g.rank(key) != asOwner || e.Expires != 0 && e.Expires <= clock.Now() {
		return false
	}
	_, kept := g.addOwn(key, e, taintedBy(late))
	return kept
}

// invalidateHolders tells the holders of copies to drop them. It returns those that could not be
// told before ctx ended, and whose leases were not over.
func (g *Group) invalidateHolders(ctx context.Context, c *Change) []Holder {
	if g.holders == nil {
		return nil
	}
	type leased struct {
		keys  []string
		until clock.Instant
	}
	byName := make(map[string]leased)
	for _, key := range c.Keys {
		for name, until := range g.holders.Of(key, g.peerNames) {
			l := byName[name]
			byName[name] = leased{append(l.keys, key), max(l.until, until)}
		}
	}
	if len(byName) == 0 {
		return nil
	}
	var mu sync.Mutex
	var held []Holder
	var all sync.WaitGroup
	for _, peer := range g.peers.Peers() {
		l, ok := byName[peer.Name()]
		if !ok || peer.Name() == c.From { // that one drops its own when all have answered
			continue
		}
		all.Go(func() {
			telling, told := g.holders.Tell(peer.Name(), l.until), false
			defer func() { telling.End(told) }()
			_, err := g.tellPeer(ctx, ctx, peer, Change{Group: c.Group, Keys: l.keys}, telling.Until)
			told = err == nil
			if left := time.Duration(telling.Until - clock.Now()); err != nil && left > 0 {
				mu.Lock()
				defer mu.Unlock()
				held = append(held, Holder{Peer: peer.Name(), Left: left, Reason: err.Error()})
			}
		})
	}
	all.Wait()
	return held
}

// tellPeer does what tellUntil does, inside of a span.
func (g *Group) tellPeer(ctx, patience context.Context, p Peer, c Change, until clock.Instant) (held []Holder, err error) {
	ctx, span := g.tracing.startChange(ctx, SpanTell, &c, p.Name())
	returned := false
	defer func() { span.over(returned, err) }()
	held, err = tellUntil(ctx, patience, p, c, until)
	returned = true
	return held, err
}

// tellUntil tells a peer of a change. It tries again until the peer has heard, its values have
// ended, or patience has. A zero until means that they do not end: then it tries once.
func tellUntil(ctx, patience context.Context, p Peer, c Change, until clock.Instant) ([]Holder, error) {
	if until != 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(until-clock.Now()))
		defer cancel()
	}
	for {
		held, err := p.Change(ctx, c)
		switch {
		case err == nil:
			return held, nil
		case until != 0 && clock.Now() >= until:
			return nil, nil
		case until == 0, !peer.Unreachable(err) && ctx.Err() == nil:
			return nil, err
		}
		clock.Pause(patience, min(clock.Jitter(clock.RetryAfter), time.Duration(until-clock.Now())))
		if patience.Err() != nil {
			return nil, err
		}
	}
}

// dropCopies drops the copies that a change ends, after it has forgotten their flights. At the end it
// tells the watchers, who may ask for the values again.
func (g *Group) dropCopies(c *Change) {
	if c.All {
		g.fetches.ForgetAll()
	}
	for _, key := range c.Keys {
		g.fetches.Forget(key)
	}
	g.dropHot(c)
	g.tellWatchers(c)
}
