package httppeer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/peer"
)

// Transport is the side that asks. It implements peer.Transport.
type Transport struct {
	cfg      Config
	upgrades http.RoundTripper // cfg.RoundTripper without HTTP/2, for requests for a stream
	signs    http.RoundTripper // cfg.RoundTripper with connections of its own, for signs of life
	pings    http.RoundTripper // cfg.RoundTripper with a new connection for each request

	identities identities

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu; those that are not closed
}

// NewTransport returns a Transport. It warns if cfg.RoundTripper is not good for peers. self is the
// base URL of this process.
func NewTransport(cfg Config, self string) *Transport {
	t := &Transport{cfg: cfg, upgrades: withoutHTTP2(cfg.RoundTripper), signs: forSigns(cfg.RoundTripper), pings: forPings(cfg.RoundTripper), conns: make(map[*conn]struct{})}
	warnOfRoundTripper(&cfg, self)
	return t
}

// Check implements peer.Transport. In a fleet of golang/groupcache, a name is what the processes
// have on their ring, which may spell the host or the port in another way.
func (t *Transport) Check(name string) error {
	if t.cfg.TLS != nil && !strings.HasPrefix(name, "https://") {
		return fmt.Errorf("peer %s: want https:// in its base URL, because of WithTLS", peerurl.Shown(name))
	}
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
func (t *Transport) Dial(l peer.Local, name string) peer.Conn {
	c := newConn(t, l, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[c] = struct{}{}
	return c
}

// forget removes a conn that is closed.
func (t *Transport) forget(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// Stateless implements peer.Stateless: golang/groupcache knows of no views.
func (t *Transport) Stateless() bool { return t.cfg.Groupcache }

// CloseIdle closes the connections that are not in use.
func (t *Transport) CloseIdle() {
	for _, rt := range []http.RoundTripper{t.cfg.RoundTripper, t.upgrades, t.signs, t.pings} {
		closeIdle(rt)
	}
}
