package peercache_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// A transport that lacks what peers need is one warning that says what, and where to begin.
func TestTransportThatLacksSomething(t *testing.T) {
	proxied := func(*http.Request) (*url.URL, error) { return url.Parse("http://u:secret@proxy:3128") }
	for _, c := range []struct {
		name   string
		change func(t *http.Transport)
		says   []string // none: no warning
	}{
		{"the default", func(*http.Transport) {}, nil},
		{"a proxy for others", func(t *http.Transport) {
			t.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
		}, nil},
		{"a proxy", func(t *http.Transport) { t.Proxy = proxied }, []string{"http://u:xxxxx@proxy:3128"}},
		{"a proxy that panics", func(t *http.Transport) {
			t.Proxy = func(*http.Request) (*url.URL, error) { panic("a func of the user's") }
		}, nil},
		{"no limit to dial", func(t *http.Transport) { t.DialContext = nil }, []string{"DialContext"}},
		{"few connections", func(t *http.Transport) { t.MaxIdleConnsPerHost = 0 }, []string{"keeps 2 idle connections"}},
		{"no connections", func(t *http.Transport) { t.DisableKeepAlives = true }, []string{"DisableKeepAlives"}},
		{"a limit to loads", func(t *http.Transport) { t.ResponseHeaderTimeout = time.Second }, []string{"ResponseHeaderTimeout", "1s"}},
		{"all at once", func(t *http.Transport) { *t = http.Transport{Proxy: proxied} }, []string{"DialContext", "proxy:3128", "keeps 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			transport := peercache.DefaultTransport()
			c.change(transport)
			// The logger comes last: the order of the options says nothing.
			pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001", peercache.WithTransport(transport),
				peercache.WithPoolLogger(slog.New(slog.NewTextHandler(&log, nil))))
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Shutdown(t.Context())
			text := log.String()
			if got, want := strings.Count(text, "\n"), min(len(c.says), 1); got != want {
				t.Errorf("%d lines, want %d: %s", got, want, text)
			}
			for _, want := range c.says {
				if !strings.Contains(text, want) {
					t.Errorf("it said %s, want %q", text, want)
				}
			}
			if strings.Contains(text, "secret") {
				t.Errorf("the password of the proxy is in the log: %s", text)
			}
		})
	}
	if a, b := peercache.DefaultTransport(), peercache.DefaultTransport(); a == b {
		t.Error("DefaultTransport returned one transport twice")
	}
}

// Options that contradict each other are refused, whichever comes first; those that only
// seem to depend on their order do not.
func TestPoolOptionsThatContradict(t *testing.T) {
	type options = []peercache.PoolOption
	d := &registry{changed: make(chan struct{})}
	for _, c := range []struct {
		opts options
		says string // "": they do not
	}{
		{options{peercache.WithoutStream(), peercache.WithLargeValue(1)}, "WithoutStream and WithLargeValue"},
		{options{peercache.WithPeerTimeout(499 * time.Millisecond), peercache.WithoutStream()}, "shorter than the detection time, 500ms"},
		{options{peercache.WithPeerTimeout(time.Second), peercache.WithDetectionTime(2 * time.Second)}, "shorter than the detection time, 2s"},
		{options{peercache.WithPeerTimeout(time.Second), peercache.WithDetectionTime(time.Second)}, ""},
		{options{peercache.WithGroupcacheCompat(), peercache.WithHandover(0, time.Second)}, "WithGroupcacheCompat and WithHandover"},
		{options{peercache.WithDiscovery(d), peercache.WithDiscovery(d)}, "WithDiscovery twice"},
		{options{peercache.WithMaxPeers(0), peercache.WithoutStream()}, "WithMaxPeers(0): want 1 to 65535"},
		{options{peercache.WithPeerFilter(nil), peercache.WithoutStream()}, "WithPeerFilter(nil): want"},
		{options{peercache.WithTransport((*http.Transport)(nil)), peercache.WithoutStream()}, "WithTransport(nil): want"},
	} {
		for _, opts := range []options{c.opts, {c.opts[1], c.opts[0]}} {
			pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001", opts...)
			if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "peercache: ")) {
				t.Errorf("%v, want an error that says %q", err, c.says)
			}
			if err == nil {
				pool.Shutdown(t.Context())
			}
		}
	}
	compat, path := peercache.WithGroupcacheCompat(), peercache.WithBasePath("/cache/")
	for _, c := range []struct {
		opts options
		want string
	}{
		{nil, peercache.DefaultBasePath}, {options{compat}, "/_groupcache/"}, {options{path}, "/cache/"},
		{options{compat, path}, "/cache/"}, {options{path, compat}, "/cache/"},
	} {
		pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001", c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if got := pool.BasePath(); got != c.want {
			t.Errorf("the base path %s, want %s", got, c.want)
		}
		pool.Shutdown(t.Context())
	}
}
