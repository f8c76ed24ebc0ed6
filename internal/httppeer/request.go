package httppeer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
)

// newRequest returns a request to the peer for a path below its base path. The headers say who
// asks, who is asked, and that no browser asks.
func (c *conn) newRequest(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+c.t.cfg.BasePath+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	c.t.identities.set(req.Header, c.local.Identity())
	req.Header.Set(toHeader, c.url)
	req.Header[peerOnlyHeader] = peerOnly
	return req, nil
}

// signOfLife asks the peer for any response: to a GET of the base path, which golang/groupcache
// answers too, if only with an error. It returns nil if the peer itself responded, and not
// something else in its place.
func (c *conn) signOfLife(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.t.cfg.handshakeTimeout())
	defer cancel()
	req, err := c.newRequest(ctx, http.MethodGet, "", nil)
	if err != nil {
		return err
	}
	asked := clock.Now()
	resp, err := c.t.signs.RoundTrip(req)
	if err != nil {
		closeIdle(c.t.signs) // a firewall may have forgotten the connection: it must not be used again
		return c.noResponse(ctx, err)
	}
	defer resp.Body.Close()
	if err := c.checkAnswerer(resp, asked); err != nil {
		return err
	}
	io.CopyN(io.Discard, resp.Body, peer.MaxOverhead) // so that the connection can be used again
	if fromGateway(resp.StatusCode) {
		return fmt.Errorf("HTTP status %s", statusText(resp))
	}
	return nil
}

// Ping implements peer.Conn.
func (c *conn) Ping(ctx context.Context) (peer.Identity, error) {
	req, err := c.newRequest(ctx, http.MethodGet, "", nil)
	if err != nil {
		return peer.Identity{}, err
	}
	resp, err := c.t.pings.RoundTrip(req)
	if err != nil {
		return peer.Identity{}, connectionError(ctx, err)
	}
	defer resp.Body.Close()
	who := identityOf(resp.Header)
	switch {
	case who.Name == "":
		return who, foreign(resp)
	case resp.StatusCode == http.StatusForbidden:
		return who, unauthenticated(resp)
	}
	return who, nil
}

// errPeerBusy says that the peer has no room for a request (peercache.WithRequestMemory). The peer
// is alive, so its breaker stays closed.
var errPeerBusy = errors.New("the peer has no room for the request")

const (
	// busyTries is how often a busy peer is asked.
	busyTries = 5
	// busyPause is the longest pause before the second try. The pause before the n-th further
	// try is up to n times as long.
	busyPause = 100 * time.Millisecond
)

// call sends a plain request, as callOnce does, and sends it again for a while if the peer is
// busy.
func (c *conn) call(ctx context.Context, timeout time.Duration, method, path string, body []byte, trace string, maxValue int, decode func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for try := 1; ; try++ {
		err := c.callOnce(ctx, method, path, body, trace, maxValue, decode)
		if errors.Is(err, errUnproven) { // now there is a challenge
			err = c.callOnce(ctx, method, path, body, trace, maxValue, decode)
		}
		if !errors.Is(err, errPeerBusy) || try == busyTries {
			return err
		}
		clock.Pause(ctx, clock.Jitter(busyPause*time.Duration(try)))
		if ctx.Err() != nil {
			return err
		}
	}
}

// callOnce sends one plain request and calls decode with the body of the response, which may hold
// a value of at most maxValue bytes. trace is a peer.Query's Trace. If there is no response, or not
// one of the protocol's, the error is a *PeerError. If the value is larger, the error is an
// ErrValueSize.
func (c *conn) callOnce(ctx context.Context, method, path string, body []byte, trace string, maxValue int, decode func([]byte) error) error {
	req, err := c.newRequest(ctx, method, path, body)
	if err != nil {
		return &peer.PeerError{Peer: c.url, Err: err}
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", contentType)
		// This header is not sent. It allows net/http to send the request again when the
		// peer has closed an idle connection.
		req.Header["Idempotency-Key"] = nil
	}
	setTrace(req.Header, trace)
	proof := c.prove(req, body)
	asked := clock.Now()
	received := 0
	c.calls.begin(path, len(body))
	defer func() { c.calls.end(received, time.Duration(clock.Now()-asked)) }()
	httpResp, err := c.t.cfg.RoundTripper.RoundTrip(req)
	if err != nil {
		return &peer.PeerError{Peer: c.url, Err: c.noResponse(ctx, err)}
	}
	defer httpResp.Body.Close()
	err = c.checkProof(httpResp, proof)
	if err == nil || httpResp.StatusCode == http.StatusForbidden && refusesSender(httpResp) { // then the peer says why
		err = c.checkAnswerer(httpResp, asked)
	}
	if err != nil {
		if errors.Is(err, errNoSecret) {
			c.reportProblem(peer.Unauthenticated, err)
		}
		return &peer.PeerError{Peer: c.url, Err: err}
	}
	c.keepalive.observe()
	httpResp.Body = observedBody{httpResp.Body, &c.keepalive}
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

// mostTrusted bounds the memory, in bytes, that is set aside for a body by its Content-Length
// alone: a peer may announce much and send nothing.
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
		// Without MinRead, ReadFrom would grow it again.
		buf.Grow(int(min(resp.ContentLength, mostTrusted)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
	}
	return buf.Bytes(), err
}

// errRedirected says that the response is a redirect: a mux on the way takes the path of the
// request for another one. Then the key goes into the body.
var errRedirected = errors.New("redirected")

// checkResponse returns an error if a response is not one of the protocol's messages.
func (c *conn) checkResponse(resp *http.Response, body []byte) error {
	if resp.Header.Get("Content-Type") == contentType {
		return nil // also with an error's status: the message says which
	}
	if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get(peerHeader) != "" {
		return &peer.PeerError{Peer: c.url, Err: errPeerBusy}
	}
	text := strings.TrimSpace(string(body[:min(len(body), 1024)]))
	if c.t.cfg.Groupcache && resp.StatusCode == http.StatusInternalServerError {
		// golang/groupcache sends the error of a getter like this.
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

// plainCalls has the figures of the plain requests to one peer.
type plainCalls struct {
	mu  sync.Mutex
	sum *stream.Stats // guarded by mu; nil before the first request: most peers are never asked so
}

// begin counts a request for a path below the base path. Its body has so many bytes.
func (c *plainCalls) begin(path string, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sum == nil {
		c.sum = new(stream.Stats)
	}
	c.sum.Requests++
	c.sum.InFlight++
	c.sum.BytesOut += int64(bytes)
	if path == changePath {
		c.sum.Changes++
	} else {
		c.sum.Keys++
	}
}

// end counts the end of a request, whose response had so many bytes.
func (c *plainCalls) end(bytes int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.InFlight--
	c.sum.BytesIn += int64(bytes)
	c.sum.Latency.Observe(took)
}

func (c *plainCalls) stats() stream.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sum == nil {
		return stream.Stats{}
	}
	return *c.sum
}
