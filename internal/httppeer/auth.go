package httppeer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertls"
)

// With TLS both ways, a process is who its certificate says, not who its headers say. The side that
// asks verifies the certificate for the host of the URL, as always. The side that answers verifies
// that the sender of a request may call itself as it does.

// DialTLS returns a DialTLSContext for an http.Transport. dial connects, and handshake bounds the
// TLS handshake.
func DialTLS(source *peertls.Source, dial func(ctx context.Context, network, addr string) (net.Conn, error), handshake time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, handshake)
		defer cancel()
		c := tls.Client(nc, source.Client(host))
		if err := c.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		return c, nil
	}
}

// HTTPServer returns an http.Server for h, which serves s.
func (s *Server) HTTPServer(h http.Handler) *http.Server {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: serverIdleTimeout, MaxHeaderBytes: MaxHeaderBytes,
		ErrorLog: log.New(s.refusals, "", 0), Protocols: new(http.Protocols),
		ConnContext: s.visitors.connContext, ConnState: s.visitors.connState,
	}
	server.Protocols.SetHTTP1(true) // which has upgrades
	if s.cfg.TLS != nil {
		server.TLSConfig = s.cfg.TLS.Server()
	}
	return server
}

const (
	readHeaderTimeout = 5 * time.Second
	// serverIdleTimeout is more than clients keep idle connections, so that they close them first.
	serverIdleTimeout = 2 * time.Minute
)

// verified is what a stream was opened with.
type verified struct {
	tls  *tls.ConnectionState // nil without TLS
	from string               // the base URL by which the peer calls itself
}

// authenticate returns an error if the sender of r is not who it says, else what is known of it. A
// request for a stream, and one for a sign of life, prove nothing yet (serveStream): they are let in
// no further without the proof of a secret.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, path string, from peer.Identity) (trust peer.Trust, err error) {
	if s.cfg.TLS != nil {
		if err := s.verify(r.TLS, from.Name); err != nil {
			return 0, err
		}
		trust = peer.Named
		if s.cfg.TLS.Vouches(r.TLS) {
			trust = peer.Vouched
		}
	}
	if s.cfg.Authenticator != nil {
		name, err := s.askAuthenticator(r, from.Name)
		if err != nil {
			return 0, err
		}
		if trust = max(trust, peer.Named); name == "" {
			trust = peer.Vouched
		}
	}
	if len(s.cfg.Secrets) == 0 {
		return trust, nil
	}
	if path != "" {
		err = s.checkPlain(w, r, from)
	}
	return peer.Vouched, err
}

// unnamed is an error of the user's Authenticator, which is not sent to strangers.
type unnamed struct{ error }

// askAuthenticator returns the name of the sender of r by the user's Authenticator, and an error if
// that is nobody, or somebody else. A panic of it is an error.
func (s *Server) askAuthenticator(r *http.Request, from string) (name string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = unnamed{fmt.Errorf("the func of WithAuthenticator panicked: %v", p)}
		}
	}()
	name, err = s.cfg.Authenticator(r)
	switch {
	case err != nil:
		return "", unnamed{err}
	case name != "" && name != from:
		return "", fmt.Errorf("the sender may not call itself %s", quote.Key(from))
	}
	return name, nil
}

// verify returns an error if a peer may not call itself by the base URL from over that connection.
func (s *Server) verify(cs *tls.ConnectionState, from string) error {
	u, err := url.Parse(from)
	if err != nil || u.Hostname() == "" {
		return fmt.Errorf("a request without the name of a peer in %s: want one, because of WithTLS", peerHeader)
	}
	if err := s.cfg.TLS.Verify(cs, u.Hostname()); err != nil {
		return fmt.Errorf("the sender may not call itself %s: %w", quote.Key(from), err)
	}
	return nil
}

// Recheck ends the streams of peers whose certificate is not accepted any more. They take no more
// requests, and what is in flight has the detection time: a stream that its peer has just opened
// anew may not be closed yet.
func (s *Server) Recheck() {
	ended := make(map[*stream.Server]error)
	s.mu.Lock()
	for one, by := range s.streams { // cfg.TLS is not nil, or there would be no rotation
		if err := s.verify(by.tls, by.from); err != nil {
			ended[one] = err
		}
	}
	s.mu.Unlock()
	for one, err := range ended {
		s.cfg.Log.Warn("the stream of a peer is ended: its certificate is not accepted any more", "err", err)
		go func() {
			soon, cancel := context.WithTimeout(context.Background(), s.cfg.Detection)
			defer cancel()
			one.Close(soon)
		}()
	}
}

const (
	// renewTries is how often the stream to a peer is tried to be opened anew, and renewPause
	// the time between two tries.
	renewTries = 30
	renewPause = 2 * time.Second
)

// Renew opens the streams to all peers anew, one after the other, so that they have the present
// certificate. A stream that cannot be opened anew stays, and is tried again for a while: the peer
// may get its new CAs a little later.
func (t *Transport) Renew(ctx context.Context) {
	t.CloseIdle()
	t.mu.Lock()
	left := make(map[*conn]error, len(t.conns))
	for c := range t.conns {
		left[c] = nil
	}
	t.mu.Unlock()
	for try := 0; len(left) > 0 && try < renewTries && ctx.Err() == nil; try++ {
		if try > 0 {
			clock.Pause(ctx, clock.Jitter(renewPause))
		}
		for c := range left {
			if left[c] = c.renew(ctx); left[c] == nil {
				delete(left, c)
			}
		}
	}
	for c, err := range left {
		if ctx.Err() == nil && c.inUse.Err() == nil {
			t.cfg.Log.Warn("the stream to a peer could not be opened anew, and the one with the earlier certificate stays: want the CAs of both in both processes",
				"peer", c.url, "err", err)
		}
	}
}

// renew opens the stream to the peer anew, if there is one.
func (c *conn) renew(ctx context.Context) error {
	if c.link == nil || c.inUse.Err() != nil || ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.t.cfg.handshakeTimeout())
	defer cancel()
	if err := c.link.renew(ctx); !errors.Is(err, errNoStream) {
		return err
	}
	return nil
}
