package peercache

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// DefaultTransport returns what a pool uses without a WithTransport, a new one at each call:
// to be changed, and given to WithTransport. It uses no proxy, gives up dialling after two
// seconds and a TLS handshake after five, keeps up to 64 idle connections a peer for 90 s,
// asks for no compression, and takes 64 KiB of headers.
//
//	t := peercache.DefaultTransport()
//	t.TLSClientConfig = &tls.Config{RootCAs: ours}
//	pool, err := peercache.NewHTTPPool(self, peercache.WithTransport(t))
func DefaultTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,

		MaxResponseHeaderBytes: mostHeaderBytes,
	}
}

// mostHeaderBytes bounds the headers of a response.
const mostHeaderBytes = 64 << 10

// WithTransport makes the pool send its requests by rt, for instance one that
// speaks TLS with certificates of the user's own. Start from DefaultTransport: the pool
// adds nothing to rt. If rt is an http.Transport that dials without a timeout, sends
// requests for peers to a proxy, keeps few idle connections or none, or gives up on slow
// answers, the logger of WithPoolLogger gets one warning. HTTP/2 has no upgrade: the pool
// uses an http.Transport that prefers it with HTTP/1.1 for streams. Through any other
// transport that prefers HTTP/2, it asks peers by the plain way alone.
func WithTransport(rt http.RoundTripper) PoolOption {
	return func(p *HTTPPool) error {
		if t, ok := rt.(*http.Transport); rt == nil || ok && t == nil {
			return errors.New("WithTransport(nil): want an http.RoundTripper")
		}
		p.transport = rt
		return nil
	}
}

// warnOfTransport warns of what a transport of the user's lacks.
func (p *HTTPPool) warnOfTransport() {
	t, ok := p.transport.(*http.Transport)
	if !ok {
		return
	}
	if lacks := transportLacks(t, p.self); len(lacks) > 0 {
		p.log.Warn("the transport of WithTransport is not good for peers: start from DefaultTransport",
			slog.String("why", strings.Join(lacks, "; ")))
	}
}

// fewIdle is less than what one peer is asked at the same time by the plain way, as a rule.
const fewIdle = 8

// transportLacks returns what is wrong with a transport.
func transportLacks(t *http.Transport, self string) (lacks []string) {
	//lint:ignore SA1019 a transport of the user's may have it
	if t.DialContext == nil && t.Dial == nil {
		lacks = append(lacks, "it has no DialContext, so that a peer that is gone is dialled for minutes")
	}
	if proxy := proxyFor(t, self); proxy != "" {
		lacks = append(lacks, "its Proxy sends what is for peers to "+proxy)
	}
	switch idle := t.MaxIdleConnsPerHost; {
	case t.DisableKeepAlives:
		lacks = append(lacks, "it has DisableKeepAlives, so that each request by the plain way has a connection of its own")
	case idle < fewIdle:
		if idle <= 0 {
			idle = http.DefaultMaxIdleConnsPerHost
		}
		lacks = append(lacks, fmt.Sprintf("its MaxIdleConnsPerHost keeps %d idle connections a peer", idle))
	}
	if d := t.ResponseHeaderTimeout; d > 0 {
		lacks = append(lacks, fmt.Sprintf("its ResponseHeaderTimeout takes a load of more than %v for a failure", d))
	}
	return lacks
}

// proxyFor returns by which proxy a request to this process would go, or an empty text.
func proxyFor(t *http.Transport, self string) (proxy string) {
	if t.Proxy == nil {
		return ""
	}
	defer func() { recover() }() // it is the user's, and a request will tell
	r, err := http.NewRequest(http.MethodGet, self, nil)
	if err != nil {
		return ""
	}
	if u, err := t.Proxy(r); err == nil && u != nil {
		return u.Redacted()
	}
	return ""
}
