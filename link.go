package peercache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
)

// protocolName is what a stream is called in the Upgrade header of HTTP.
const protocolName = "peercache"

// plainFor is for how long a peer that does not know the stream is spoken to by the
// plain way, before it is asked again.
const plainFor = time.Minute

// errNoStream says that a peer does not know the stream, or that something
// between does not.
var errNoStream = errors.New("the peer does not know the stream")

// errGroupcache says that a peer is golang/groupcache's, which has no streams.
var errGroupcache = errors.New("the peer is golang/groupcache's")

// link is the one connection to a peer: made on first use, and again when it has
// broken.
type link struct {
	pool    *HTTPPool
	url     string
	peer    *httpPeer
	breaker *breaker // the peer's

	mu      sync.Mutex    // taken before the breaker's
	live    *stream.Link  // guarded by mu; nil, or the last that was opened
	process uint32        // guarded by mu; the process that live leads to
	opening chan struct{} // guarded by mu; nil, or closed when an attempt is over
	giveUp  func()        // guarded by mu; ends that attempt
	closed  bool          // guarded by mu; no attempts any more
	plainTo clock.Instant // guarded by mu; after errNoStream, when to ask again, else 0
	opened  int64         // guarded by mu; links that were opened
	past    stream.Stats  // guarded by mu; the sum over links that have ended
}

// ready returns the link, if there is one; it may have ended just now, and refuses requests
// then. It does not block.
func (c *link) ready() *stream.Link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live
}

// get returns the link, and opens one if need be. It waits for that, but no longer
// than for a peer that is silent, and not for another attempt after one that
// failed: then it returns why, at once, and errNoStream where the peer is to be
// asked by the plain way.
func (c *link) get(ctx context.Context) (*stream.Link, error) {
	for {
		live, opening, err := c.state()
		if live != nil || err != nil {
			return live, err
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(c.pool.detectionTime()):
			c.slow(opening)
			return nil, peer.ErrSlow
		}
	}
}

// slow has nobody wait for that attempt any more.
func (c *link) slow(opening <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opening == opening {
		c.breaker.doubt(peer.ErrSlow)
	}
}

// state returns the link, or why there is none, or else the attempt to wait for.
func (c *link) state() (live *stream.Link, opening <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != nil {
		if c.live.Err() == nil {
			return c.live, nil, nil
		}
		c.bury()
	}
	if c.closed { // the peer left the view: what is still asked of it goes by the plain way
		return nil, nil, errNoStream
	}
	if c.plainTo != 0 {
		if clock.Now() >= c.plainTo {
			c.attempt()
		}
		return nil, nil, errNoStream
	}
	if err := c.breaker.refusal(); err != nil {
		return nil, nil, err
	}
	c.attempt()
	return nil, c.opening, nil
}

// attempt begins to open a link, unless that is in progress. c.mu is held.
func (c *link) attempt() {
	if c.opening == nil {
		var ctx context.Context
		ctx, c.giveUp = context.WithTimeout(context.Background(), c.pool.handshakeTimeout())
		c.opening = make(chan struct{})
		go c.open(ctx, c.giveUp, c.opening)
	}
}

// try begins to open a link, unless there is one: it may have come while nobody knew.
func (c *link) try() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != nil && c.live.Err() != nil {
		c.bury()
	}
	switch {
	case c.closed:
	case c.live != nil:
		c.breaker.reset()
	default:
		c.attempt()
	}
}

// plain reports whether get would say errNoStream, as far as is known.
func (c *link) plain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed || c.plainTo != 0
}

// mourn buries a link as soon as it has ended, so that the next attempt does not wait
// until somebody asks.
func (c *link) mourn(live *stream.Link) {
	<-live.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == live {
		c.bury()
	}
}

// bury forgets a link that takes no more requests. One that fell silent is not
// replaced at once: its peer hangs, and an attempt would hang too. Nor is one on which
// the peer broke the protocol, or answered nothing it was asked: it would do so again.
// c.mu is held.
func (c *link) bury() {
	err, s := c.live.Err(), c.live.Stats()
	c.past.Add(&s)
	c.live = nil
	answered := s.Latency != stream.Histogram{}
	broke := errors.Is(err, stream.ErrProtocol)
	if answered && !broke {
		c.breaker.answered()
	}
	mute := s.Requests > 0 && !answered && !errors.Is(err, stream.ErrGoAway)
	if !c.closed && (broke || mute || errors.Is(err, stream.ErrSilent)) {
		c.breaker.trip(err)
	}
}

// failed takes note of an attempt that failed. c.mu is held.
func (c *link) failed(err error) {
	if errors.Is(err, errNoStream) {
		c.plainTo = clock.Now().Plus(clock.Jitter(plainFor))
		c.breaker.reset()
		if !errors.Is(err, errGroupcache) {
			c.pool.problems.degraded(c.url, "a peer is asked by one HTTP request a key, which is many times slower than a stream", err)
		}
		return
	}
	c.plainTo = 0
	c.breaker.trip(err)
}

// open makes one attempt.
func (c *link) open(ctx context.Context, cancel context.CancelFunc, over chan struct{}) {
	live, process, err := c.upgrade(ctx)
	cancel()

	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(over)
	c.opening = nil
	switch {
	case c.closed && err == nil:
		go live.Close(context.Background()) // nothing is in flight
	case c.closed:
	case err != nil:
		c.failed(err)
	default:
		c.live, c.process, c.plainTo = live, process, 0
		c.breaker.reset()
		c.opened++
		go c.mourn(live)
	}
}

// upgrade asks the peer to speak the stream, by an upgrade from HTTP/1.1.
func (c *link) upgrade(ctx context.Context) (live *stream.Link, process uint32, err error) {
	// The connection outlives ctx, which bounds the handshake alone.
	reqCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	req, err := http.NewRequestWithContext(reqCtx, http.MethodGet, c.url+c.pool.basePath, nil)
	if err != nil {
		cancel()
		return nil, 0, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocolName)
	c.pool.address(req.Header, c.url)
	asked := clock.Now()
	resp, err := c.pool.upgrades.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, 0, c.refused(ctx, err)
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	err = c.peer.checkAnswerer(resp, asked)
	switch {
	case err != nil:
	case identityOf(resp.Header).name == "":
		err = fmt.Errorf("%w: %w", errNoStream, errGroupcache)
	case resp.StatusCode != http.StatusSwitchingProtocols, !ok:
		err = noUpgrade(resp)
	}
	if err != nil {
		resp.Body.Close()
		cancel()
		return nil, 0, err
	}
	live, err = stream.Open(ctx, &upgraded{body, cancel}, nil, c.pool.stream)
	return live, identityOf(resp.Header).process, err
}

// refused is why a request for a stream had no response.
func (c *link) refused(ctx context.Context, err error) error {
	switch {
	case strings.Contains(err.Error(), "invalid Upgrade request header"): // net/http's, of HTTP/2
		return fmt.Errorf("%w: the transport speaks HTTP/2, which has no upgrades: want a WithTransport that speaks HTTP/1.1: %w", errNoStream, err)
	case notHTTP1(err): // the transport for other requests may know better
		return fmt.Errorf("%w: it does not speak HTTP/1.1, which has upgrades: %w", errNoStream, err)
	case errors.Is(err, io.EOF) && c.peer.signOfLife(ctx) == nil: // so ends a server of HTTP/2 what it does not know
		return fmt.Errorf("%w: it ends a connection that is to be upgraded: perhaps it does not speak HTTP/1.1: %w", errNoStream, err)
	}
	return c.peer.noResponse(ctx, err)
}

// noUpgrade is why the response to a request for a stream is none.
func noUpgrade(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, mostStatusText))
	err := statusError(resp, string(text))
	if fromGateway(resp.StatusCode) {
		return err // the peer is leaving
	}
	want := "something on the way does not pass on the headers Connection and Upgrade"
	switch {
	case strings.Contains(string(text), noStreamsHere):
		want = "want WithoutStream in all processes, or in none"
	case resp.StatusCode == http.StatusSwitchingProtocols:
		want = "the http.RoundTripper of WithTransport does not give the connection away"
	case resp.StatusCode == http.StatusNotImplemented:
		want = "its handler stands behind an http.ResponseWriter without Hijack or Unwrap, such as that of http.TimeoutHandler"
	}
	return fmt.Errorf("%w: %s: %w", errNoStream, want, err)
}

// withoutHTTP2 returns rt without HTTP/2, if it is net/http's.
func withoutHTTP2(rt http.RoundTripper) http.RoundTripper {
	t, ok := rt.(*http.Transport)
	if !ok {
		return rt
	}
	t = t.Clone()
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	if t.TLSClientConfig != nil { // where rt may have put HTTP/2 already
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	return t
}

// leaveFormer closes the link if it leads to another process than the one that answers at the
// address of the peer now. A process whose server has ended may go on for a while, and answer
// on its streams: but changes go to the next one, and what it has would be stale.
func (c *link) leaveFormer(now uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := c.live
	if live == nil || c.process == now {
		return
	}
	s := live.Stats()
	c.past.Add(&s)
	c.live = nil
	go func() { // what is in flight is answered
		ctx, cancel := context.WithTimeout(c.pool.life, longestParting)
		defer cancel()
		live.Close(ctx)
	}()
}

// close takes no more requests, and waits for those in flight until ctx ends.
func (c *link) close(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	live, opening := c.live, c.opening
	if opening != nil {
		c.giveUp()
	}
	c.mu.Unlock()
	if opening != nil {
		<-opening
	}
	if live != nil {
		live.Close(ctx)
	}
}

// stats returns the figures of all links to the peer, one after the other.
func (c *link) stats() (s stream.Stats, opened int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = c.past
	if c.live != nil {
		live := c.live.Stats()
		s.Add(&live)
	}
	return s, c.opened
}

// upgraded is a connection that an http.RoundTripper gave away. It has no
// deadlines, which the asking side of a stream does not need: it closes it.
type upgraded struct {
	io.ReadWriteCloser
	cancel context.CancelFunc // of the request that was upgraded
}

func (c *upgraded) Close() error {
	defer c.cancel()
	return c.ReadWriteCloser.Close()
}

func (c *upgraded) LocalAddr() net.Addr              { return nil }
func (c *upgraded) RemoteAddr() net.Addr             { return nil }
func (c *upgraded) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (c *upgraded) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *upgraded) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

var _ net.Conn = (*upgraded)(nil)
