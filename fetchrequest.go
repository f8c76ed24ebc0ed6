package peercache

import (
	"context"
	"sync"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// fetchRequest is a request to an owner, and the flights that its answers end.
type fetchRequest struct {
	peer.Request
	of      *Group
	ctx     context.Context // of the caller who asked; its values count, not its end
	owner   Peer
	asked   clock.Instant
	have    Entry // if there is one key: the copy that is there
	flights []*fetchFlight
	many    *many // nil if there is one key
}

// many is the part of a request for many keys. The owner must be asked for the keys of rest
// one by one, each by a goroutine that waits for the answer: there are mostAtOnce of them,
// however many keys there are.
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

// start makes the flights end. It asks the owner on its link and, where that is not possible,
// in goroutines.
func (r *fetchRequest) start() {
	n, crowded := 0, false
	if p := starterOf(r.owner); p != nil && len(r.Keys) > 0 {
		r.Query, r.Waiter, r.asked = r.of.query(r.ctx, "", r.have), r, clock.Now()
		if r.many != nil {
			for _, have := range r.many.haves {
				r.Digests = append(r.Digests, digestOf(have))
			}
		}
		var sent peer.Sent
		n, sent, crowded = p.Start(&r.Request)
		if n == 1 && len(r.Keys) == 1 && r.of.fetches.CancelAbandoned {
			r.of.fetches.OnAbandon(r.flights[0], func() {
				if sent.Cancel() {
					r.of.fetches.End(r.flights[0], fetched{}, context.Canceled)
				}
			})
		}
	}
	for i := n; i < len(r.Keys); i++ {
		r.goOn(single{i: i, crowded: crowded})
	}
}

// Answer implements peer.Waiter.
func (r *fetchRequest) Answer(i int, ans Answer, err error) {
	if err == peer.ErrLarge {
		r.goOn(single{i: i, plain: true})
		return
	}
	e, err := r.of.answered(r.owner, r.Keys[i], r.haveOf(i), r.asked, ans, err)
	switch {
	case peer.Unreachable(err):
		r.goOn(single{i: i})
	case err == nil && r.of.onEvict != nil:
		// The user's function may take its time with a value that leaves: it must not
		// run on the goroutine that reads the link.
		go r.end(i, e, nil)
	default:
		r.end(i, e, err)
	}
}

// haveOf returns the copy that is there of the i-th key.
func (r *fetchRequest) haveOf(i int) Entry {
	if r.many != nil && r.many.haves != nil {
		return r.many.haves[i]
	}
	return r.have
}

func (r *fetchRequest) end(i int, e fetched, err error) {
	// The flight ends last, and also if a Cache of the user's panics: that must neither end
	// the goroutine that reads the link nor keep callers waiting.
	defer func() {
		if p := recover(); p != nil {
			r.of.panicked("the cache", r.Keys[i], p)
		}
		r.of.fetches.End(r.flights[i], e, err)
	}()
	if err == nil || e.Missing {
		r.of.keepCopy(r.Keys[i], e, r.asked, r.haveOf(i), r.flights[i])
	}
}

// goOn asks for a key alone, in a goroutine.
func (r *fetchRequest) goOn(s single) {
	if r.many == nil {
		go r.one(s)
		return
	}
	r.many.mu.Lock()
	defer r.many.mu.Unlock()
	r.many.rest = append(r.many.rest, s)
	if r.many.workers < mostAtOnce {
		r.many.workers++
		go r.work()
	}
}

// work asks for the keys of the rest, one after the other.
func (r *fetchRequest) work() {
	over := false
	defer func() {
		if !over { // a Peer has ended the goroutine: another goes on
			go r.work()
		}
	}()
	for {
		r.many.mu.Lock()
		if over = len(r.many.rest) == 0; over {
			r.many.workers--
			r.many.mu.Unlock()
			return
		}
		s := r.many.rest[0]
		r.many.rest = r.many.rest[1:]
		r.many.mu.Unlock()
		r.one(s)
	}
}

// one asks for a key alone, and ends its flight with the result.
func (r *fetchRequest) one(s single) {
	g, key := r.of, r.Keys[s.i]
	g.fetches.Run(r.ctx, r.flights[s.i], s.crowded || g.fetches.CancelAbandoned, func(ctx context.Context, f *fetchFlight) (fetched, error) {
		if p := starterOf(r.owner); p != nil && s.plain {
			get := func(ctx context.Context, q Query) (Answer, error) { return p.GetLarge(ctx, &q) }
			if e, err := g.askOne(ctx, r.owner, get, key, f, r.haveOf(s.i)); !peer.Unreachable(err) {
				return e, err
			}
			if ctx.Err() != nil {
				return fetched{}, ctx.Err()
			}
		}
		return g.askInTurn(ctx, key, f, r.haveOf(s.i))
	})
}
