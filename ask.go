package peercache

import (
	"context"
	"sync"
)

// ask is what an owner is asked for, and the flights that its answers end.
type ask struct {
	request
	of      *Group
	ctx     context.Context // of the caller who asked; its values count, not its end
	owner   Peer
	asked   Instant
	have    Entry   // if there is one key: the copy that is there
	haves   []Entry // if there are many: those of each, or nil
	flights []*fetchFlight
	rest    *rest // of many keys, those that are asked for one by one; else nil
}

// rest are the keys of an ask that have to be asked for one by one, each by a goroutine
// that waits for the answer: mostAtOnce of them, however many keys there are.
type rest struct {
	mu      sync.Mutex
	keys    []single // guarded by mu
	workers int      // guarded by mu
}

// single is a key, by its place, that is asked for alone.
type single struct {
	i     int
	plain bool // the owner has said that the value takes the plain way
	// crowded: there is no room on the link. Where nobody waits for the key any more, it
	// does not wait for room either.
	crowded bool
}

// start sees to it that the flights end. It asks the owner on its link, and where
// that cannot be, in goroutines.
func (a *ask) start() {
	n, crowded := 0, false
	if p, ok := a.owner.(linkedPeer); ok && len(a.keys) > 0 {
		q := a.of.query(a.ctx, "", a.have)
		a.group, a.lease, a.digest, a.nested, a.waiter, a.asked = q.Group, q.Lease, q.Digest, q.Nested, a, Now()
		a.limit = a.of.answerTime
		for i := range a.haves {
			a.digests = append(a.digests, a.of.query(a.ctx, "", a.haves[i]).Digest)
		}
		var sent sent
		n, sent, crowded = p.start(&a.request)
		if n == 1 && len(a.keys) == 1 && a.of.fetches.CancelAbandoned {
			a.of.fetches.OnAbandon(a.flights[0], func() {
				if sent.cancel() {
					a.of.fetches.End(a.flights[0], fetched{}, context.Canceled)
				}
			})
		}
	}
	for i := n; i < len(a.keys); i++ {
		a.goOn(single{i: i, crowded: crowded})
	}
}

// answer implements waiter.
func (a *ask) answer(i int, ans Answer, err error) {
	e, err := a.of.answered(a.owner, a.keys[i], a.haveOf(i), a.asked, ans, err)
	switch {
	case unreachable(err):
		a.goOn(single{i: i})
	case err == nil && a.of.onEvict != nil:
		// What leaves is told the user, who may take his time: not on the
		// goroutine that reads the link.
		go a.end(i, e, nil)
	default:
		a.end(i, e, err)
	}
}

// haveOf returns the copy that is there of the i-th key.
func (a *ask) haveOf(i int) Entry {
	if a.haves != nil {
		return a.haves[i]
	}
	return a.have
}

// plain implements waiter.
func (a *ask) plain(i int) { a.goOn(single{i: i, plain: true}) }

func (a *ask) end(i int, e fetched, err error) {
	// Last, and also where a Cache of the user's panics: it must not end the goroutine that
	// reads the link, nor leave those waiting who asked.
	defer func() {
		if r := recover(); r != nil {
			a.of.panicked("the cache", a.keys[i], r)
		}
		a.of.fetches.End(a.flights[i], e, err)
	}()
	if err == nil || e.Missing {
		a.of.keepCopy(a.keys[i], e, a.asked, a.haveOf(i), a.flights[i])
	}
}

// goOn asks for a key alone, in a goroutine.
func (a *ask) goOn(s single) {
	if a.rest == nil {
		go a.one(s)
		return
	}
	a.rest.mu.Lock()
	defer a.rest.mu.Unlock()
	a.rest.keys = append(a.rest.keys, s)
	if a.rest.workers < mostAtOnce {
		a.rest.workers++
		go a.work()
	}
}

// work asks for the keys of the rest, one after the other.
func (a *ask) work() {
	over := false
	defer func() {
		if !over { // a Peer has ended the goroutine: another goes on
			go a.work()
		}
	}()
	for {
		a.rest.mu.Lock()
		if over = len(a.rest.keys) == 0; over {
			a.rest.workers--
			a.rest.mu.Unlock()
			return
		}
		s := a.rest.keys[0]
		a.rest.keys = a.rest.keys[1:]
		a.rest.mu.Unlock()
		a.one(s)
	}
}

// one ends the flight of a key with what came of asking for it alone.
func (a *ask) one(s single) {
	g, key := a.of, a.keys[s.i]
	g.fetches.Run(a.ctx, a.flights[s.i], s.crowded || g.fetches.CancelAbandoned, func(ctx context.Context, f *fetchFlight) (fetched, error) {
		if p, ok := a.owner.(linkedPeer); ok && s.plain {
			ask := func(ctx context.Context, q Query) (Answer, error) { return p.getLarge(ctx, &q) }
			if e, err := g.askOne(ctx, p, ask, key, f, a.haveOf(s.i)); !unreachable(err) || ctx.Err() != nil {
				return e, err
			}
		}
		return g.askInTurn(ctx, key, f, a.haveOf(s.i))
	})
}
