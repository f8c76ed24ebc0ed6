package httppeer

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
	conn *conn

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
func (l *link) ready() *stream.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live
}

// get returns the link, and opens one if need be. It waits for that, but no longer
// than for a peer that is silent, and not for another attempt after one that
// failed: then it returns why, at once, and errNoStream where the peer is to be
// asked by the plain way.
func (l *link) get(ctx context.Context) (*stream.Link, error) {
	for {
		live, opening, err := l.state()
		if live != nil || err != nil {
			return live, err
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(l.conn.t.cfg.Detection):
			l.slow(opening)
			return nil, peer.ErrSlow
		}
	}
}

// slow has nobody wait for that attempt any more.
func (l *link) slow(opening <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opening == opening {
		l.conn.breaker.Doubt(peer.ErrSlow)
	}
}

// state returns the link, or why there is none, or else the attempt to wait for.
func (l *link) state() (live *stream.Link, opening <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil {
		if l.live.Err() == nil {
			return l.live, nil, nil
		}
		l.bury()
	}
	if l.closed { // the peer left the view: what is still asked of it goes by the plain way
		return nil, nil, errNoStream
	}
	if l.plainTo != 0 {
		if clock.Now() >= l.plainTo {
			l.attempt()
		}
		return nil, nil, errNoStream
	}
	if err := l.conn.breaker.Refusal(); err != nil {
		return nil, nil, err
	}
	l.attempt()
	return nil, l.opening, nil
}

// attempt begins to open a link, unless that is in progress. l.mu is held.
func (l *link) attempt() {
	if l.opening == nil {
		var ctx context.Context
		ctx, l.giveUp = context.WithTimeout(context.Background(), l.conn.t.cfg.handshakeTimeout())
		l.opening = make(chan struct{})
		go l.open(ctx, l.giveUp, l.opening)
	}
}

// try begins to open a link, unless there is one: it may have come while nobody knew.
func (l *link) try() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil && l.live.Err() != nil {
		l.bury()
	}
	switch {
	case l.closed:
	case l.live != nil:
		l.conn.breaker.Reset()
	default:
		l.attempt()
	}
}

// plain reports whether get would say errNoStream, as far as is known.
func (l *link) plain() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed || l.plainTo != 0
}

// mourn buries a link as soon as it has ended, so that the next attempt does not wait
// until somebody asks.
func (l *link) mourn(live *stream.Link) {
	<-live.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == live {
		l.bury()
	}
}

// bury forgets a link that takes no more requests. One that fell silent is not
// replaced at once: its peer hangs, and an attempt would hang too. Nor is one on which
// the peer broke the protocol, or answered nothing it was asked: it would do so again.
// l.mu is held.
func (l *link) bury() {
	err, s := l.live.Err(), l.live.Stats()
	l.past.Add(&s)
	l.live = nil
	answered := s.Latency != peer.Histogram{}
	broke := errors.Is(err, stream.ErrProtocol)
	if answered && !broke {
		l.conn.breaker.Answered()
	}
	mute := s.Requests > 0 && !answered && !errors.Is(err, stream.ErrGoAway)
	if !l.closed && (broke || mute || errors.Is(err, stream.ErrSilent)) {
		l.conn.breaker.Trip(err)
	}
}

// failed takes note of an attempt that failed. l.mu is held.
func (l *link) failed(err error) {
	if errors.Is(err, errNoStream) {
		l.plainTo = clock.Now().Plus(clock.Jitter(plainFor))
		l.conn.breaker.Reset()
		if !errors.Is(err, errGroupcache) {
			l.conn.local.Degraded("a peer is asked by one HTTP request a key, which is many times slower than a stream", err)
		}
		return
	}
	l.plainTo = 0
	l.conn.breaker.Trip(err)
}

// open makes one attempt.
func (l *link) open(ctx context.Context, cancel context.CancelFunc, over chan struct{}) {
	live, process, err := l.upgrade(ctx)
	cancel()

	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(over)
	l.opening = nil
	switch {
	case l.closed && err == nil:
		go live.Close(context.Background()) // nothing is in flight
	case l.closed:
	case err != nil:
		l.failed(err)
	default:
		l.live, l.process, l.plainTo = live, process, 0
		l.conn.breaker.Reset()
		l.opened++
		go l.mourn(live)
	}
}

// upgrade asks the peer to speak the stream, by an upgrade from HTTP/1.1.
func (l *link) upgrade(ctx context.Context) (live *stream.Link, process uint32, err error) {
	// The connection outlives ctx, which bounds the handshake alone.
	reqCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	req, err := l.conn.newGet()
	if err != nil {
		cancel()
		return nil, 0, err
	}
	req = req.WithContext(reqCtx)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocolName)
	asked := clock.Now()
	resp, err := l.conn.t.upgrades.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, 0, l.refused(ctx, err)
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	err = l.conn.checkAnswerer(resp, asked)
	switch {
	case err != nil:
	case identityOf(resp.Header).Name == "":
		err = fmt.Errorf("%w: %w", errNoStream, errGroupcache)
	case resp.StatusCode != http.StatusSwitchingProtocols, !ok:
		err = noUpgrade(resp)
	}
	if err != nil {
		resp.Body.Close()
		cancel()
		return nil, 0, err
	}
	live, err = stream.Open(ctx, &upgraded{body, cancel}, nil, l.conn.url, l.conn.t.cfg.Stream)
	return live, identityOf(resp.Header).Process, err
}

// refused is why a request for a stream had no response.
func (l *link) refused(ctx context.Context, err error) error {
	switch {
	case strings.Contains(err.Error(), "invalid Upgrade request header"): // net/http's, of HTTP/2
		return fmt.Errorf("%w: the transport speaks HTTP/2, which has no upgrades: want a WithTransport that speaks HTTP/1.1: %w", errNoStream, err)
	case notHTTP1(err): // the transport for other requests may know better
		return fmt.Errorf("%w: it does not speak HTTP/1.1, which has upgrades: %w", errNoStream, err)
	case errors.Is(err, io.EOF) && l.conn.signOfLife(ctx) == nil: // so ends a server of HTTP/2 what it does not know
		return fmt.Errorf("%w: it ends a connection that is to be upgraded: perhaps it does not speak HTTP/1.1: %w", errNoStream, err)
	}
	return l.conn.noResponse(ctx, err)
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

// longestParting bounds how long the answers of a former process are waited for.
const longestParting = time.Minute

// leaveFormer closes the link if it leads to another process than the one that answers at the
// address of the peer now. A process whose server has ended may go on for a while, and answer
// on its streams: but changes go to the next one, and what it has would be stale.
func (l *link) leaveFormer(now uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := l.live
	if live == nil || l.process == now {
		return
	}
	s := live.Stats()
	l.past.Add(&s)
	l.live = nil
	go func() { // what is in flight is answered
		ctx, cancel := context.WithTimeout(l.conn.inUse, longestParting)
		defer cancel()
		live.Close(ctx)
	}()
}

// close takes no more requests, and waits for those in flight until ctx ends.
func (l *link) close(ctx context.Context) {
	l.mu.Lock()
	l.closed = true
	live, opening := l.live, l.opening
	if opening != nil {
		l.giveUp()
	}
	l.mu.Unlock()
	if opening != nil {
		<-opening
	}
	if live != nil {
		live.Close(ctx)
	}
}

// stats returns the figures of all links to the peer, one after the other.
func (l *link) stats() (s stream.Stats, opened int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s = l.past
	if l.live != nil {
		live := l.live.Stats()
		s.Add(&live)
	}
	return s, l.opened
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
