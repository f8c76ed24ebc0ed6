package peercache

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

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

// worthACopy reports whether a copy of what is fetched of key may be kept.
func (g *Group) worthACopy(key string) bool { return g.hot != nil }
