package httppeer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// The plain way asks a peer by one HTTP request a key. It is for peers that have no stream, for
// large values, and for answers that may be too long for a frame.

// GetLarge implements peer.Starter. It asks for a few large values at a time: a GetMulti of many
// would otherwise open a connection and take memory for each of them at once. A query from inside a
// load does not wait for its turn, which might be held by a query that waits for that load.
func (c *conn) GetLarge(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	if q.Nested == peer.TopLevel {
		select {
		case c.large <- struct{}{}:
			defer func() { <-c.large }()
		case <-ctx.Done():
			return peer.Answer{}, ctx.Err()
		}
	}
	return c.getPlain(ctx, q)
}

// getPlain asks for one key by a plain request, unless the breaker is open. It waits for the answer
// as long as the peer gives signs of life, at most for c.timeout.
func (c *conn) getPlain(ctx context.Context, q *peer.Query) (a peer.Answer, err error) {
	if err := c.breaker.Refusal(); err != nil {
		return peer.Answer{}, &peer.PeerError{Peer: c.url, Err: err}
	}
	timeout := c.timeout(q.Timeout)
	for until, wait := clock.Now().Plus(timeout), breaker.FirstBackoff; ; wait = min(2*wait, longestPause) {
		err = c.watched(ctx, func(ctx context.Context) error {
			a, err = c.exchangePlain(ctx, q)
			return err
		})
		if q.CachedOnly || !c.endedEarly(ctx, err) {
			break
		}
		if clock.Pause(ctx, wait); ctx.Err() != nil {
			return peer.Answer{}, ctx.Err()
		}
		if clock.Now() >= until { // no PeerError: another peer must not load the key as well
			return peer.Answer{}, fmt.Errorf("peer %s: %w: its server ends requests before they are answered: %w", c.url, context.DeadlineExceeded, err)
		}
	}
	switch {
	case ctx.Err() != nil && peer.Unreachable(err): // that the caller's context ends is no failure of the peer
		return peer.Answer{}, ctx.Err()
	case ctx.Err() == nil && !errors.Is(err, peer.ErrSilent): // onSilent has judged silence already
		c.judge(err)
	}
	return a, err
}

// longestPause bounds the pause before a request is sent again.
const longestPause = 200 * time.Millisecond

// endedEarly reports whether the server of a live peer has ended a request before the peer answered
// it. The peer goes on with the load, and a request that is sent again joins it.
func (c *conn) endedEarly(ctx context.Context, err error) bool {
	if ctx.Err() != nil || !errors.Is(err, errLost) && !errors.Is(err, peer.ErrGateway) || peer.Gone(err) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, c.t.cfg.Detection)
	defer cancel()
	if c.signOfLife(ctx) != nil {
		return false
	}
	c.local.Degraded("the server of a peer ends requests before they are answered: want its WriteTimeout, or http.TimeoutHandler, longer than a load, and a proxy's timeouts too", err)
	return true
}

// watched calls ask with a context that ends when the peer falls silent. Then the error is a
// *PeerError that wraps ErrSilent.
func (c *conn) watched(ctx context.Context, ask func(context.Context) error) error {
	watched, done := c.keepalive.watch(ctx)
	defer done()
	err := ask(watched)
	if ctx.Err() == nil && watched.Err() != nil {
		return &peer.PeerError{Peer: c.url, Err: context.Cause(watched)}
	}
	return err
}

// exchangePlain sends the request for one key, and reads the answer.
func (c *conn) exchangePlain(ctx context.Context, q *peer.Query) (peer.Answer, error) {
	timeout, maxValue := c.timeout(q.Timeout), cmp.Or(q.MaxBytes, peer.MaxValueBytes)
	var resp pb.GetResponse
	decode := func(data []byte) error { return proto.Unmarshal(data, &resp) }
	err := errRedirected
	if c.t.cfg.Groupcache { // golang/groupcache knows only paths
		path := escapeSegment(q.Group) + "/" + escapeSegment(q.Key)
		err = c.call(ctx, timeout, http.MethodGet, path, nil, q.Trace, maxValue, decode)
	}
	if errors.Is(err, errRedirected) {
		var body []byte
		if body, err = proto.Marshal(&pb.GetRequest{
			Group: q.Group, Key: []byte(q.Key), LeaseNs: int64(q.Lease), Digest: []byte(q.Digest), CachedOnly: q.CachedOnly, Nested: uint32(q.Nested),
			Context: []byte(q.Context),
		}); err != nil {
			return peer.Answer{}, err
		}
		err = c.call(ctx, timeout, http.MethodPost, getPath, body, q.Trace, maxValue, decode)
	}
	if err != nil {
		return peer.Answer{}, err
	}
	a := peer.Answer{Item: peer.Item{TTL: time.Duration(resp.GetTtlNs())}, Noted: resp.GetNoted(), Unchanged: resp.GetUnchanged()}
	if c.t.cfg.Groupcache {
		a.Noted = true // such a peer records no leases, and the caller expects none
	}
	if e := resp.GetError(); e != nil {
		return a, peer.DecodeError(c.url, e)
	}
	a.Value = resp.GetValue()
	return a, nil
}

// changePlain sends one change by the plain way, and waits for the answer as long as the peer gives
// signs of life. body is ch, encoded.
func (c *conn) changePlain(ctx context.Context, ch *peer.Change, body []byte) (changed peer.Changed, err error) {
	err = c.watched(ctx, func(ctx context.Context) error {
		changed, err = c.callChange(ctx, clock.Sum(c.timeout(0), ch.Wait), body, ch.Trace)
		return err
	})
	return changed, err
}

// changeUnlinked sends one change to a peer that cannot be asked on its link. A peer that is
// leaving accepts no streams any more, but still obeys plain changes. A peer that is gone, or
// hangs, must not be waited for as long as one that tells its holders.
func (c *conn) changeUnlinked(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	short := *ch
	short.Wait = min(short.Wait, c.t.cfg.Detection)
	body, err := peer.EncodeChange(&short)
	if err != nil {
		return peer.Changed{}, err
	}
	return c.callChange(ctx, c.t.cfg.handshakeTimeout()+short.Wait, body, ch.Trace)
}

// callChange sends one change, which is encoded in body, and decodes the answer.
func (c *conn) callChange(ctx context.Context, timeout time.Duration, body []byte, trace string) (changed peer.Changed, err error) {
	var answer error
	err = c.call(ctx, timeout, http.MethodPost, changePath, body, trace, 0, func(data []byte) (err error) {
		changed, answer, err = peer.DecodeChanged(data, c.url)
		return err
	})
	if err != nil {
		return peer.Changed{}, err
	}
	return changed, answer
}

// timeout returns how long a plain request may take. patience is how long the caller waits for a
// peer that gives signs of life. Zero means that the caller does not say.
func (c *conn) timeout(patience time.Duration) time.Duration {
	switch {
	case c.t.cfg.PeerTimeout > 0:
		return c.t.cfg.PeerTimeout
	case patience <= 0:
		return changeTimeout
	}
	// The request ends before patience does, so that the caller can still ask another peer.
	return max(patience-peer.Patience/2, patience/2)
}

// changeTimeout is how long a plain change may take, beyond the time that the peer waits for
// others.
const changeTimeout = 11 * time.Second
