package httppeer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
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
	switch {
	case ctx.Err() != nil && peer.Unreachable(err): // the end of who asks is no failure of the peer
		return peer.Answer{}, ctx.Err()
	case ctx.Err() == nil && !errors.Is(err, peer.ErrSilent): // else it is judged already
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

// errRedirected says that a mux on the way takes the path of a request for
// another one. The key has to go in the body then.
var errRedirected = errors.New("redirected")

// escapeSegment puts s into a form in which a URL's path has it as one segment,
// which no mux that looks at the escaped path takes for something else.
func escapeSegment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
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

// errPeerBusy says that a peer has no room for a request: see WithRequestMemory. It is there,
// so that its breaker stays closed.
var errPeerBusy = errors.New("the peer has no room for the request")

const (
	// busyTries is how often a peer that is busy is asked.
	busyTries = 5
	// busyPause is the longest pause before it is asked again, and before the n-th time n
	// times as long.
	busyPause = 100 * time.Millisecond
)

// call does what callOnce does, and again for a while if the peer has no room for the request.
func (c *conn) call(ctx context.Context, timeout time.Duration, method, path string, body []byte, maxValue int, decode func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for try := 1; ; try++ {
		err := c.callOnce(ctx, method, path, body, maxValue, decode)
		if !errors.Is(err, errPeerBusy) || try == busyTries {
			return err
		}
		clock.Pause(ctx, clock.Jitter(busyPause*time.Duration(try)))
		if ctx.Err() != nil {
			return err
		}
	}
}

// callOnce sends one request, and has decode decode the response, which may hold a value of
// maxValue bytes. An error of the transport, or a response that is not the protocol's, is a
// *PeerError.
func (c *conn) callOnce(ctx context.Context, method, path string, body []byte, maxValue int, decode func([]byte) error) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+c.t.cfg.BasePath+path, bytes.NewReader(body))
	if err != nil {
		return &peer.PeerError{Peer: c.url, Err: err}
	}
	address(req.Header, c.local.Identity(), c.url)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", contentType)
		// Not sent, but it allows the transport to try again when the peer
		// has closed an idle connection.
		req.Header["Idempotency-Key"] = nil
	}
	asked := clock.Now()
	received := 0
	c.calls.begin(path, len(body))
	defer func() { c.calls.end(received, time.Duration(clock.Now()-asked)) }()
	httpResp, err := c.t.cfg.RoundTripper.RoundTrip(req)
	if err != nil {
		return &peer.PeerError{Peer: c.url, Err: c.noResponse(ctx, err)}
	}
	defer httpResp.Body.Close()
	if err := c.checkAnswerer(httpResp, asked); err != nil {
		return &peer.PeerError{Peer: c.url, Err: err}
	}
	c.pulse.beat()
	httpResp.Body = beatingBody{httpResp.Body, &c.pulse}
	data, err := readBody(httpResp, int64(maxValue)+peer.MaxOverhead)
	received = len(data)
	if errors.Is(err, errTooLong) && maxValue > 0 { // an answer, and asking again would not make it smaller
		return fmt.Errorf("%w: peer %s: %w, with a value of at most %d", peer.ErrValueSize, c.url, err, maxValue)
	}
	if err != nil {
		return &peer.PeerError{Peer: c.url, Err: lost(ctx, err)}
	}
	if err := c.checkResponse(httpResp, data); err != nil {
		return err
	}
	if err := decode(data); err != nil {
		return &peer.PeerError{Peer: c.url, Err: fmt.Errorf("%w: it is no protobuf: %w", peer.ErrNotAPeer, err)}
	}
	return nil
}

// mostTrusted is the memory that is set aside for a response by what its header
// says, in bytes.
const mostTrusted = 1 << 20

// errTooLong says that a response is longer than its reader takes.
var errTooLong = errors.New("the response is too long")

// readBody reads the body of a response of at most limit bytes.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", errTooLong, resp.ContentLength, limit)
	}
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		// MinRead, or ReadFrom grows it again. No more than mostTrusted for what
		// is only announced: a peer may announce and send nothing.
		buf.Grow(int(min(resp.ContentLength, mostTrusted)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
	}
	return buf.Bytes(), err
}

// checkResponse returns an error if a response is not one of the protocol's
// messages.
func (c *conn) checkResponse(resp *http.Response, body []byte) error {
	if resp.Header.Get("Content-Type") == contentType {
		return nil // also with an error's status: the message says which
	}
	if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get(peerHeader) != "" {
		return &peer.PeerError{Peer: c.url, Err: errPeerBusy}
	}
	text := strings.TrimSpace(string(body[:min(len(body), 1024)]))
	if c.t.cfg.Groupcache && resp.StatusCode == http.StatusInternalServerError {
		// So golang/groupcache sends the error of a getter.
		return &peer.RemoteError{Peer: c.url, Message: text}
	}
	if resp.StatusCode/100 == 3 {
		return &peer.PeerError{Peer: c.url, Err: fmt.Errorf("%w: HTTP status %s", errRedirected, statusText(resp))}
	}
	err := statusError(resp, text)
	if resp.StatusCode/100 == 2 || fromGateway(resp.StatusCode) {
		err = fmt.Errorf("%w: %w", peer.ErrNotAPeer, err)
	}
	return &peer.PeerError{Peer: c.url, Err: err}
}
