package peercache

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/singleflight"
)

// mostAtOnce is how many keys of one GetMulti are loaded here, or asked of one
// peer that takes them one by one, at the same time.
const mostAtOnce = 32

// answerMargin is how much longer than for a load a peer is waited for that gives signs of
// life: its loads end within the load timeout, and it answers then. By the plain way a
// request has ended before, see limits.
const answerMargin = 2 * time.Second

// fetched is what came of asking peers for a key.
type fetched struct {
	Entry
	// unshared says that the peer took no note of who asked. It will not tell of a
	// change of the key, so that the answer is not for callers who came when the
	// question was on its way.
	unshared bool
}

// fetchFlight is what the callers of a key share who wait for a peer.
type fetchFlight = singleflight.Flight[fetched]

// unreached is the error of a fetch that found none of the key's candidates there. Its
// callers load the key themselves, past the cache, and share runs after that turn.
type unreached struct{ turn uint64 }

func (unreached) Error() string { return "no peer that could have the key can be reached" }

// fetch gets key from its owner, or joins the fetch that is in progress.
func (g *Group) fetch(ctx context.Context, key string, owner Peer) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	f, first := g.fetches.Join(key)
	if first {
		if nestingOf(ctx) == InSlot {
			g.fetches.Urge(f) // the owner will know
		}
		have, _ := g.copyLeft(key)
		g.startFetch(ctx, key, owner, f, have)
	}
	e, again, err := g.awaitFetch(ctx, f)
	if again {
		return g.fetchAgain(ctx, key)
	}
	return g.arrived(ctx, key, first, e, err)
}

// fetchAgain asks the owner of key for a load that must not wait for a slot. There is a
// fetch in progress, which began when that was not known: it ends then as well.
func (g *Group) fetchAgain(ctx context.Context, key string) (Entry, error) {
	e, err := g.askInTurn(ctx, key, nil, Entry{})
	return g.arrived(ctx, key, true, e, err)
}

// startFetch asks the owner of key. have is the copy that is there, if any: if it is
// still the value, it need not be sent.
func (g *Group) startFetch(ctx context.Context, key string, owner Peer, f *fetchFlight, have Entry) {
	one := &struct { // in one piece of memory
		ask
		keys    [1]string
		flights [1]*fetchFlight
	}{keys: [1]string{key}, flights: [1]*fetchFlight{f}}
	one.ask = ask{of: g, ctx: ctx, owner: owner, flights: one.flights[:], have: have}
	one.ask.keys = one.keys[:]
	one.start()
}

// copyLeft returns the copy of key whose lease is over, but which has not expired.
func (g *Group) copyLeft(key string) (Entry, bool) {
	if g.hot == nil {
		return Entry{}, false
	}
	e, ok := g.hot.Get(key)
	if !ok || e.Missing || e.Expires != 0 && Now() >= e.Expires {
		return Entry{}, false
	}
	return e, true
}

// arrived returns to a caller what came of a fetch that it waited for. What expired on its
// way may have done so before a caller came who joined the fetch.
func (g *Group) arrived(ctx context.Context, key string, first bool, e fetched, err error) (Entry, error) {
	if alone, ok := errors.AsType[unreached](err); ok {
		return g.loadPast(ctx, key, alone.turn)
	}
	if !first && !isUnanswered(err) && (e.unshared || e.Expires != 0 && e.Expires <= Now()) {
		e, err = g.askInTurn(ctx, key, nil, Entry{})
		return g.arrived(ctx, key, true, e, err)
	}
	return e.Entry, err
}

// fetchAll gets keys from their owner and calls got with the place of each.
func (g *Group) fetchAll(ctx context.Context, owner Peer, keys []string, got func(i int, e Entry, err error)) {
	if p, ok := owner.(linkedPeer); ok {
		p.connect(ctx) // or all keys would be asked for one by one
	}
	if err := ctx.Err(); err != nil {
		for i := range keys {
			got(i, Entry{}, err)
		}
		return
	}
	flights, first := g.fetches.JoinAll(keys)
	a := &ask{of: g, ctx: ctx, owner: owner, many: new(many)}
	a.keys, a.flights = make([]string, 0, len(keys)), make([]*fetchFlight, 0, len(keys))
	for i, f := range flights {
		if first[i] {
			a.keys, a.flights = append(a.keys, keys[i]), append(a.flights, f)
		}
	}
	if nestingOf(ctx) == InSlot {
		for _, f := range a.flights {
			g.fetches.Urge(f) // see fetch
		}
	}
	a.start()
	var late errgroup.Group // keys that have to be asked for again
	late.SetLimit(mostAtOnce)
	for i, f := range slices.Backward(flights) { // as a rule the last one is answered last
		e, again, err := g.awaitFetch(ctx, f)
		if again {
			late.Go(func() error {
				e, err := g.fetchAgain(ctx, keys[i])
				got(i, e, err)
				return nil
			})
			continue
		}
		if _, ok := errors.AsType[unreached](err); !ok && (first[i] || !e.unshared && e.Expires == 0) {
			got(i, e.Entry, err)
			continue
		}
		late.Go(func() error {
			e, err := g.arrived(ctx, keys[i], first[i], e, err)
			got(i, e, err)
			return nil
		})
	}
	late.Wait()
}

// query is what a peer is asked for key, where have is the copy that is there.
func (g *Group) query(ctx context.Context, key string, have Entry) Query {
	return Query{
		Group: g.name, Key: key, Lease: g.times.lease, Digest: digestOf(have),
		Nested: nestingOf(ctx), Context: g.carried(ctx),
	}
}

// digestOf returns the digest of a copy, or nothing if there is none.
func digestOf(have Entry) string {
	if have.Lease == 0 {
		return ""
	}
	return digest(have.View)
}

// digest is what tells one value from another: no two are known that have the same.
func digest(v ByteView) string {
	sum := sha256.Sum256(v.bytes())
	return string(sum[:digestBytes])
}

const digestBytes = 16

// askInTurn gets key from its owner or, where that cannot be reached, from the
// next peer on the ring, which stands in for it. All processes try the same peers in
// the same order, so that the key is still loaded by one of them. f may be nil.
func (g *Group) askInTurn(ctx context.Context, key string, f *fetchFlight, have Entry) (fetched, error) {
	for n := range candidates {
		peer := g.peers.Pick(key, n)
		if peer == nil {
			e, err := g.load(ctx, key)
			return fetched{Entry: e}, err
		}
		e, err := g.askOne(ctx, peer, peer.Get, key, f, have)
		if !unreachable(err) {
			return e, err
		}
		if ctx.Err() != nil { // the end of who asks, and not the peer's failure just before it (P3)
			return fetched{}, ctx.Err()
		}
	}
	return fetched{}, unreached{g.past.Turn()}
}

// askOne asks one peer for key, and keeps a copy of the answer. f may be nil.
func (g *Group) askOne(ctx context.Context, peer Peer, ask func(context.Context, Query) (Answer, error), key string, f *fetchFlight, have Entry) (fetched, error) {
	asked := Now()
	limited, cancel := context.WithTimeout(ctx, g.answerTime)
	defer cancel()
	ans, err := ask(limited, g.query(ctx, key, have))
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !unreachable(err) {
		err = &unansweredError{peer.Name(), g.answerTime}
	}
	e, err := g.answered(peer, key, have, asked, ans, err)
	if f != nil && (err == nil || e.Missing) {
		g.keepCopy(key, e, asked, have, f)
	}
	return e, err
}

// answered makes an entry of a peer's answer to what it was asked at that instant.
// The time that the answer was under way is part of its age: what it has left is
// counted from before it was asked for (P7).
func (g *Group) answered(peer Peer, key string, have Entry, asked Instant, ans Answer, err error) (fetched, error) {
	level := slog.LevelDebug
	switch {
	case err == nil:
		g.stats.peerLoads.Add(1)
	case unreachable(err), isUnanswered(err):
		g.stats.peerErrors.Add(1)
		if !misconfigured(err) { // which is a warning of the pool
			level = g.failureLevel()
		}
	}
	if g.logs(level) {
		what := "asked peer"
		switch {
		case level == slog.LevelDebug:
		case isUnanswered(err): // it may still load the key
			what = "a peer did not answer for a key in time; no other one is asked"
		default:
			what = "a peer did not answer for a key; it goes to the next one"
		}
		g.say(level, what, key, slog.String("peer", peer.Name()), took(asked), problem(err))
	}
	e := fetched{unshared: !ans.Noted}
	switch {
	case err != nil && ans.TTL > 0 && errors.Is(err, ErrNotFound):
		e.Entry = g.missing(err)
	case err != nil:
		return e, err
	case ans.Unchanged:
		e.View = have.View
	default:
		e.View = viewOfOwn(ans.Value)
	}
	e.Expires = expiry(asked, ans.TTL)
	return e, err
}

// keepCopy offers what a peer answered to the hot cache.
func (g *Group) keepCopy(key string, e fetched, asked Instant, have Entry, f *fetchFlight) {
	if g.hot == nil || e.unshared || g.misplaced() {
		return
	}
	now := Now()
	if g.planted == leaseFromAnswer {
		asked = now
	}
	e.Lease = g.leaseOf(e.Entry, asked)
	if e.Lease <= now || e.Expires != 0 && e.Expires <= now {
		return
	}
	if have.Lease != 0 && e.View.Same(have.View) {
		g.hot.Renew(key, e.Entry)
		return
	}
	g.hits.grow()
	g.hot.Add(strings.Clone(key), e.Entry, g.planted.taint(f.Tainted))
}
