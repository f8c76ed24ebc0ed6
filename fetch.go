package peercache

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

// fetch gets key from its owner: alone, or with a copy for later callers if one pays.
func (g *Group) fetch(ctx context.Context, key string, owner Peer) (fetched, error) {
	if err := ctx.Err(); err != nil {
		return fetched{}, err
	}
	if g.planted == failpoint.UnleasedJoined {
		return g.fetchShared(ctx, key, owner, false)
	}
	if g.worthACopy(key) {
		return g.fetchShared(ctx, key, owner, true)
	}
	e, err := g.askAlone(ctx, key, owner)
	switch {
	case err == errUrged:
		return g.fetchAgain(ctx, key)
	case err == errNotAsked, err == peer.ErrLarge, peer.Unreachable(err):
		return g.fetchShared(ctx, key, owner, false) // it is not so cheap: callers share it
	}
	return e, err
}

// worthACopy counts a fetch of key, and reports whether the answer is worth a copy: if the key is
// fetched often, or has a copy whose lease is over. Nothing else is kept of what is fetched.
func (g *Group) worthACopy(key string) bool {
	if g.door.Worth(key) {
		return true
	}
	_, have := g.unleased(key)
	return have
}

// fetchShared gets key from its owner, or joins the fetch that is in progress. worth says that a copy
// is to be kept.
func (g *Group) fetchShared(ctx context.Context, key string, owner Peer, worth bool) (fetched, error) {
	f, first := g.fetches.Join(key)
	g.tracing.joined(ctx, first)
	if first {
		if worth {
			g.door.Admit()
		}
		if nestingOf(ctx) == InSlot {
			g.fetches.Urge(f) // the owner will know
		}
		have, _ := g.unleased(key)
		g.startFetch(ctx, key, owner, f, have, worth)
	}
	e, again, err := g.awaitFetch(ctx, f)
	if again {
		return g.fetchAgain(ctx, key)
	}
	return g.arrived(ctx, key, first, e, err)
}

// fetchAgain asks the owner of key for a load that must not wait for a slot. There is a
// fetch in progress, which began when that was not known: it ends then as well.
func (g *Group) fetchAgain(ctx context.Context, key string) (fetched, error) {
	e, err := g.askInTurn(ctx, key, 0, nil, Entry{})
	return g.arrived(ctx, key, true, e, err)
}

// startFetch asks the owner of key. have is the copy that is there, if any: if it is
// still the value, it need not be sent. worth says that a copy is to be kept.
func (g *Group) startFetch(ctx context.Context, key string, owner Peer, f *fetchFlight, have Entry, worth bool) {
	one := &struct { // in one piece of memory
		fetchRequest
		keys    [1]string
		flights [1]*fetchFlight
	}{keys: [1]string{key}, flights: [1]*fetchFlight{f}}
	one.fetchRequest = fetchRequest{of: g, ctx: ctx, owner: owner, lease: g.times.lease, flights: one.flights[:], have: have, worth: worth}
	if !worth && g.planted == failpoint.UnleasedJoined {
		one.fetchRequest.lease = 0
	}
	one.fetchRequest.Keys = one.keys[:]
	one.start()
}

// question asks a peer for one key, on behalf of one caller.
type question struct {
	peer.Request
	key      [1]string
	answer   Answer
	err      error
	answered chan struct{} // has room for one
}

// Answer implements peer.Waiter.
func (q *question) Answer(_ int, a Answer, err error) {
	q.answer, q.err = a, err
	q.answered <- struct{}{}
}

// askAlone asks the owner of key on its link, for no lease. It withdraws the question when ctx ends.
//
// The owner tells nobody of changes who has no lease. So the answer is for this caller alone (P8):
// there is no flight that a later one could join, and nothing is kept. Callers who ask for one key
// at the same time do not share a question. But they are counted when they begin, so that after a
// few of them the key is worth a copy, and all others do share; and at its owner they share a load
// (P1).
func (g *Group) askAlone(ctx context.Context, key string, owner Peer) (e fetched, err error) {
	p := starterOf(owner)
	if p == nil || !g.tracing.mayStart(p) {
		return fetched{}, errNotAsked
	}
	ctx, span := g.tracing.startFetch(ctx, owner, key)
	defer func() {
		if err == peer.ErrLarge || err == errUrged { // it is asked again, as it has to be
			span.done(nil)
			return
		}
		span.done(err)
	}()
	q, _ := g.questions.Get().(*question)
	if q == nil {
		q = &question{answered: make(chan struct{}, 1)}
	}
	q.key[0] = key
	q.Request = peer.Request{Query: g.query(ctx, "", 0, Entry{}), Keys: q.key[:], Waiter: q}
	var urged <-chan struct{}
	if q.Nested == InLoad {
		urged = within(ctx).urged()
	}
	asked := clock.Now()
	n, sent, _ := p.Start(&q.Request)
	if n == 0 {
		g.questions.Put(q)
		return fetched{}, errNotAsked
	}
	var left error // why the caller waits no more
	select {
	case <-q.answered:
	case <-ctx.Done():
		left = ctx.Err()
	case <-urged:
		left = errUrged
	}
	if left != nil {
		if sent.By == nil { // a Starter that withdraws nothing: q is still its
			return fetched{}, left
		}
		if sent.Cancel() {
			g.questions.Put(q)
			return fetched{}, left
		}
		<-q.answered // at once
	}
	ans, err := q.answer, q.err
	q.key[0], q.answer, q.err = "", Answer{}, nil
	g.questions.Put(q)
	if err == peer.ErrLarge {
		return fetched{}, err
	}
	if peer.Unreachable(err) && ctx.Err() != nil {
		err = ctx.Err() // the caller's end counts (P3)
	}
	return g.answered(owner, key, Entry{}, asked, ans, err)
}

// arrived returns the result of a fetch to a caller that waited for it. A value that expired
// on its way may have done so before a caller joined the fetch: such a caller asks again.
func (g *Group) arrived(ctx context.Context, key string, first bool, e fetched, err error) (fetched, error) {
	if alone, ok := errors.AsType[unreached](err); ok {
		e, err := g.loadPast(ctx, key, alone.turn)
		return fetched{Entry: e, loaded: true}, err
	}
	if !first && !peer.IsUnanswered(err) && (e.unshared || e.Expires != 0 && e.Expires <= clock.Now()) {
		e, err = g.askInTurn(ctx, key, 0, nil, Entry{})
		return g.arrived(ctx, key, true, e, err)
	}
	return e, err
}

// fetchAll gets keys from their owner, or joins the fetches that are in progress, and calls got with
// the place of each. worth says that copies are to be kept.
func (g *Group) fetchAll(ctx context.Context, owner Peer, keys []string, worth bool, got func(i int, e Entry, err error)) {
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
	r := &fetchRequest{of: g, ctx: ctx, owner: owner, lease: g.times.lease, worth: worth, many: new(many)}
	if !worth && g.planted == failpoint.UnleasedJoined {
		r.lease = 0
	}
	r.Keys, r.flights = make([]string, 0, len(keys)), make([]*fetchFlight, 0, len(keys))
	for i, f := range flights {
		if g.tracing.joined(ctx, first[i]); first[i] {
			if worth {
				g.door.Admit()
			}
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
				got(i, e.Entry, err)
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
			got(i, e.Entry, err)
			return nil
		})
	}
	late.Wait()
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

// drain returns when no load and no fetch is in progress, or ctx has ended.
func (g *Group) drain(ctx context.Context) error {
	if err := g.fetches.Drain(ctx); err != nil {
		return err
	}
	if err := g.past.Drain(ctx); err != nil {
		return err
	}
	return g.loads.Drain(ctx)
}
