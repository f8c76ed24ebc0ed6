package httppeer

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// MaxHeaderBytes bounds the headers of a response.
const MaxHeaderBytes = 64 << 10

// warnOfRoundTripper warns of what a transport of the user's lacks.
func warnOfRoundTripper(cfg *Config, self string) {
	t, ok := cfg.RoundTripper.(*http.Transport)
	if !ok {
		return
	}
	if lacks := transportLacks(t, self); len(lacks) > 0 {
		cfg.Log.Warn("the transport of WithTransport is not good for peers: start from DefaultTransport",
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

// forSigns returns rt with connections of its own, if it is net/http's: those for requests
// may be limited (MaxConnsPerHost), and all of them wait for a slow origin.
func forSigns(rt http.RoundTripper) http.RoundTripper {
	t, ok := rt.(*http.Transport)
	if !ok {
		return rt
	}
	t = t.Clone()
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = 0, 1
	return t
}

// forPings returns rt with a connection for each request, if it is net/http's: another one may
// lead elsewhere.
func forPings(rt http.RoundTripper) http.RoundTripper {
	t, ok := rt.(*http.Transport)
	if !ok {
		return rt
	}
	t = t.Clone()
	t.DisableKeepAlives = true
	return t
}

// closeIdle closes the connections of rt that nothing is in progress on, if it can.
func closeIdle(rt http.RoundTripper) {
	if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
