package httppeer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
)

// conn asks one peer: on its link if the peer knows the stream, otherwise by the plain way. It
// implements peer.Starter.
type conn struct {
	t     *Transport
	local peer.Local
	url   string
	link  *link // nil: the plain way alone

	large chan struct{} // holds one element for each large value that is asked for now

	breaker   breaker.Breaker
	keepalive keepalive
	trying    atomic.Bool // an attempt to reach the peer by the plain way is in progress
	calls     plainCalls
	prover    prover
	inUse     context.Context    // ends when the conn is closed
	release   context.CancelFunc // ends inUse
}

// newConn returns a conn of l to the peer at url.
func newConn(t *Transport, l peer.Local, url string) *conn {
	c := &conn{t: t, local: l, url: url, large: make(chan struct{}, t.cfg.LargeRequests)}
	c.prover.asker = rand.Uint64()
	c.inUse, c.release = context.WithCancel(context.Background())
	c.breaker = breaker.Breaker{Peer: url, Log: t.cfg.Log, Probe: c.tryAgain, Counts: l.Counts, Pace: t.cfg.Pace, Born: clock.Now()}
	c.keepalive = keepalive{detect: t.cfg.Detection, ask: c.signOfLife, onSilent: c.failedPlainly}
	if t.cfg.Streams {
		c.link = &link{conn: c}
	}
	return c
}

// Close implements peer.Conn.
func (c *conn) Close(ctx context.Context) {
	c.t.forget(c)
	c.breaker.End()
	c.release()
	if c.link != nil {
		c.link.close(ctx)
	}
}

// Wake implements peer.Conn.
func (c *conn) Wake() {
	if c.breaker.Refusal() == nil {
		return
	}
	c.breaker.Answered()
	c.breaker.Reset()
	if !c.plainly() {
		c.link.tryNow()
	}
}

// Replaced implements peer.Conn.
func (c *conn) Replaced(process uint32) {
	if c.link != nil {
		c.link.replaced(process)
	}
}

// Get implements peer.Conn.
func (c *conn) Get(ctx context.Context, q *peer.Query) (a peer.Answer, err error) {
	var answer error
	plain, err := c.onLink(ctx, func(l *stream.Link) (err error) {
		a, answer, err = l.Get(ctx, q)
		return err
	})
	switch {
	case err != nil:
		return peer.Answer{}, err
	case plain:
		return c.getPlain(ctx, q)
	case answer == peer.ErrLarge:
		return c.GetLarge(ctx, q)
	}
	return a, answer
}

// onLink calls ask with the link, and once more with a new link if the first turns out to be
// broken. It reports whether the peer is to be asked by the plain way instead. The error is ctx's
// or, if there was no answer, a *PeerError.
func (c *conn) onLink(ctx context.Context, ask func(*stream.Link) error) (plain bool, err error) {
	if c.link == nil {
		return true, nil
	}
	for try := 0; ; try++ {
		l, err := c.link.get(ctx)
		unlinked := err != nil
		if !unlinked {
			err = ask(l)
		}
		switch {
		case err == nil:
			return false, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, errNoStream), errors.Is(err, stream.ErrTooLarge), errors.Is(err, stream.ErrInvalid):
			return true, nil
		case unlinked, try > 0:
			return false, &peer.PeerError{Peer: c.url, Err: err}
		}
	}
}

// Connect implements peer.Starter.
func (c *conn) Connect(ctx context.Context) {
	if c.link != nil {
		c.link.get(ctx)
	}
}

// Start implements peer.Starter.
func (c *conn) Start(r *peer.Request) (n int, s peer.Sent, full bool) {
	if c.link == nil {
		return 0, s, false
	}
	l := c.link.current()
	if l == nil {
		return 0, s, false
	}
	if len(r.Keys) == 1 {
		r.Key = r.Keys[0]
		id, err := l.Ask(r.Waiter, &r.Query)
		if err != nil {
			return 0, s, errors.Is(err, stream.ErrFull)
		}
		return 1, peer.Sent{By: l, ID: id}, false
	}
	for n < len(r.Keys) {
		var digests []string
		if r.Digests != nil {
			digests = r.Digests[n:]
		}
		_, asked, err := l.AskBatch(r.Waiter, n, &r.Query, r.Keys[n:], digests)
		if err != nil {
			return n, s, errors.Is(err, stream.ErrFull)
		}
		n += asked
	}
	return n, s, false
}

// Full implements peer.Starter.
func (c *conn) Full() bool {
	if c.link == nil {
		return false
	}
	l := c.link.current()
	return l != nil && !l.HasRoom()
}

// Linked reports whether Start can ask now, as far as is known.
func (c *conn) Linked() bool {
	if c.link == nil {
		return false
	}
	l := c.link.current()
	return l != nil && l.Err() == nil && l.HasRoom()
}

// Change implements peer.Conn.
func (c *conn) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	body, err := peer.EncodeChange(ch)
	if err != nil {
		return peer.Changed{}, err
	}
	if ch.Question {
		return c.question(ctx, ch, body)
	}
	var changed peer.Changed
	var answer error
	plain := ch.Long() || ch.Apart
	if !plain {
		plain, err = c.onLink(ctx, func(l *stream.Link) (err error) {
			changed, answer, err = c.changeOn(ctx, l, body)
			return err
		})
	}
	switch {
	case err != nil && ctx.Err() == nil:
		return c.changeUnlinked(ctx, ch)
	case err != nil:
		return peer.Changed{}, err
	case plain:
		changed, err = c.changePlain(ctx, ch, body)
		if errors.Is(err, peer.ErrSilent) {
			// A network that is slow for a moment looks the same. A Get would go to the
			// next peer, but a change would fail: so it is sent once more.
			changed, err = c.changePlain(ctx, ch, body)
		}
		return changed, err
	}
	return changed, answer
}

// changeOn sends a change on l. answer is the error that the peer answered, err says that there
// was no answer.
func (c *conn) changeOn(ctx context.Context, l *stream.Link, body []byte) (changed peer.Changed, answer, err error) {
	response, err := l.Change(ctx, body)
	if err != nil {
		return peer.Changed{}, nil, err
	}
	return peer.DecodeChanged(response, c.url)
}

// question asks the peer about itself (Change.Question): on the link if there is one, unless the
// question wants a connection of its own, otherwise by the plain way.
func (c *conn) question(ctx context.Context, ch *peer.Change, body []byte) (peer.Changed, error) {
	if c.link != nil && !ch.Apart {
		if live := c.link.current(); live != nil {
			changed, answer, err := c.changeOn(ctx, live, body)
			if err == nil {
				return changed, answer
			}
			if ctx.Err() != nil {
				return peer.Changed{}, err
			}
		}
	}
	return c.callChange(ctx, c.t.cfg.handshakeTimeout(), body, ch.Trace)
}

// Stats returns the figures of the conn.
func (c *conn) Stats() peer.Stats {
	s := peer.Stats{Transport: "stream"}
	if c.plainly() {
		s.Transport = "plain"
	}
	all := c.calls.stats()
	s.Plain, s.PlainIn, s.PlainOut = all.Requests, all.BytesIn, all.BytesOut
	if c.link != nil {
		linked, opened := c.link.stats()
		all.Add(&linked)
		s.Opened = opened
	}
	s.Requests, s.Keys, s.Batches, s.Changes = all.Requests, all.Keys, all.Batches, all.Changes
	s.BytesIn, s.BytesOut, s.InFlight, s.Latency = all.BytesIn, all.BytesOut, all.InFlight, all.Latency
	state, opened := c.breaker.Stats()
	s.Failing, s.Trying, s.Failures = state != breaker.Closed, state == breaker.HalfOpen, opened
	return s
}
