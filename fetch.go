package peercache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/singleflight"
)

// fetcher asks other peers.
type fetcher struct {
	// fetches are the questions to other peers that are in progress.
	fetches singleflight.Group[fetched]

	answerTime  time.Duration // for how long callers wait for a peer that gives signs of life
	peerTimeout time.Duration // of the pool, see WithPeerTimeout; may be zero

	counts  fetchCounts
	journal *journal
}

// makeFetcher sets what follows from the options.
func (f *fetcher) makeFetcher(lease, loadTimeout time.Duration, j *journal) {
	f.journal = j
	f.answerTime = clock.Sum(loadTimeout, answerMargin)
	f.fetches.JoinFor, f.fetches.Clock = lease, clock.SinceStart
}

// answerMargin is how much longer than a load callers wait for a peer that gives signs of
// life: its loads end within the load timeout, and it answers then. By the plain way a
// request has ended before.
const answerMargin = 2 * time.Second

// fetched is a peer's answer for a key.
type fetched struct {
	Entry
	// unshared says that the peer has not recorded a lease. It will not tell of a change of
	// the key, so the answer is not for callers who came when the question was on its way.
	unshared bool
}

// fetchFlight is what the callers of a key share who wait for a peer.
type fetchFlight = singleflight.Flight[fetched]

// unreached is the error of a fetch that reached no peer of the key's preference list. Its
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
		have, _ := g.unleased(key)
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
		fetchRequest
		keys    [1]string
		flights [1]*fetchFlight
	}{keys: [1]string{key}, flights: [1]*fetchFlight{f}}
	one.fetchRequest = fetchRequest{of: g, ctx: ctx, owner: owner, flights: one.flights[:], have: have}
	one.fetchRequest.Keys = one.keys[:]
	one.start()
}

// arrived returns the result of a fetch to a caller that waited for it. A value that expired
// on its way may have done so before a caller joined the fetch: such a caller asks again.
func (g *Group) arrived(ctx context.Context, key string, first bool, e fetched, err error) (Entry, error) {
	if alone, ok := errors.AsType[unreached](err); ok {
		return g.loadPast(ctx, key, alone.turn)
	}
	if !first && !peer.IsUnanswered(err) && (e.unshared || e.Expires != 0 && e.Expires <= clock.Now()) {
		e, err = g.askInTurn(ctx, key, nil, Entry{})
		return g.arrived(ctx, key, true, e, err)
	}
	return e.Entry, err
}

// fetchAll gets keys from their owner and calls got with the place of each.
func (g *Group) fetchAll(ctx context.Context, owner Peer, keys []string, got func(i int, e Entry, err error)) {
	if p := starterOf(owner); p != nil {
		p.Connect(ctx) // or all keys would be asked for one by one
	}
	if err := ctx.Err(); err != nil {
		for i := range keys {
			got(i, Entry{}, err)
		}
		return
	}
	flights, first := g.fetches.JoinAll(keys)
	r := &fetchRequest{of: g, ctx: ctx, owner: owner, many: new(many)}
	r.Keys, r.flights = make([]string, 0, len(keys)), make([]*fetchFlight, 0, len(keys))
	for i, f := range flights {
		if first[i] {
			r.Keys, r.flights = append(r.Keys, keys[i]), append(r.flights, f)
		}
	}
	if nestingOf(ctx) == InSlot {
		for _, f := range r.flights {
			g.fetches.Urge(f) // see fetch
		}
	}
	r.start()
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

// query returns what a peer is asked. have is the copy of key that is there, if any.
func (g *Group) query(ctx context.Context, key string, have Entry) Query {
	return Query{
		Group: g.name, Key: key, Lease: g.times.lease, Digest: digestOf(have),
		Nested: nestingOf(ctx), Context: g.contexts.carried(ctx), MaxBytes: g.maxValue, Timeout: g.answerTime,
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
	for n := range cluster.Candidates {
		from := g.pick(key, n)
		if from == nil {
			e, err := g.load(ctx, key)
			return fetched{Entry: e}, err
		}
		e, err := g.askOne(ctx, from, from.Get, key, f, have)
		if !peer.Unreachable(err) {
			return e, err
		}
		if ctx.Err() != nil { // the caller's end counts, and not the peer's failure just before it (P3)
			return fetched{}, ctx.Err()
		}
	}
	return fetched{}, unreached{g.past.Turn()}
}

// askOne asks one peer for key, and keeps a copy of the answer. f may be nil.
func (g *Group) askOne(ctx context.Context, from Peer, get func(context.Context, Query) (Answer, error), key string, f *fetchFlight, have Entry) (fetched, error) {
	asked := clock.Now()
	limited, cancel := context.WithTimeout(ctx, g.answerTime)
	defer cancel()
	ans, err := get(limited, g.query(ctx, key, have))
	if err != nil && limited.Err() != nil && ctx.Err() == nil && !peer.Unreachable(err) {
		err = &peer.UnansweredError{Peer: from.Name(), Within: g.answerTime}
	}
	e, err := g.answered(from, key, have, asked, ans, err)
	if f != nil && (err == nil || e.Missing) {
		g.keepCopy(key, e, asked, have, f)
	}
	return e, err
}

// answered makes an entry of a peer's answer to what it was asked at that instant.
// The time that the answer was under way is part of its age: what it has left is
// counted from before it was asked for (P7).
func (g *Group) answered(from Peer, key string, have Entry, asked clock.Instant, ans Answer, err error) (fetched, error) {
	g.countAnswer(from, key, asked, err)
	e := fetched{unshared: !ans.Noted}
	switch {
	case err != nil && ans.TTL > 0 && errors.Is(err, ErrNotFound):
		e.Entry = g.missing(err)
	case err != nil:
		return e, err
	case len(ans.Value) > g.maxValue:
		return fetched{}, fmt.Errorf("%w: peer %s answered %d bytes, want at most %d", ErrValueSize, from.Name(), len(ans.Value), g.maxValue)
	case ans.Unchanged:
		e.View = have.View
	default:
		e.View = viewOfOwn(ans.Value)
	}
	e.Expires = clock.Expiry(asked, ans.TTL)
	return e, err
}

// keepCopy offers what a peer answered to the hot cache.
func (g *Group) keepCopy(key string, e fetched, asked clock.Instant, have Entry, f *fetchFlight) {
	if !e.unshared && !g.misplaced() {
		g.addCopy(key, e.Entry, asked, have, f)
	}
}

// startRenewal asks, in the background, whether a copy is still the value of key. If later is
// not nil, it leaves that to startDue.
func (g *Group) startRenewal(ctx context.Context, key string, have Entry, later *due) {
	if later != nil {
		later.copies, later.haves = append(later.copies, key), append(later.haves, have)
		return
	}
	owner := g.pick(key, 0)
	if owner == nil {
		return // this process owns the key by now, and its lease runs out
	}
	if isCrowded(owner) {
		return
	}
	if f := g.fetches.Start(key); f != nil {
		g.fetcher.counts.renewals.Add(1)
		if have.Missing {
			have = Entry{}
		}
		g.startFetch(outside(ctx), key, owner, f, have)
	}
}

// isCrowded reports whether a peer should not be asked for renewals now: callers come first,
// and a caller that finds the lease to be over will ask.
func isCrowded(p Peer) bool {
	starter := starterOf(p)
	return starter != nil && starter.Full()
}

// renewCopies does what startRenewal does, for many copies. It sends each owner as few requests as
// possible.
func (g *Group) renewCopies(ctx context.Context, keys []string, haves []Entry) {
	requests := make(map[Peer]*fetchRequest)
	for i, key := range keys {
		owner := g.pick(key, 0)
		if owner == nil {
			continue
		}
		r := requests[owner]
		if r == nil {
			if isCrowded(owner) {
				continue
			}
			r = &fetchRequest{of: g, ctx: ctx, owner: owner, many: new(many)}
			requests[owner] = r
		}
		f := g.fetches.Start(key)
		if f == nil {
			continue
		}
		have := haves[i]
		if have.Missing {
			have = Entry{}
		}
		r.Keys, r.flights, r.many.haves = append(r.Keys, key), append(r.flights, f), append(r.many.haves, have)
	}
	for _, r := range requests {
		g.fetcher.counts.renewals.Add(int64(len(r.Keys)))
		r.start()
	}
}

// countAnswer counts and logs the result of asking a peer for a key.
func (f *fetcher) countAnswer(from Peer, key string, asked clock.Instant, err error) {
	level := slog.LevelDebug
	switch {
	case err == nil:
		f.counts.peerLoads.Add(1)
	case peer.Unreachable(err), peer.IsUnanswered(err):
		f.counts.peerErrors.Add(1)
		if !peer.Misconfigured(err) { // which is a warning of the pool
			level = f.journal.failureLevel()
		}
	}
	if f.journal.logs(level) {
		what := "asked peer"
		switch {
		case level == slog.LevelDebug:
		case peer.IsUnanswered(err): // it may still load the key
			what = "a peer did not answer for a key in time; no other one is asked"
		default:
			what = "a peer did not answer for a key; it goes to the next one"
		}
		f.journal.say(level, what, key, slog.String("peer", from.Name()), took(asked), problem(err))
	}
}

// awaitFetch waits for a fetch. It reports whether the caller must ask the owner again, which
// does not know that the load must not wait for a slot. The caller has then left the flight.
func (f *fetcher) awaitFetch(ctx context.Context, flight *fetchFlight) (e fetched, again bool, err error) {
	if c := within(ctx); c != nil {
		select {
		case <-f.fetches.Done(flight):
		case <-ctx.Done():
		case <-c.urged():
			if f.fetches.Urge(flight) {
				f.fetches.Leave(flight)
				return e, true, nil
			}
		}
	}
	e, err = f.fetches.Wait(ctx, flight)
	return e, false, err
}

// starterOf returns the Starter of a peer, which needs no goroutine for each request, or nil.
func starterOf(p Peer) peer.Starter {
	if m, ok := p.(interface{ Starter() peer.Starter }); ok {
		return m.Starter()
	}
	return nil
}
