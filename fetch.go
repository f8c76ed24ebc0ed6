package peercache

import (
	"context"
	"log/slog"
	"strings"

	"github.com/peercache/peercache/singleflight"
)

// mostPeersAsked is how many peers a fetch tries, one after the other, before
// the key is loaded here. Each may cost as long as it takes to see that it is
// not there, so a fetch does not try them all.
const mostPeersAsked = 3

// mostAtOnce is how many keys of one GetMulti are loaded here, or asked of one
// peer that takes them one by one, at the same time.
const mostAtOnce = 32

// flight is what the callers of a key share.
type flight = singleflight.Flight[Entry]

// fetch gets key from its owner, or joins the fetch that is in progress.
func (g *Group) fetch(ctx context.Context, key string, owner Peer) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	f, first := g.fetches.Join(key)
	if first {
		one := &struct { // in one piece of memory
			ask
			keys    [1]string
			flights [1]*flight
		}{keys: [1]string{key}, flights: [1]*flight{f}}
		one.ask = ask{of: g, ctx: ctx, owner: owner, flights: one.flights[:]}
		one.ask.keys = one.keys[:]
		one.start()
	}
	return g.fetches.Wait(ctx, f)
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
	a := &ask{of: g, ctx: ctx, owner: owner, turns: make(chan struct{}, mostAtOnce)}
	a.keys, a.flights = make([]string, 0, len(keys)), make([]*flight, 0, len(keys))
	for i, f := range flights {
		if first[i] {
			a.keys, a.flights = append(a.keys, keys[i]), append(a.flights, f)
		}
	}
	a.start()
	for i, f := range flights {
		e, err := g.fetches.Wait(ctx, f)
		got(i, e, err)
	}
}

// ask is what an owner is asked for, and the flights that its answers end.
type ask struct {
	request
	of      *Group
	ctx     context.Context // of the caller who asked; its values count, not its end
	owner   Peer
	asked   Instant
	flights []*flight
	turns   chan struct{} // bounds the keys that are asked for one by one; may be nil
}

// start sees to it that the flights end. It asks the owner on its link, and where
// that cannot be, in goroutines.
func (a *ask) start() {
	n := 0
	if p, ok := a.owner.(linkedPeer); ok && len(a.keys) > 0 {
		a.group, a.waiter, a.asked = a.of.name, a, Now()
		var sent sent
		n, sent = p.start(&a.request)
		if n == 1 && len(a.keys) == 1 && a.of.fetches.CancelAbandoned {
			a.of.fetches.OnAbandon(a.flights[0], func() {
				if sent.cancel() {
					a.of.fetches.End(a.flights[0], Entry{}, context.Canceled)
				}
			})
		}
	}
	for i := n; i < len(a.keys); i++ {
		a.goOn(i)
	}
}

// answer implements waiter.
func (a *ask) answer(i int, item Item, err error) {
	e, err := a.of.answered(a.owner, a.keys[i], a.asked, item, err)
	switch {
	case unreachable(err):
		a.goOn(i)
	case err == nil && a.of.onEvict != nil:
		// What leaves is told the user, who may take his time: not on the
		// goroutine that reads the link.
		go a.end(i, e, nil)
	default:
		a.end(i, e, err)
	}
}

func (a *ask) end(i int, e Entry, err error) {
	if err == nil {
		a.of.keepCopy(a.keys[i], e, a.flights[i])
	}
	a.of.fetches.End(a.flights[i], e, err)
}

// goOn ends the i-th flight in a goroutine of its own.
func (a *ask) goOn(i int) {
	a.of.fetches.Go(a.ctx, a.flights[i], func(ctx context.Context, f *flight) (Entry, error) {
		if a.turns != nil {
			select {
			case a.turns <- struct{}{}:
				defer func() { <-a.turns }()
			case <-ctx.Done():
				return Entry{}, ctx.Err()
			}
		}
		return a.of.askInTurn(ctx, a.keys[i], f)
	})
}

// askInTurn gets key from its owner or, where that cannot be reached, from the
// next peer on the ring. All processes try the same peers in the same order, so
// that the key is still loaded by one of them.
func (g *Group) askInTurn(ctx context.Context, key string, f *flight) (Entry, error) {
	for n := range mostPeersAsked {
		peer := g.peers.Pick(key, n)
		if peer == nil {
			break
		}
		asked := Now()
		item, err := peer.Get(ctx, g.name, key)
		e, err := g.answered(peer, key, asked, item, err)
		if err == nil {
			g.keepCopy(key, e, f)
		}
		if !unreachable(err) || ctx.Err() != nil {
			return e, err
		}
	}
	return g.load(ctx, key)
}

// answered makes an entry of a peer's answer to what it was asked at that instant.
// The time that the answer was under way is part of its age: what it has left is
// counted from before it was asked for (P7).
func (g *Group) answered(peer Peer, key string, asked Instant, item Item, err error) (Entry, error) {
	level := slog.LevelDebug
	switch {
	case err == nil:
		g.stats.peerLoads.Add(1)
	case unreachable(err):
		g.stats.peerErrors.Add(1)
		level = slog.LevelWarn
	}
	if g.logs(level) {
		g.say(level, "asked peer", key, slog.String("peer", peer.Name()), took(asked), problem(err))
	}
	if err != nil {
		return Entry{}, err
	}
	return Entry{View: viewOfOwn(item.Value), Expires: expiry(asked, item.TTL)}, nil
}

// keepCopy offers a value that a peer owns to the hot cache.
func (g *Group) keepCopy(key string, e Entry, f *flight) {
	if g.hot != nil && !e.expired() {
		g.hot.Add(strings.Clone(key), e, f.Tainted)
	}
}
