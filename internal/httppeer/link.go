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

// plainFor is how long a peer that does not know the stream is asked by the plain way before the
// next attempt to open a stream.
const plainFor = time.Minute

// errNoStream says that the peer does not know the stream, or that something on the way to it does
// not.
var errNoStream = errors.New("the peer does not know the stream")

// errSlow says that an attempt to connect goes on, but takes longer than a caller should wait.
var errSlow = fmt.Errorf("%w: no connection within the detection time", peer.ErrSilent)

// errGroupcache says that a peer is golang/groupcache's, which has no streams.
var errGroupcache = errors.New("the peer is golang/groupcache's")

// link keeps the one stream to a peer. It is opened on first use, and again after it has ended.
type link struct {
	conn *conn

	mu         sync.Mutex    // locked before the breaker's
	live       *stream.Link  // guarded by mu; the stream that was opened last, which may have ended; nil if there is none
	process    uint32        // guarded by mu; the process at the other end of live
	opening    chan struct{} // guarded by mu; closed when the attempt in progress is over; nil if there is none
	giveUp     func()        // guarded by mu; ends that attempt
	closed     bool          // guarded by mu; no more attempts are made
	plainUntil clock.Instant // guarded by mu; after errNoStream, when the next attempt is made; otherwise 0
	opened     int64         // guarded by mu; how many streams were opened
	ended      *stream.Stats // guarded by mu; the sum of the figures of streams that have ended; nil: none has
}

// current returns the stream, or nil if there is none. A stream that has ended just now refuses
// requests. current does not block.
func (l *link) current() *stream.Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live
}

// get returns the stream, and opens one if there is none. It waits for that at most for the
// detection time. If the last attempt failed, it does not wait for the next one but returns the
// reason at once. errNoStream says that the peer is to be asked by the plain way.
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
			l.suspect(opening)
			return nil, errSlow
		}
	}
}

// suspect makes the breaker refuse requests until the attempt is over, so that no more callers wait
// for it.
func (l *link) suspect(opening <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opening == opening {
		l.conn.breaker.Suspect(errSlow)
	}
}

// state returns one of three: the stream, the attempt to wait for, or why there is neither.
func (l *link) state() (live *stream.Link, opening <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil {
		if l.live.Err() == nil {
			return l.live, nil, nil
		}
		l.discard()
	}
	if l.closed { // the peer left the view: the last requests to it go by the plain way
		return nil, nil, errNoStream
	}
	if l.plainUntil != 0 {
		if clock.Now() >= l.plainUntil {
			l.startOpening()
		}
		return nil, nil, errNoStream
	}
	if err := l.conn.breaker.Refusal(); err != nil {
		return nil, nil, err
	}
	l.startOpening()
	return nil, l.opening, nil
}

// startOpening starts an attempt to open a stream, unless one is in progress. The caller holds
// l.mu.
func (l *link) startOpening() {
	if l.opening == nil {
		var ctx context.Context
		ctx, l.giveUp = context.WithTimeout(context.Background(), l.conn.t.cfg.handshakeTimeout())
		l.opening = make(chan struct{})
		go l.open(ctx, l.giveUp, l.opening)
	}
}

// tryNow starts an attempt to open a stream. If there is one already, it closes the breaker.
func (l *link) tryNow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil && l.live.Err() != nil {
		l.discard()
	}
	switch {
	case l.closed:
	case l.live != nil:
		l.conn.breaker.Reset()
	default:
		l.startOpening()
	}
}

// plain reports whether get would return errNoStream, as far as is known.
func (l *link) plain() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed || l.plainUntil != 0
}

// onLinkEnd discards live, which has ended. So the next attempt starts before somebody asks.
func (l *link) onLinkEnd(live *stream.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == live {
		l.discard()
	}
}

// discard forgets the stream, which has ended. The breaker opens if the next attempt would fare no
// better: the peer fell silent, so it hangs; it broke the protocol; or it answered none of its
// requests. The caller holds l.mu.
func (l *link) discard() {
	err, s := l.live.Err(), l.live.Stats()
	l.addEnded(&s)
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

// failed records that an attempt to open a stream has failed. The caller holds l.mu.
func (l *link) failed(err error) {
	if errors.Is(err, errNoStream) {
		l.plainUntil = clock.Now().Plus(clock.Jitter(plainFor))
		l.conn.breaker.Reset()
		if !errors.Is(err, errGroupcache) {
			l.conn.local.Degraded("a peer is asked by one HTTP request a key, which is many times slower than a stream", err)
		}
		return
	}
	l.plainUntil = 0
	l.conn.breaker.Trip(err)
}

// open makes one attempt to open a stream, and closes over when it is over.
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
		l.live, l.process, l.plainUntil = live, process, 0
		l.conn.breaker.Reset()
		l.opened++
		live.AfterEnd(func() { l.onLinkEnd(live) })
	}
}

// upgrade asks the peer to upgrade an HTTP/1.1 connection to a stream. It returns the stream and
// the process at its other end.
func (l *link) upgrade(ctx context.Context) (live *stream.Link, process uint32, err error) {
	// The connection outlives ctx, which bounds the handshake alone.
	reqCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	req, err := l.conn.newRequest(reqCtx, http.MethodGet, "", nil)
	if err != nil {
		cancel()
		return nil, 0, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", protocolName)
	x := l.conn.challengeStream(req)
	asked := clock.Now()
	resp, err := l.conn.t.upgrades.RoundTrip(req)
	if err != nil {
		cancel()
		return nil, 0, l.refused(ctx, err)
	}
	body, ok := resp.Body.(io.ReadWriteCloser)
	var proof []byte
	if resp.StatusCode == http.StatusSwitchingProtocols {
		proof, err = l.conn.proveStream(x, resp)
	}
	if err == nil {
		err = l.conn.checkAnswerer(resp, asked)
	}
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
	if _, err := body.Write(proof); err != nil {
		resp.Body.Close()
		cancel()
		return nil, 0, lost(ctx, err)
	}
	live, err = stream.Open(ctx, &upgraded{body, cancel}, nil, l.conn.url, l.conn.t.cfg.Stream)
	return live, identityOf(resp.Header).Process, err
}

// refused returns why a request for a stream had no response.
func (l *link) refused(ctx context.Context, err error) error {
	switch {
	case strings.Contains(err.Error(), "invalid Upgrade request header"): // net/http's, of HTTP/2
		return fmt.Errorf("%w: the transport speaks HTTP/2, which has no upgrades: want a WithTransport that speaks HTTP/1.1: %w", errNoStream, err)
	case notHTTP1(err): // the transport for other requests may know better
		return fmt.Errorf("%w: it does not speak HTTP/1.1, which has upgrades: %w", errNoStream, err)
	case errors.Is(err, io.EOF) && l.conn.signOfLife(ctx) == nil: // a server of HTTP/2 ends what it does not know like this
		return fmt.Errorf("%w: it ends a connection that is to be upgraded: perhaps it does not speak HTTP/1.1: %w", errNoStream, err)
	}
	return l.conn.noResponse(ctx, err)
}

// noUpgrade returns why a response to a request for a stream gives none.
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

// longestFormer bounds how long a stream that is not in use any more waits for the answers in flight.
const longestFormer = time.Minute

// replaced closes the stream if its other end is another process than now, the one that answers at
// the address of the peer now. A process whose server has ended may go on for a while and answer on
// its streams. But it is told of no changes any more, so its values would be stale.
func (l *link) replaced(now uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live != nil && l.process != now {
		l.retire()
	}
}

// retire takes the stream out of use, and closes it when what is in flight on it is answered. The
// caller holds l.mu.
func (l *link) retire() {
	live := l.live
	s := live.Stats()
	l.addEnded(&s)
	l.live = nil
	go func() {
		ctx, cancel := context.WithTimeout(l.conn.inUse, longestFormer)
		defer cancel()
		live.Close(ctx)
	}()
}

// renew opens another stream in place of the one in use, for instance with a new certificate. If it
// cannot, the one in use stays.
func (l *link) renew(ctx context.Context) error {
	l.mu.Lock()
	old := l.live
	l.mu.Unlock()
	if old == nil { // the next one to be opened is new anyway
		return nil
	}
	next, process, err := l.upgrade(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.live != old { // another one was opened meanwhile
		go next.Close(context.Background()) // nothing is in flight
		return nil
	}
	l.retire()
	l.live, l.process = next, process
	l.opened++
	next.AfterEnd(func() { l.onLinkEnd(next) })
	return nil
}

// close makes the link refuse requests, and waits for those in flight until ctx ends.
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

// addEnded adds the figures of a stream that has ended. The caller holds l.mu.
func (l *link) addEnded(s *stream.Stats) {
	if l.ended == nil {
		l.ended = new(stream.Stats)
	}
	l.ended.Add(s)
}

// stats returns the sum of the figures of all streams to the peer, and how many were opened.
func (l *link) stats() (s stream.Stats, opened int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		s = *l.ended
	}
	if l.live != nil {
		live := l.live.Stats()
		s.Add(&live)
	}
	return s, l.opened
}

// upgraded is a connection that an http.RoundTripper gave away. It has no deadlines. The asking
// side of a stream does not need them: it closes the connection instead.
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
