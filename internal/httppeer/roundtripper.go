package httppeer

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

// MaxHeaderBytes bounds the headers of a response.
const MaxHeaderBytes = 64 << 10

// warnOfRoundTripper warns if the user's http.Transport is not good for peers.
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

// fewIdle is how many idle connections per peer are enough. One peer usually gets more plain
// requests than fewIdle at the same time.
const fewIdle = 8

// transportLacks returns what is wrong with t, one sentence each.
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

// proxyFor returns the proxy that a request to this process would use, or "" if none.
func proxyFor(t *http.Transport, self string) (proxy string) {
	if t.Proxy == nil {
		return ""
	}
	defer func() { recover() }() // the user's func may panic: the first request will show that
	r, err := http.NewRequest(http.MethodGet, self, nil)
	if err != nil {
		return ""
	}
	if u, err := t.Proxy(r); err == nil && u != nil {
		return u.Redacted()
	}
	return ""
}

// withoutHTTP2 returns a copy of rt without HTTP/2, if it is an http.Transport, otherwise rt
// itself.
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

// forSigns returns a copy of rt with connections of its own, if it is an http.Transport, otherwise
// rt itself. The connections of rt may be limited (MaxConnsPerHost), and all of them may wait for a
// slow origin.
func forSigns(rt http.RoundTripper) http.RoundTripper {
	t, ok := rt.(*http.Transport)
	if !ok {
		return rt
	}
	t = t.Clone()
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = 0, 1
	return t
}

// forPings returns a copy of rt that opens a connection for each request, if it is an
// http.Transport, otherwise rt itself. An open connection may lead to a process that is not at the
// address any more.
func forPings(rt http.RoundTripper) http.RoundTripper {
	t, ok := rt.(*http.Transport)
	if !ok {
		return rt
	}
	t = t.Clone()
	t.DisableKeepAlives = true
	return t
}

// closeIdle closes the connections of rt that are not in use, if rt can do that.
func closeIdle(rt http.RoundTripper) {
	if t, ok := rt.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
