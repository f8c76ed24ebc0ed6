package peercache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// httpPeer is a peer that is spoken to on a stream, where it knows that, and by
// the plain protocol for the rest.
type httpPeer struct {
	pool *HTTPPool
	url  string
	link *link // nil: the plain way alone

	large chan struct{} // has one for each large value that is asked for now

	breaker  breaker
	pulse    pulse
	trying   atomic.Bool // an attempt to reach the peer by the plain way is in progress
	calls    plainCalls
	answerer answerer
	inView   context.Context    // ends when the peer has no part in the view any more
	depart   context.CancelFunc // ends inView

	disagreements atomic.Int64 // times it was heard to have another view
	untold        atomic.Int64 // an Instant: see tellDeparted; 0: it was told of all changes since it left
}

func newHTTPPeer(p *HTTPPool, url string) *httpPeer {
	h := newPlainPeer(p, url)
	if p.streams {
		h.link = &link{pool: p, url: url, peer: h, breaker: &h.breaker}
	}
	return h
}

// newPlainPeer makes one that is spoken to by the plain way alone.
func newPlainPeer(p *HTTPPool, url string) *httpPeer {
	h := &httpPeer{pool: p, url: url, large: make(chan struct{}, p.largeAtOnce)}
	h.inView, h.depart = context.WithCancel(context.Background())
	h.breaker = breaker{peer: url, log: p.log, probe: h.tryAgain, counts: h.counts, pace: &p.pace, born: clock.Now()}
	h.pulse = pulse{detect: p.detectionTime(), ask: h.signOfLife, silent: h.failedPlainly}
	return h
}

// counts reports whether the peer is in the view, and this process not about to end.
func (h *httpPeer) counts() bool {
	v := h.pool.view.Load()
	return v != nil && v.has(h.url) == h && !h.pool.leaving.Load()
}

// newToldPeer makes one that is told of changes, by the plain way, and asked for nothing:
// so it has no use for its breaker, which would try for ever to reach one that hangs.
func newToldPeer(p *HTTPPool, url string) *httpPeer {
	h := newPlainPeer(p, url)
	h.breaker.end()
	h.depart()
	return h
}

// part ends the link when what is in flight on it is answered, or ctx has ended. The peer
// can still be asked by the plain way.
func (h *httpPeer) part(ctx context.Context) {
	h.breaker.end()
	h.depart()
	if h.link != nil {
		h.link.close(ctx)
	}
}

// Name implements Peer.
func (h *httpPeer) Name() string { return h.url }

// Get implements Peer.
func (h *httpPeer) Get(ctx context.Context, q Query) (a Answer, err error) {
	if h.pool.closed.Load() { // it is alone now
		return Answer{}, &PeerError{Peer: h.url, Err: ErrClosed}
	}
	var answer error
	large := false
	plain, err := h.onLink(ctx, func(l *stream.Link) (plain bool, err error) {
		said, err := l.Get(ctx, streamQuery(&q))
		if err == nil && !said.Plain {
			_, maxValue := h.limits(q.Group)
			a, answer = h.answer(said, maxValue)
		}
		large = said.Plain
		return large, err
	})
	switch {
	case err != nil:
		return Answer{}, err
	case large:
		return h.getLarge(ctx, &q)
	case plain:
		return h.getPlain(ctx, &q)
	}
	return a, answer
}

func streamQuery(q *Query) *stream.Query {
	return &stream.Query{Group: q.Group, Key: q.Key, Lease: q.Lease, Digest: q.Digest, CachedOnly: q.CachedOnly, Nested: uint32(q.Nested), Context: q.Context}
}

// onLink asks on the link, and once more on another one if the first turns out to
// be broken. Its error is ctx's or, when there was no answer, a *PeerError. It
// reports whether to ask by the plain way, as ask may.
func (h *httpPeer) onLink(ctx context.Context, ask func(*stream.Link) (plain bool, err error)) (plain bool, err error) {
	if h.link == nil {
		return true, nil
	}
	for try := 0; ; try++ {
		l, err := h.link.get(ctx)
		unlinked := err != nil
		if !unlinked {
			plain, err = ask(l)
		}
		switch {
		case err == nil:
			return plain, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, errNoStream), errors.Is(err, stream.ErrTooLarge), errors.Is(err, stream.ErrInvalid):
			return true, nil
		case unlinked, try > 0:
			return false, &PeerError{Peer: h.url, Err: err}
		}
	}
}

// connect implements linkedPeer.
func (h *httpPeer) connect(ctx context.Context) {
	if h.link != nil && !h.pool.closed.Load() {
		h.link.get(ctx)
	}
}

// start implements linkedPeer.
func (h *httpPeer) start(r *request) (n int, s sent, crowded bool) {
	if h.link == nil || h.pool.closed.Load() {
		return 0, s, false
	}
	l := h.link.ready()
	if l == nil {
		return 0, s, false
	}
	r.peer = h
	_, maxValue := h.limits(r.group)
	r.maxValue = int32(maxValue) // at most mostValueBytes
	q := r.query(0)
	query := streamQuery(&q)
	query.Limit = r.waiter.limit()
	if len(r.keys) == 1 {
		id, err := l.Ask(r, query)
		if err != nil {
			return 0, s, errors.Is(err, stream.ErrFull)
		}
		return 1, sent{l, id}, false
	}
	query.Digest = ""
	digests := r.waiter.digests()
	for n < len(r.keys) {
		if digests != nil {
			query.Digests = digests[n:]
		}
		_, asked, err := l.AskBatch(r, n, query, r.keys[n:])
		if err != nil {
			return n, s, errors.Is(err, stream.ErrFull)
		}
		n += asked
	}
	return n, s, false
}

// crowded implements linkedPeer.
func (h *httpPeer) crowded() bool {
	if h.link == nil {
		return false
	}
	l := h.link.ready()
	return l != nil && !l.HasRoom()
}

// sent is a request for one key that was sent on a link.
type sent struct {
	link *stream.Link
	id   stream.ID
}

// cancel withdraws the request. It reports whether there was no answer so far, and
// then there will be none.
func (s sent) cancel() bool { return s.link.Cancel(s.id) }

// Answer implements stream.Waiter.
func (r *request) Answer(i int, said stream.Answer, err error) {
	switch {
	case errors.Is(err, stream.ErrOverdue):
		r.waiter.answer(i, Answer{}, &peer.UnansweredError{r.peer.url, r.waiter.limit()})
	case err != nil:
		r.waiter.answer(i, Answer{}, &PeerError{Peer: r.peer.url, Err: err})
	case said.Plain:
		r.waiter.plain(i)
	default:
		a, err := r.peer.answer(said, int(r.maxValue))
		r.waiter.answer(i, a, err)
	}
}

// answer returns what a peer said on a stream.
func (h *httpPeer) answer(said stream.Answer, maxValue int) (Answer, error) {
	a := Answer{Item{TTL: said.TTL}, said.Noted, said.Unchanged}
	if said.Err != nil {
		return a, errorOfStream(h.url, said.Err)
	}
	if len(said.Value) > maxValue {
		return Answer{}, h.tooLarge(len(said.Value), maxValue)
	}
	a.Value = ByteView{said.Value}.bytes()
	return a, nil
}

func (h *httpPeer) tooLarge(size, most int) error {
	return fmt.Errorf("%w: peer %s answered %d bytes, want at most %d", ErrValueSize, h.url, size, most)
}

// Change implements Peer.
func (h *httpPeer) Change(ctx context.Context, c Change) ([]Holder, error) {
	held, _, err := h.tell(ctx, c)
	return held, err
}

// tell does what Change does, and also returns whether the peer is leaving.
func (h *httpPeer) tell(ctx context.Context, c Change) (held []Holder, leaving bool, err error) {
	req := &pb.ChangeRequest{Group: c.Group, All: c.All, Holders: c.Holders, WaitNs: int64(c.Wait), Announced: c.Announced}
	if c.Item != nil {
		req.Item = &pb.Item{Value: c.Item.Value, TtlNs: int64(c.Item.TTL)}
	}
	for keys := c.Keys; ; {
		req.Keys = nil
		for size := 0; len(keys) > 0 && (size == 0 || size+len(keys[0]) <= peer.MaxChangeBytes); keys = keys[1:] {
			req.Keys = append(req.Keys, []byte(keys[0]))
			size += len(keys[0]) + 8
		}
		resp, err := h.change(ctx, req)
		if err != nil {
			return held, false, err
		}
		for _, holder := range resp.GetPending() {
			held = append(held, h.holder(holder))
		}
		if len(keys) == 0 {
			return held, resp.GetLeaving(), nil
		}
	}
}

// change sends one request.
func (h *httpPeer) change(ctx context.Context, req *pb.ChangeRequest) (*pb.ChangeResponse, error) {
	s := h.pool.say(h.url)
	req.View, req.Leaving, req.Offering, req.Absent = s.view, s.leaving, s.offering, s.absent
	req.Departure, req.Process, req.Turn = s.departure, s.process, s.number
	req.Token, req.Proof = h.pool.token(h.url), h.pool.proofFor(h.url)
	body, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	resp := new(pb.ChangeResponse)
	plain := len(req.Since) > 0 || req.Members // the answer may be too long for a frame
	if !plain {
		plain, err = h.onLink(ctx, func(l *stream.Link) (bool, error) {
			said, err := l.Change(ctx, body)
			if err == nil {
				err = peer.DecodeChanged([]byte(said), resp)
			}
			return false, err
		})
	}
	switch {
	case err != nil && ctx.Err() == nil:
		err = h.changeUnlinked(ctx, req, resp)
	case plain:
		err = h.changePlain(ctx, req, resp)
		if errors.Is(err, peer.ErrSilent) {
			// A network that is slow for a moment looks like that too. A Get goes to the
			// next peer then, but a change would have failed.
			err = h.changePlain(ctx, req, resp)
		}
	}
	if err != nil {
		return nil, err
	}
	if s.leaving && !resp.GetUnheard() {
		h.pool.witness(h.url)
	}
	h.pool.heard(h.url, saidInAnswer(resp))
	h.pool.watch.saidGroups(h.url, resp.GetGroups())
	if e := resp.GetError(); e != nil {
		return nil, peer.DecodeError(h.url, e)
	}
	return resp, nil
}

// limits returns how long a request for the group may take, and how large a
// value may come back.
func (h *httpPeer) limits(group string) (timeout time.Duration, maxValue int) {
	timeout, maxValue = DefaultLoadTimeout, DefaultMaxValueBytes
	if g := h.pool.group(group); g != nil {
		timeout, maxValue = g.loadTimeout, g.maxValue
	}
	if h.pool.peerTimeout > 0 {
		return h.pool.peerTimeout, maxValue
	}
	return clock.Sum(timeout, time.Second), maxValue
}
