package peercache_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/peertls"
)

// TestClosedByDefault has pools at addresses that strangers reach, and at those that only this
// machine does, with and without an option that says who is let in.
func TestClosedByDefault(t *testing.T) {
	ca := testca.New(t, "ours")
	set := &peertls.Set{Certificate: ca.Sign(testca.Template("10.0.0.1")), Roots: testca.Pool(ca)}
	source, err := peertls.New(func() (*peertls.Set, error) { return set, nil })
	if err != nil {
		t.Fatal(err)
	}
	var (
		tls           = peercache.WithTLS(source)
		secrets       = peercache.WithSecrets(theSecret)
		authenticator = peercache.WithAuthenticator(func(*http.Request) (string, error) { return "", nil })
		insecure      = peercache.WithInsecure()
		compat        = peercache.WithGroupcacheCompat()
	)
	type options = []peercache.PoolOption
	all := []string{"is no loopback address", "WithSecrets(", "openssl rand", "WithTLS", "WithAuthenticator", "WithInsecure()"}
	compatible := []string{"is no loopback address", "WithInsecure() beside WithGroupcacheCompat", "WithAuthenticator"}
	for name, tt := range map[string]struct {
		self  string
		opts  options
		want  []string // in the error; nil: there is none
		warns bool
	}{
		"an IPv4 address":                    {self: "http://10.0.0.1:8001", want: all},
		"an IPv6 address":                    {self: "http://[fd00::1]:8001", want: all},
		"a link-local address":               {self: "http://169.254.1.1:8001", want: all},
		"a name":                             {self: "http://cache:8001", want: all},
		"a name that begins as localhost":    {self: "http://localhost.example:8001", want: all},
		"https alone":                        {self: "https://10.0.0.1:8001", want: all},
		"a transport of the user's own":      {self: "https://10.0.0.1:8001", opts: options{peercache.WithTransport(nowhere{})}, want: all},
		"a cluster's name":                   {self: "http://10.0.0.1:8001", opts: options{peercache.WithCluster("scores")}, want: all},
		"groupcache":                         {self: "http://10.0.0.1:8001", opts: options{compat}, want: compatible},
		"groupcache, spelled in its way":     {self: "http://cache:80", opts: options{compat}, want: compatible},
		"loopback":                           {self: "http://127.0.0.1:8001"},
		"all of loopback":                    {self: "http://127.8.9.1:8001"},
		"IPv6 loopback":                      {self: "http://[::1]:8001"},
		"localhost":                          {self: "http://localhost:8001"},
		"groupcache on loopback":             {self: "http://127.0.0.1:8001", opts: options{compat}},
		"WithTLS":                            {self: "https://10.0.0.1:8001", opts: options{tls}},
		"WithSecrets":                        {self: "http://10.0.0.1:8001", opts: options{secrets}},
		"WithTLS and WithSecrets":            {self: "https://10.0.0.1:8001", opts: options{tls, secrets}},
		"WithAuthenticator":                  {self: "http://10.0.0.1:8001", opts: options{authenticator}},
		"groupcache behind a proxy":          {self: "http://10.0.0.1:8001", opts: options{compat, authenticator}},
		"WithInsecure":                       {self: "http://10.0.0.1:8001", opts: options{insecure}, warns: true},
		"WithInsecure with groupcache":       {self: "http://10.0.0.1:8001", opts: options{insecure, compat}, warns: true},
		"WithInsecure on loopback":           {self: "http://127.0.0.1:8001", opts: options{insecure}},
		"WithInsecure and WithTLS":           {self: "https://10.0.0.1:8001", opts: options{insecure, tls}, want: []string{"WithInsecure and WithTLS"}},
		"WithInsecure and WithSecrets":       {self: "http://10.0.0.1:8001", opts: options{secrets, insecure}, want: []string{"WithInsecure and WithSecrets"}},
		"WithInsecure and WithAuthenticator": {self: "http://127.0.0.1:8001", opts: options{insecure, authenticator}, want: []string{"WithInsecure and WithAuthenticator"}},
		"a base URL that is none":            {self: "10.0.0.1:8001", want: []string{"want a base URL, with its scheme"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log warnings
			pool, err := peercache.NewHTTPPool(tt.self, append(tt.opts, peercache.WithPoolLogger(log.logger()))...)
			if err == nil {
				defer pool.Shutdown(inside(t))
			}
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			for _, want := range tt.want {
				if text := err.Error(); !strings.Contains(text, want) || !strings.HasPrefix(text, "peercache: ") || strings.Contains(text, "\n") {
					t.Errorf("%v: want an error of one line with %q", err, want)
				}
			}
			want := 0
			if tt.warns {
				want = 1
			}
			if got := len(log.with("level=WARN")); got != want || tt.warns && len(log.with("because of WithInsecure", tt.self)) != 1 {
				t.Errorf("%d warnings, want %d: %s", got, want, log.with("level="))
			}
		})
	}
}

// TestAnswersItsOwnMachineAlone has a pool with a loopback address whose server listens on all
// interfaces: what comes in at another address is refused, unless an option says that it may.
func TestAnswersItsOwnMachineAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		opts []peercache.PoolOption
		at   net.Addr // where the request has come in
		want int
	}{
		"loopback":             {nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8001}, http.StatusOK},
		"IPv6 loopback":        {nil, &net.TCPAddr{IP: net.IPv6loopback, Port: 8001}, http.StatusOK},
		"a socket in a file":   {nil, &net.UnixAddr{Name: "/run/cache", Net: "unix"}, http.StatusOK},
		"another address":      {nil, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8001}, http.StatusForbidden},
		"another IPv6 address": {nil, &net.TCPAddr{IP: net.ParseIP("fd00::1"), Port: 8001}, http.StatusForbidden},
		"groupcache":           {[]peercache.PoolOption{peercache.WithGroupcacheCompat()}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8001}, http.StatusForbidden},
		"WithInsecure":         {[]peercache.PoolOption{peercache.WithInsecure()}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8001}, http.StatusOK},
		"WithSecrets":          {[]peercache.PoolOption{peercache.WithSecrets(theSecret)}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8001}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			var log warnings
			pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001", append(tt.opts, peercache.WithPoolLogger(log.logger()))...)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Shutdown(inside(t))
			if _, err := peercache.NewGroup("test", 1<<20, &origin{}, peercache.WithPeers(pool)); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				r := httptest.NewRequest("GET", "http://127.0.0.1:8001"+pool.BasePath()+"test/key", nil)
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.at))
				w := httptest.NewRecorder()
				pool.ServeHTTP(w, r)
				if w.Code != tt.want {
					t.Errorf("status %d, %s: want %d", w.Code, w.Body, tt.want)
				}
			}
			want := 0
			if tt.want == http.StatusForbidden {
				want = 1
			}
			if got := log.with("from outside was refused"); len(got) != want {
				t.Errorf("%d warnings, want %d: %s", len(got), want, got)
			}
		})
	}
}
