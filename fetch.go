package peercache

import (
	"context"
	"log/slog"
	"strings"

	"golang.org/x/sync/errgroup"

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
		g.start(ctx, owner, []string{key}, []*flight{f})
	}
	return g.fetches.Wait(ctx, f)
}

// fetchAll gets keys from their owner and calls got with the place of each, for
// each as it comes.
func (g *Group) fetchAll(ctx context.Context, owner Peer, keys []string, got func(i int, e Entry, err error)) {
	if p, ok := owner.(linkedPeer); !ok || !p.linked() {
		var fetches errgroup.Group
		fetches.SetLimit(mostAtOnce)
		for i, key := range keys {
			if err := ctx.Err(); err != nil {
				got(i, Entry{}, err)
				continue
			}
			fetches.Go(func() error {
				e, err := g.fetch(ctx, key, owner)
				got(i, e, err)
				return nil
			})
		}
		fetches.Wait()
		return
	}
	flights := make([]*flight, len(keys))
	newKeys, newFlights := make([]string, 0, len(keys)), make([]*flight, 0, len(keys))
	for i, key := range keys {
		f, first := g.fetches.Join(key)
		if first {
			newKeys, newFlights = append(newKeys, key), append(newFlights, f)
		}
		flights[i] = f
	}
	g.start(ctx, owner, newKeys, newFlights)
	for i, f := range flights {
		e, err := g.fetches.Wait(ctx, f)
		got(i, e, err)
	}
}

// start sees to it that new flights end. It asks the owner on its link, and where
// that cannot be, in goroutines.
func (g *Group) start(ctx context.Context, owner Peer, keys []string, flights []*flight) {
	// Look into the caches again: see load.
	a := &ask{group: g, ctx: ctx, peer: owner}
	for i, f := range flights {
		if e, ok := g.cached(keys[i]); ok {
			g.fetches.End(f, e, nil)
			continue
		}
		a.keys, a.flights = append(a.keys, keys[i]), append(a.flights, f)
	}
	if len(a.keys) == 0 {
		return
	}
	n := 0
	if p, ok := owner.(linkedPeer); ok {
		a.asked = Now()
		var cancel func() bool
		n, cancel = p.start(g.name, a.keys, a)
		if n == 1 && cancel != nil && g.fetches.CancelAbandoned {
			f := a.flights[0]
			f.OnAbandon(func() {
				if cancel() {
					g.fetches.End(f, Entry{}, context.Canceled)
				}
			})
		}
	}
	for i := n; i < len(a.keys); i++ {
		a.goOn(i)
	}
}

// cached looks into both caches again, without counting.
func (g *Group) cached(key string) (Entry, bool) {
	e, ok := fresh(g.main, key)
	if !ok {
		e, ok = fresh(g.hot, key)
	}
	return e, ok
}

// ask is what a peer was asked for on its link.
type ask struct {
	group   *Group
	ctx     context.Context // of the caller who asked; its values count, not its end
	peer    Peer
	asked   Instant
	keys    []string
	flights []*flight
}

// answer implements waiter.
func (a *ask) answer(i int, item Item, err error) {
	g := a.group
	e, err := g.answered(a.peer, a.keys[i], a.asked, item, err)
	switch {
	case unreachable(err):
		a.goOn(i)
	case err == nil && g.onEvict != nil:
		// What leaves is told the user, who may take his time: not on the
		// goroutine that reads the link.
		go a.end(i, e, nil)
	default:
		a.end(i, e, err)
	}
}

func (a *ask) end(i int, e Entry, err error) {
	if err == nil {
		a.group.keepCopy(a.keys[i], e, a.flights[i])
	}
	a.group.fetches.End(a.flights[i], e, err)
}

// goOn ends the i-th flight in a goroutine of its own.
func (a *ask) goOn(i int) {
	a.group.fetches.Go(a.ctx, a.flights[i], func(ctx context.Context, f *flight) (Entry, error) {
		return a.group.askInTurn(ctx, a.keys[i], f)
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
