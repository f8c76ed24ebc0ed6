package peercache

import (
	"context"
	"errors"
	"log/slog"
	"math"
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
	return Answer{Item: Item{Value: s.view.bytes(), TTL: s.ttl}, Noted: s.recorded, Unchanged: s.unchanged}, s.err
}

// served is an answer to a peer.
type served struct {
	view      ByteView
	ttl       time.Duration
	recorded  bool // as Answer.Noted
	unchanged bool
	err       error
}

// recordLease records that a peer may hold what it asks for, and reports whether it may.
//
// It may not if this process has lapsed: then nobody may hold its values. And whoever changes the
// key must tell this process, which tells the holders (P8). So this process is on the key's
// preference list by its own view, and the peers know that it has that view.
func (g *Group) recordLease(q *Query, key string) bool {
	if q.Lease <= 0 || g.lapsed() {
		return false
	}
	told := g.peers.IsSettled() && g.rank(key) != asNonReplica || g.planted == failpoint.LeaseOfNonReplica
	return told && g.recordHolder(q.From, key, q.Lease, g.peers.Knows)
}

// mostHashed is the size, in bytes, of the largest value whose digest serveHit computes. Transports
// call it on the goroutine that reads a connection. The renewal of a larger one is background work,
// and serveLoad does it in a goroutine of its own.
const mostHashed = 4 << 10

// serveHit answers a peer's request from the main cache. It starts the refresh of what must be
// loaded again. If later is not nil, it leaves that to startDue.
func (g *Group) serveHit(q *Query, later *due) (served, bool) {
	return g.serveOwn(q, later, mostHashed)
}

// serveOwn does what serveHit does. It computes the digest of a value of at most so many bytes, and
// does not answer the renewal of a larger one.
func (g *Group) serveOwn(q *Query, later *due, most int) (served, bool) {
	s := served{recorded: g.recordLease(q, q.Key)}
	if g.lapsed() {
		return s, false
	}
	e, v := g.own(q.Key)
	large := q.Digest != "" && e.View.Len() > most
	if v == miss || large && !q.CachedOnly {
		return s, false
	}
	if v != fresh {
		g.countStale(v)
		ctx := context.Background()
		if later == nil { // else see startDue's caller
			ctx = g.begunBy(q)
		}
		g.startRefresh(ctx, q.Key, later)
	}
	if q.CachedOnly {
		if e.Former {
			e.Lease = 0 // that is of this process; the new owner has the value for good
		}
		if !e.Missing {
			g.caches.counts.handedOver.Add(1)
		}
	} else {
		stripe := g.hits.Mine()
		stripe.Served.Add(1)
		stripe.Main.Add(1)
	}
	if g.debugs() {
		g.say(slog.LevelDebug, "hit for a peer", q.Key)
	}
	s.give(e, g.times.remaining(e))
	if q.Digest != "" && !large && s.err == nil && digest(e.View) == q.Digest {
		s.view, s.unchanged = ByteView{}, true
	}
	return s, true
}

// give makes an answer of an entry.
func (s *served) give(e Entry, remaining time.Duration) {
	s.ttl = remaining
	if e.Missing {
		s.err = remembered(e.View)
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
	if q.Digest != "" {
		if s, ok := g.serveOwn(q, nil, math.MaxInt); ok {
			return s
		}
	}
	g.hits.Mine().Served.Add(1)
	g.caches.counts.servedMisses.Add(1)
	if s.err = g.checkKey(q.Key); s.err != nil {
		return s
	}
	s.recorded = g.recordLease(q, q.Key)
	ctx, span := g.tracing.startServe(ctx, q, q.Key)
	returned := false
	defer func() { span.over(returned, s.err) }()
	e, err := g.load(g.asked(ctx, q), q.Key)
	g.loadedFor(&s, e, q.Key, err)
	returned = true
	return s
}

// begunBy returns the context of what a peer's request begins in the background.
func (g *Group) begunBy(q *Query) context.Context {
	return g.tracing.extract(g.contexts.carrying(context.Background(), q.Context), q.Trace)
}

// asked returns the context of a load that a peer asks for.
func (g *Group) asked(ctx context.Context, q *Query) context.Context {
	return askedWithin(g.contexts.carrying(ctx, q.Context), q.Nested)
}

// loadedFor makes an answer of what a load found.
func (g *Group) loadedFor(s *served, e Entry, key string, err error) {
	if err == nil {
		s.give(e, g.times.remaining(e))
		return
	}
	s.err = err
	if g.times.negative > 0 && errors.Is(err, ErrNotFound) {
		if e, ok := g.main.Get(key); ok && e.Missing {
			s.ttl = max(0, g.times.remaining(e))
		}
	}
}

// serveLoads answers what serveHit did not of many keys that a peer asked for at
// once, and calls got with the place of each. q is all but its Key.
func (g *Group) serveLoads(ctx context.Context, q *Query, keys []string, got func(i int, s served)) {
	g.hits.Mine().Served.Add(int64(len(keys)))
	g.caches.counts.servedMisses.Add(int64(len(keys)))
	for _, key := range keys {
		if g.checkKey(key) != nil { // no peer that keeps to the limits does that
			for i, key := range keys {
				got(i, served{err: g.checkKey(key)})
			}
			return
		}
	}
	recorded := make([]bool, len(keys))
	for i, key := range keys {
		recorded[i] = g.recordLease(q, key)
	}
	ctx, span := g.tracing.startServe(ctx, q, keys...)
	returned := false
	defer func() { span.over(returned, nil) }()
	g.loadAll(g.asked(ctx, q), keys, func(i int, e Entry, err error) {
		span.fail(err)
		s := served{recorded: recorded[i]}
		g.loadedFor(&s, e, keys[i], err)
		got(i, s)
	})
	returned = true
}
