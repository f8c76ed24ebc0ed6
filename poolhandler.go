package peercache

import (
	"context"
	"fmt"

	"github.com/peercache/peercache/peer"
)

// handler answers the requests of one peer for the groups of a pool.
type handler struct {
	sender     // the peer that asks
	due    due // the keys to refresh of the batch whose hits are being served
}

// Hit implements peer.Handler.
func (h *handler) Hit(q *peer.Query) (a Answer, err error) {
	g := h.pool.group(q.Group)
	if g == nil || h.pool.cluster.Closed() || !h.open && h.forbids(g.name, OpGet) != nil {
		return Answer{}, peer.ErrNotCached // Load says so
	}
	defer func() {
		if r := recover(); r != nil { // of a Cache of the user's; Load will say so
			a, err = Answer{}, peer.ErrNotCached
		}
	}()
	q.From = h.from
	if !q.More && h.due.keys == nil {
		s, ok := g.serveHit(q, nil)
		return h.answer(g, &s, ok)
	}
	s, ok := g.serveHit(q, &h.due)
	if !q.More && len(h.due.keys) > 0 {
		g.startDue(g.begunBy(q), &h.due)
	}
	return h.answer(g, &s, ok)
}

// Load implements peer.Handler.
func (h *handler) Load(ctx context.Context, q *peer.Query) (a Answer, err error) {
	g, done, err := h.enter(q)
	if err != nil {
		return Answer{}, err
	}
	defer done()
	defer func() {
		if r := recover(); r != nil { // of a Cache of the user's
			g.panicked("the cache", q.Key, r)
			a, err = Answer{}, h.told(g, fmt.Errorf("panic: %v", r))
		}
	}()
	s := g.serveLoad(ctx, q)
	return h.answer(g, &s, true)
}

// LoadBatch implements peer.Handler.
func (h *handler) LoadBatch(ctx context.Context, q *peer.Query, keys []string, answer func(int, Answer, error)) {
	g, done, err := h.enter(q)
	if err != nil {
		for i := range keys {
			answer(i, Answer{}, err)
		}
		return
	}
	defer done()
	defer func() {
		if r := recover(); r != nil { // of a Cache of the user's; those not answered are errors
			g.panicked("the cache", keys[0], r)
		}
	}()
	g.serveLoads(ctx, q, keys, func(i int, s served) {
		a, err := h.answer(g, &s, true)
		answer(i, a, err)
	})
}

// Change implements peer.Handler. It is obeyed after Shutdown too, because the groups of this
// process are still used then.
func (h *handler) Change(ctx context.Context, c *Change) (peer.Changed, error) {
	if err := h.authorizeChange(c); err != nil {
		return h.pool.cluster.Refused(h.from), err
	}
	if c.All && h.pool.group(c.Group) != nil {
		auditClear(h.pool.cluster, h.from, c.Group)
	}
	return h.pool.cluster.Answer(ctx, h.from, c)
}

// enter returns the group that a query is for. Shutdown waits until done is called.
func (h *handler) enter(q *peer.Query) (g *Group, done func(), err error) {
	p := h.pool
	if err := h.authorize(q.Group, OpGet); err != nil {
		return nil, nil, err
	}
	if !p.serving.TryAcquire(1) {
		return nil, nil, peer.RefuseClosed(p.cluster.Self())
	}
	done = func() { p.serving.Release(1) }
	// Look only now: a Shutdown that began before is seen, and one that begins after
	// waits for the unit.
	if p.cluster.Closed() {
		done()
		return nil, nil, peer.RefuseClosed(p.cluster.Self())
	}
	if g = p.group(q.Group); g == nil {
		done()
		p.cluster.AskedForMissing(h.from, q.Group)
		return nil, nil, peer.RefuseGroup(q.Group)
	}
	q.From = h.from
	return g, done, nil
}

// answer returns what a peer is told of s. ok says that there is an answer.
func (h *handler) answer(g *Group, s *served, ok bool) (Answer, error) {
	switch {
	case !ok:
		return Answer{}, peer.ErrNotCached
	case s.err != nil:
		return Answer{Item: Item{TTL: s.ttl}, Noted: s.recorded}, h.told(g, s.err)
	}
	return Answer{Item: Item{Value: s.view.bytes(), TTL: s.ttl}, Noted: s.recorded, Unchanged: s.unchanged}, nil
}

// untold stands for the text of an error that somebody asked for who is no peer.
const untold = "the text of the error is for peers of the view"

// told returns the error of a load as the asker is told it: with its text if the asker is a peer.
// Peers of golang/groupcache do not say who they are.
func (h *handler) told(g *Group, err error) error {
	switch {
	case err == peer.ErrNotCached:
		return err
	case !h.pool.stateless && !h.pool.cluster.IsPeer(h.from):
		return &peer.Told{Text: untold, Err: err}
	case g.errorText != nil:
		return &peer.Told{Text: g.textOfError(err), Err: err}
	}
	return err
}

// textOfError returns what peers are told of err. A function of the user's that panics tells
// them nothing.
func (g *Group) textOfError(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "the function of WithErrorText panicked"
		}
	}()
	return g.errorText(err)
}

// largestValue is the largest that a group of the pool takes.
func (p *Pool) largestValue() (n int64) {
	for _, g := range *p.groups.Load() {
		n = max(n, int64(g.maxValue))
	}
	return n
}

// group returns the group of a name, or nil.
func (p *Pool) group(name string) *Group { return (*p.groups.Load())[name] }
