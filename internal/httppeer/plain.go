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

// The plain way asks a peer by one HTTP request a key. It is for peers that have no stream,
// for values that are large, and for answers that may be too long for a frame.

// GetLarge implements peer.Starter. Values that are large are asked for a few at a time, or
// a GetMulti of many would open a connection and take memory for each at once. What a load
// waits for does not wait here: its turn might be held by one that waits for the load.
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

// getPlain asks for one key by a request of its own, unless the breaker is open, and waits
// for it as long as the peer gives signs of life.
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
		if clock.Now() >= until { // an answer: to have another peer load it as well would be no better
			return peer.Answer{}, fmt.Errorf("peer %s: %w: its server ends requests before they are answered: %w", c.url, context.DeadlineExceeded, err)
		}
	}
	if ctx.Err() == nil && !errors.Is(err, peer.ErrSilent) { // else it is judged already
		c.judge(err)
	}
	return a, err
}

// longestPause bounds how long a request waits that is sent again.
const longestPause = 200 * time.Millisecond

// endedEarly reports whether the server of a peer which is there has ended a request that
// the peer had not answered. That one goes on with the load: who asks again joins it.
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

// watched asks the peer by the plain way, for as long as it gives signs of life.
func (c *conn) watched(ctx context.Context, ask func(context.Context) error) error {
	watched, left := c.pulse.watch(ctx)
	defer left()
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
		err = c.call(ctx, timeout, http.MethodGet, path, nil, maxValue, decode)
	}
	if errors.Is(err, errRedirected) {
		var body []byte
		if body, err = proto.Marshal(&pb.GetRequest{
			Group: q.Group, Key: []byte(q.Key), LeaseNs: int64(q.Lease), Digest: []byte(q.Digest), CachedOnly: q.CachedOnly, Nested: uint32(q.Nested),
			Context: []byte(q.Context),
		}); err != nil {
			return peer.Answer{}, err
		}
		err = c.call(ctx, timeout, http.MethodPost, getPath, body, maxValue, decode)
	}
	if err != nil {
		return peer.Answer{}, err
	}
	a := peer.Answer{Item: peer.Item{TTL: time.Duration(resp.GetTtlNs())}, Noted: resp.GetNoted(), Unchanged: resp.GetUnchanged()}
	if c.t.cfg.Groupcache {
		a.Noted = true // there are no notes in such a fleet, and no promise
	}
	if e := resp.GetError(); e != nil {
		return a, peer.DecodeError(c.url, e)
	}
	a.Value = resp.GetValue()
	return a, nil
}

// changePlain sends one change by the plain way, and waits for the answer as long as the peer
// gives signs of life. wait is for how long the peer waits for others.
func (c *conn) changePlain(ctx context.Context, wait time.Duration, body []byte) (changed peer.Changed, err error) {
	err = c.watched(ctx, func(ctx context.Context) error {
		changed, err = c.callChange(ctx, clock.Sum(c.timeout(0), wait), body)
		return err
	})
	return changed, err
}

// changeUnlinked sends one change to a peer that cannot be asked on its link. One that is
// leaving takes no streams any more, but obeys this. One that is gone, or hangs, must not be
// waited for as if it told its holders.
func (c *conn) changeUnlinked(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	short := *ch
	short.Wait = min(short.Wait, c.t.cfg.Detection)
	body, err := peer.EncodeChange(&short)
	if err != nil {
		return peer.Changed{}, err
	}
	return c.callChange(ctx, c.t.cfg.handshakeTimeout()+short.Wait, body)
}

func (c *conn) callChange(ctx context.Context, timeout time.Duration, body []byte) (changed peer.Changed, err error) {
	var answer error
	err = c.call(ctx, timeout, http.MethodPost, changePath, body, 0, func(data []byte) (err error) {
		changed, answer, err = peer.DecodeChanged(data, c.url)
		return err
	})
	if err != nil {
		return peer.Changed{}, err
	}
	return changed, answer
}

// timeout returns for how long a request by the plain way may be answered that a peer which gives
// signs of life is waited for so long.
func (c *conn) timeout(patience time.Duration) time.Duration {
	switch {
	case c.t.cfg.PeerTimeout > 0:
		return c.t.cfg.PeerTimeout
	case patience <= 0:
		return changeTimeout
	}
	// It ends before the patience does: the caller may still ask another peer.
	return max(patience-peer.Patience/2, patience/2)
}

// changeTimeout is for how long a change by the plain way may be answered, beyond its wait for
// others.
const changeTimeout = 11 * time.Second
