// Package httppeer is the transport between peers over HTTP: a stream for each peer that knows
// it, upgraded from HTTP/1.1, and one request a message for the rest (the plain way). It is also
// the way to peers of golang/groupcache.
package httppeer

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
)

// Config is how a Transport and a Server behave. All fields are set but Hosts and PeerTimeout.
type Config struct {
	BasePath string // that peers answer under
	// Groupcache says that peers are golang/groupcache's, or speak as they do.
	Groupcache bool
	Log        *slog.Logger
	// Detection is for how long nothing may come from a peer that owes an answer.
	Detection time.Duration

	// What follows is of the side that asks.

	RoundTripper http.RoundTripper
	// PeerTimeout bounds one request by the plain way. Zero is what the query says.
	PeerTimeout time.Duration
	// LargeRequests bounds the large values that one peer is asked for at the same time.
	LargeRequests int
	// Pace is of the attempts to reach peers that are away.
	Pace *breaker.Pace

	// What follows is of both sides.

	Streams bool // else all goes by the plain way
	Stream  stream.Config

	// What follows is of the side that answers.

	Limits         Limits
	Hosts          []string // names by which requests may call this process, see peercache.WithHosts
	RequestBytes   int64    // of the bodies of requests by the plain way, together
	AnswerBytes    int64    // of the values of answers by the plain way, together
	RequestTimeout time.Duration
	// Knows reports whether the peer of that name is in the view.
	Knows func(name string) bool
	// LargestValue returns how many bytes the largest value has that a Change may set.
	LargestValue func() int64
}

// handshakeTimeout bounds an attempt to connect to a peer, from the decision to the peer's first
// frame. Distance costs several round trips; callers wait for the detection time only.
func (c *Config) handshakeTimeout() time.Duration {
	return max(4*c.Detection, 200*time.Millisecond)
}

// Transport is the side that asks.
type Transport struct {
	cfg      Config
	upgrades http.RoundTripper // cfg.RoundTripper for the requests for streams
	signs    http.RoundTripper // cfg.RoundTripper for the requests for signs of life
	fresh    http.RoundTripper // cfg.RoundTripper that opens a connection for each request
}

// NewTransport returns a Transport. It warns of what the RoundTripper lacks; self is the base URL
// of this process.
func NewTransport(cfg Config, self string) *Transport {
	t := &Transport{cfg: cfg, upgrades: withoutHTTP2(cfg.RoundTripper), signs: forSigns(cfg.RoundTripper), fresh: forPings(cfg.RoundTripper)}
	warnOfRoundTripper(&cfg, self)
	return t
}

// Check implements peer.Transport. Among peers of golang/groupcache, a name is what they have on
// their ring, which may have another spelling of the host or the port.
func (t *Transport) Check(name string) error {
	if !t.cfg.Groupcache {
		return peerurl.Check(name)
	}
	if _, err := peerurl.Spell(name); err != nil {
		return fmt.Errorf("peer %s: %w", peerurl.Shown(name), err)
	}
	if u, err := url.Parse(name); err != nil || name != strings.ToLower(u.Scheme+"://"+u.Host) {
		return peerurl.Check(name)
	}
	return nil
}

// Dial implements peer.Transport.
func (t *Transport) Dial(l peer.Local, name string) peer.Conn { return newConn(t, l, name) }

// CloseIdle closes the connections that nothing is in progress on.
func (t *Transport) CloseIdle() {
	for _, rt := range []http.RoundTripper{t.cfg.RoundTripper, t.upgrades, t.signs, t.fresh} {
		closeIdle(rt)
	}
}

// address puts into the headers of a request who asks and who is asked, and that it is no browser
// who asks.
func address(header http.Header, from peer.Identity, to string) {
	identify(header, from)
	header.Set(toHeader, to)
	header[peerOnlyHeader] = peerOnly
}

// newRequest makes a GET of a peer's base path.
func (c *conn) newGet() (*http.Request, error) {
	req, err := http.NewRequest(http.MethodGet, c.url+c.t.cfg.BasePath, nil)
	if err != nil {
		return nil, err
	}
	address(req.Header, c.local.Identity(), c.url)
	return req, nil
}
