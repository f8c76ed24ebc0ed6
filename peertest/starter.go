package peertest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/peercache/peercache/peer"
)

// starter is a conn that can be asked without a goroutine of the one who asks.
type starter struct {
	*conn
	ids atomic.Uint64
}

// Connect implements peer.Starter.
func (*starter) Connect(context.Context) {}

// Full implements peer.Starter.
func (*starter) Full() bool { return false }

// GetLarge implements peer.Starter.
func (s *starter) GetLarge(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	return s.conn.Get(ctx, q)
}

// Get implements peer.Conn.
func (s *starter) Get(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	return s.conn.Get(ctx, q)
}

// Start implements peer.Starter.
func (s *starter) Start(r *peer.Request) (n int, sent peer.Sent, full bool) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed || len(r.Keys) == 0 || !s.network.begin() {
		return 0, sent, false
	}
	ctx, end := context.WithCancel(context.Background())
	q := &inFlight{ends: end, waiter: r.Waiter, over: make([]atomic.Bool, len(r.Keys))}
	if len(r.Keys) == 1 {
		sent = peer.Sent{By: q, ID: s.ids.Add(1)}
	}
	ask, name := s.serveAll(r, q), s.name
	timeout := r.Timeout
	go func() {
		defer s.network.running.Done()
		defer end()
		if timeout > 0 {
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(ctx, timeout)
			defer stop()
		}
		err := s.exchange(ctx, ask)
		switch {
		case err == nil:
			err = peer.Received(name, errNoAnswer)
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			err = &peer.UnansweredError{Peer: name, Within: timeout}
		}
		for i := range q.over {
			q.answer(i, peer.Answer{}, err)
		}
	}()
	return len(r.Keys), sent, false
}

// serveAll returns what has a Handler answer a request, for one key or many.
func (s *starter) serveAll(r *peer.Request, q *inFlight) serving {
	one, keys, most := carried(&r.Query), make([]string, len(r.Keys)), most(&r.Query)
	for i, key := range r.Keys {
		keys[i] = strings.Clone(key)
	}
	digests := r.Digests // of one key, it stands in the query
	return func(ctx context.Context, h peer.Handler, reply func(func())) {
		answer := func(i int, a peer.Answer, err error) {
			if len(a.Value) > s.network.large && err == nil {
				a, err = peer.Answer{}, peer.ErrLarge
			} else {
				a, err = received(s.name, a, err, most)
			}
			reply(func() { q.answer(i, a, err) })
		}
		var misses []string
		var places []int
		for i, key := range keys {
			ask := one
			ask.Key, ask.More = key, i+1 < len(keys)
			if i < len(digests) {
				ask.Digest = digests[i]
			}
			if a, err := h.Hit(&ask); err != peer.ErrNotCached {
				answer(i, a, err)
				continue
			}
			misses, places = append(misses, key), append(places, i)
		}
		switch {
		case len(misses) == 0:
		case len(keys) == 1:
			ask := one
			ask.Key = keys[0]
			a, err := h.Load(ctx, &ask)
			answer(0, a, err)
		default:
			ask := one
			h.LoadBatch(ctx, &ask, misses, func(i int, a peer.Answer, err error) { answer(places[i], a, err) })
		}
	}
}

// inFlight is a request that has not all its answers.
type inFlight struct {
	ends   context.CancelFunc
	waiter peer.Waiter
	over   []atomic.Bool // true: the key has its answer, or wants none any more
}

// answer gives the waiter the answer for a key, if it has none.
func (q *inFlight) answer(i int, a peer.Answer, err error) {
	if !q.over[i].Swap(true) {
		q.waiter.Answer(i, a, err)
	}
}

// Cancel implements what peer.Sent needs.
func (q *inFlight) Cancel(uint64) bool {
	first := !q.over[0].Swap(true)
	q.ends()
	return first
}
