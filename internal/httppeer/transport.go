package httppeer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/peer"
)

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
