package peercache_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// What a browser may send for a page of somebody else is refused, on any path; what peers,
// proxies and people send is not.
func TestRequestsOfForeignPagesAreRefused(t *testing.T) {
	const self = "http://cache.example:8001"
	for name, c := range map[string]struct {
		host    string
		header  http.Header
		refused bool
	}{
		"own host":                    {"cache.example:8001", nil, false},
		"own host, another spelling":  {"CACHE.example.:8001", nil, false},
		"own host without a port":     {"cache.example", nil, false},
		"address":                     {"10.0.0.1:8001", nil, false},
		"address, IPv6":               {"[fe80::1]:8001", nil, false},
		"localhost":                   {"localhost:8001", nil, false},
		"name of an upstream":         {"backend", nil, false},
		"name that is allowed":        {"proxy.example:80", nil, false},
		"foreign host":                {"evil.example:8001", nil, true},
		"foreign host that says peer": {"evil.example:8001", http.Header{"Peercache-Peer": {"http://b.example:8001"}}, true},
		"peer by a proxy":             {"upstream.example", http.Header{"Sec-Peercache": {"1"}}, false},
		"own origin":                  {"cache.example:8001", http.Header{"Origin": {self}}, false},
		"foreign origin":              {"cache.example:8001", http.Header{"Origin": {"http://evil.example"}}, true},
		"foreign address":             {"10.0.0.1:8001", http.Header{"Origin": {"http://10.0.0.9"}}, true},
		"rebound origin":              {"evil.example:8001", http.Header{"Origin": {"http://evil.example:8001"}, "Sec-Fetch-Site": {"same-origin"}}, true},
		"no origin that is told":      {"cache.example:8001", http.Header{"Origin": {"null"}}, true},
		"typed by somebody":           {"10.0.0.1:8001", http.Header{"Sec-Fetch-Site": {"none"}}, false},
		"cross site":                  {"10.0.0.1:8001", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		"same site":                   {"10.0.0.1:8001", http.Header{"Sec-Fetch-Site": {"same-site"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			pool, err := peercache.NewHTTPPool(self, peercache.WithInsecure(), peercache.WithHosts("proxy.example"))
			if err != nil {
				t.Fatal(err)
			}
			var o origin
			if _, err := peercache.NewGroup("test", 1<<20, &o, peercache.WithPeers(pool)); err != nil {
				t.Fatal(err)
			}
			for _, target := range []string{"GET ", "GET test/Tom", "POST get", "POST change", "OPTIONS change"} {
				method, path, _ := strings.Cut(target, " ")
				req := httptest.NewRequest(method, "http://x"+pool.BasePath()+path, nil)
				req.Host = c.host
				for key, values := range c.header {
					req.Header[key] = values
				}
				if method == "POST" {
					req.Header.Set("Content-Type", "application/x-protobuf")
				}
				w := httptest.NewRecorder()
				pool.ServeHTTP(w, req)
				if refused := w.Code == http.StatusForbidden; refused != c.refused {
					t.Errorf("%s: status %d, %s", target, w.Code, w.Body)
				}
			}
			if c.refused && o.total() > 0 {
				t.Errorf("%d loads for a request that is refused", o.total())
			}
		})
	}
	for _, bad := range []string{"", "http://a.example", "a.example:80", "a/b", "a b"} {
		if _, err := peercache.NewHTTPPool(self, peercache.WithHosts(bad)); err == nil || !strings.Contains(err.Error(), "WithHosts") {
			t.Errorf("WithHosts(%q): %v", bad, err)
		}
	}
}

// Peers reach each other by a proxy that writes another name into Host, on streams too.
func TestPeersBehindAProxyThatRewritesHost(t *testing.T) {
	rewrite := func(i int, pool *peercache.HTTPPool) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Host = "upstream.internal.example"
			pool.ServeHTTP(w, r)
		})
	}
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, wrap: rewrite})
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		nodes[0].brings(t, key, "value of "+key)
		if err := nodes[0].group.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		if s := nodes[0].group.Stats(); s.PeerLoads != 1 || nodes[0].statsOf(t, nodes[1]).Keys == 0 {
			t.Errorf("%+v: want the key from its owner, by the stream", s)
		}
	})
}
