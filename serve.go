package peercache

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// ServeGet answers a peer's Query, for the transport behind a PeerPicker. It asks no
// other peer to load anything (P2): what is not cached is loaded here. The Value of
// the Answer must not be changed.
func (g *Group) ServeGet(ctx context.Context, q Query) (Answer, error) {
	s, ok := g.serveHit(&q, nil)
	if !ok {
		s = g.serveLoad(ctx, &q)
	}
	return Answer{Item: Item{Value: s.view.bytes(), TTL: s.ttl}, Noted: s.noted, Unchanged: s.unchanged}, s.err
}

// served is an answer to a peer.
type served struct {
	view             ByteView
	ttl              time.Duration
	noted, unchanged bool
	err              error
}

// note takes note that a peer may hold what it asks for. It comes before the look for
// the answer: see holders.
func (g *Group) note(from, key string, lease time.Duration) bool {
	if g.holders == nil || from == "" || lease <= 0 || g.lapsed() {
		return false
	}
	return g.holders.Note(key, from, lease, g.peers.Knows)
}

// serveHit answers a peer's request from the main cache. What is to be loaded again is left
// to the caller who gives an old.
func (g *Group) serveHit(q *Query, old *aged) (served, bool) {
	s := served{noted: g.note(q.From, q.Key, q.Lease)}
	if g.lapsed() {
		return s, false
	}
	e, v := g.own(q.Key)
	if v == absent {
		return s, false
	}
	if v == aging {
		ctx := context.Background()
		if old == nil { // else see renewAll's caller
			ctx = g.carrying(ctx, q.Context)
		}
		g.refresh(ctx, q.Key, old)
	}
	if q.CachedOnly {
		if e.Former {
			e.Lease = 0 // that is of this process; the new owner has the value for good
		}
	} else {
		stripe := g.hits.Mine()
		stripe.Served.Add(1)
		stripe.Main.Add(1)
	}
	if g.logs(slog.LevelDebug) {
		g.say(slog.LevelDebug, "hit for a peer", q.Key)
	}
	s.give(e, g.times.left(e))
	if q.Digest != "" && s.err == nil && digest(e.View) == q.Digest {
		s.view, s.unchanged = ByteView{}, true
	}
	return s, true
}

// give makes an answer of an entry.
func (s *served) give(e Entry, left time.Duration) {
	s.ttl = left
	if e.Missing {
		s.err = remembered(e)
		return
	}
	s.view = e.View
}

// serveLoad answers a peer's request that serveHit did not.
func (g *Group) serveLoad(ctx context.Context, q *Query) (s served) {
	if q.CachedOnly {
		s.err = peer.ErrNotCached
		return s
	}
	g.hits.Mine().Served.Add(1)
	g.stats.servedMiss.Add(1)
	if s.err = g.checkKey(q.Key); s.err != nil {
		return s
	}
	s.noted = g.note(q.From, q.Key, q.Lease)
	e, err := g.load(g.asked(ctx, q), q.Key)
	g.loadedFor(&s, e, q.Key, err)
	return s
}

// asked returns the context of a load that a peer asks for.
func (g *Group) asked(ctx context.Context, q *Query) context.Context {
	return askedWithin(g.carrying(ctx, q.Context), q.Nested)
}

// loadedFor makes an answer of what a load found.
func (g *Group) loadedFor(s *served, e Entry, key string, err error) {
	if err == nil {
		s.give(e, g.times.left(e))
		return
	}
	s.err = err
	if g.times.negative > 0 && errors.Is(err, ErrNotFound) {
		if e, ok := g.main.Get(key); ok && e.Missing {
			s.ttl = max(0, g.times.left(e))
		}
	}
}

// serveLoads answers what serveHit did not of many keys that a peer asked for at
// once, and calls got with the place of each. q is all but its Key.
func (g *Group) serveLoads(ctx context.Context, q *Query, keys []string, got func(i int, s served)) {
	g.hits.Mine().Served.Add(int64(len(keys)))
	g.stats.servedMiss.Add(int64(len(keys)))
	for _, key := range keys {
		if g.checkKey(key) != nil { // no peer that keeps to the limits does that
			for i, key := range keys {
				got(i, served{err: g.checkKey(key)})
			}
			return
		}
	}
	noted := make([]bool, len(keys))
	for i, key := range keys {
		noted[i] = g.note(q.From, key, q.Lease)
	}
	g.loadAll(g.asked(ctx, q), keys, func(i int, e Entry, err error) {
		s := served{noted: noted[i]}
		g.loadedFor(&s, e, keys[i], err)
		got(i, s)
	})
}

// ServeChange does what a peer's Change says, for the transport behind a PeerPicker.
func (g *Group) ServeChange(ctx context.Context, c Change) []Holder {
	g.noteChange(&c)
	if g.planted != failpoint.CopiesFirst {
		g.apply(&c)
	}
	if !c.Holders {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	held := g.tellHolders(ctx, &c)
	if g.planted == failpoint.CopiesFirst {
		g.apply(&c)
	}
	return held
}
