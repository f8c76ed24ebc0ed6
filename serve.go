package peercache

import (
	"context"
	"log/slog"
	"time"
)

// ServeGet answers a peer's request for key, for the transport behind a
// PeerPicker. It asks no other peer (P2): what is not cached is loaded here. The
// returned duration is how long the value may be served, as Item.TTL says.
func (g *Group) ServeGet(ctx context.Context, key string) (ByteView, time.Duration, error) {
	e, ok := g.serveHit(key)
	if ok {
		return e.View, e.ttl(), nil
	}
	e, err := g.serveLoad(ctx, key)
	return e.View, e.ttl(), err
}

// serveHit answers a peer's request from the main cache.
func (g *Group) serveHit(key string) (Entry, bool) {
	e, ok := fresh(g.main, key)
	if !ok {
		return Entry{}, false
	}
	stripe := g.hits.mine()
	stripe.served.Add(1)
	stripe.main.Add(1)
	if g.logs(slog.LevelDebug) {
		g.say(slog.LevelDebug, "hit for a peer", key)
	}
	return e, true
}

// serveLoad answers a peer's request that serveHit did not.
func (g *Group) serveLoad(ctx context.Context, key string) (Entry, error) {
	g.hits.mine().served.Add(1)
	g.stats.servedMiss.Add(1)
	if err := g.checkKey(key); err != nil {
		return Entry{}, err
	}
	return g.load(ctx, key)
}

// serveLoads answers what serveHit did not of many keys that a peer asked for at
// once, and calls got with the place of each.
func (g *Group) serveLoads(ctx context.Context, keys []string, got func(i int, e Entry, err error)) {
	g.hits.mine().served.Add(int64(len(keys)))
	g.stats.servedMiss.Add(int64(len(keys)))
	for _, key := range keys {
		if g.checkKey(key) != nil { // no peer that keeps to the limits does that
			for i, key := range keys {
				got(i, Entry{}, g.checkKey(key))
			}
			return
		}
	}
	g.loadAll(ctx, keys, got)
}

// ServeRemove drops keys from this process alone and taints its loads and
// fetches of them. It is how the transport behind a PeerPicker answers a peer's
// Remove.
func (g *Group) ServeRemove(keys ...string) {
	for _, key := range keys {
		// What is on its way first: a flight that is over before it is
		// forgotten has put its value where the next lines remove it.
		g.loads.Forget(key)
		g.fetches.Forget(key)
		g.main.Remove(key)
		if g.hot != nil {
			g.hot.Remove(key)
		}
	}
}
