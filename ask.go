package peercache

import (
	"context"
	"sync"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// ask is what an owner is asked for, and the flights that its answers end.
type ask struct {
	peer.Request
	of      *Group
	ctx     context.Context // of the caller who asked; its values count, not its end
	owner   Peer
	asked   clock.Instant
	have    Entry // if there is one key: the copy that is there
	flights []*fetchFlight
	many    *many // nil if there is one key
}

// many is what an ask for many keys has besides. Those of the rest have to be asked for one
// by one, each by a goroutine that waits for the answer: mostAtOnce of them, however many
// keys there are.
type many struct {
	haves []Entry // the copies that are there of all keys, or nil

	mu      sync.Mutex
	rest    []single // guarded by mu
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
	if p := starterOf(a.owner); p != nil && len(a.Keys) > 0 {
		a.Query, a.Waiter, a.asked = a.of.query(a.ctx, "", a.have), a, clock.Now()
		if a.many != nil {
			for _, have := range a.many.haves {
				a.Digests = append(a.Digests, digestOf(have))
			}
		}
		var sent peer.Sent
		n, sent, crowded = p.Start(&a.Request)
		if n == 1 && len(a.Keys) == 1 && a.of.fetches.CancelAbandoned {
			a.of.fetches.OnAbandon(a.flights[0], func() {
				if sent.Cancel() {
					a.of.fetches.End(a.flights[0], fetched{}, context.Canceled)
				}
			})
		}
	}
	for i := n; i < len(a.Keys); i++ {
		a.goOn(single{i: i, crowded: crowded})
	}
}

// Answer implements peer.Waiter.
func (a *ask) Answer(i int, ans Answer, err error) {
	if err == peer.ErrLarge {
		a.goOn(single{i: i, plain: true})
		return
	}
	e, err := a.of.answered(a.owner, a.Keys[i], a.haveOf(i), a.asked, ans, err)
	switch {
	case peer.Unreachable(err):
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
	if a.many != nil && a.many.haves != nil {
		return a.many.haves[i]
	}
	return a.have
}

func (a *ask) end(i int, e fetched, err error) {
	// Last, and also where a Cache of the user's panics: it must not end the goroutine that
	// reads the link, nor leave those waiting who asked.
	defer func() {
		if r := recover(); r != nil {
			a.of.panicked("the cache", a.Keys[i], r)
		}
		a.of.fetches.End(a.flights[i], e, err)
	}()
	if err == nil || e.Missing {
		a.of.keepCopy(a.Keys[i], e, a.asked, a.haveOf(i), a.flights[i])
	}
}

// goOn asks for a key alone, in a goroutine.
func (a *ask) goOn(s single) {
	if a.many == nil {
		go a.one(s)
		return
	}
	a.many.mu.Lock()
	defer a.many.mu.Unlock()
	a.many.rest = append(a.many.rest, s)
	if a.many.workers < mostAtOnce {
		a.many.workers++
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
		a.many.mu.Lock()
		if over = len(a.many.rest) == 0; over {
			a.many.workers--
			a.many.mu.Unlock()
			return
		}
		s := a.many.rest[0]
		a.many.rest = a.many.rest[1:]
		a.many.mu.Unlock()
		a.one(s)
	}
}

// one ends the flight of a key with what came of asking for it alone.
func (a *ask) one(s single) {
	g, key := a.of, a.Keys[s.i]
	g.fetches.Run(a.ctx, a.flights[s.i], s.crowded || g.fetches.CancelAbandoned, func(ctx context.Context, f *fetchFlight) (fetched, error) {
		if p := starterOf(a.owner); p != nil && s.plain {
			ask := func(ctx context.Context, q Query) (Answer, error) { return p.GetLarge(ctx, &q) }
			if e, err := g.askOne(ctx, a.owner, ask, key, f, a.haveOf(s.i)); !peer.Unreachable(err) {
				return e, err
			}
			if ctx.Err() != nil {
				return fetched{}, ctx.Err()
			}
		}
		return g.askInTurn(ctx, key, f, a.haveOf(s.i))
	})
}
