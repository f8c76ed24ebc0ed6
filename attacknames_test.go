package peercache_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/testca"
)

// TestNamesThatAreNotItsOwn has a process of another service, with a certificate of the same CA. However
// it writes the name of a peer, or one that WithAccess lets in, it gets nothing.
func TestNamesThatAreNotItsOwn(t *testing.T) {
	const console = "https://console.example:8443"
	var o origin
	ca := testca.New(t, "ours")
	nodes := secure(t, 2, &o, ca, peercache.WithAccess(func(a peercache.Access) error {
		if a.From == console {
			return nil
		}
		if a.Default == nil && !a.Member {
			return errors.New("want a member")
		}
		return a.Default
	}))
	template := testca.Template("metrics.example")
	template.DNSNames = append(template.DNSNames, "*.example.org", "127.0.0.1")
	cert := ca.Sign(template)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}}}
	defer client.CloseIdleConnections()
	listed := nodes[1].url
	_, host, _ := strings.Cut(listed, "://")
	for _, name := range []string{
		listed, listed + "/", listed + ".", strings.ToUpper(listed), " " + listed, "http://" + host,
		"https://metrics.example:1@" + host, "https://" + host + "@metrics.example", "https://metrics.example/" + listed,
		"https://metrics.example#" + listed, "https://metrics.example?" + listed, "https://metrics.example\\" + host,
		"//metrics.example", "metrics.example", "https:metrics.example", "https://[::ffff:127.0.0.1]", "https://127.1", "https://127.0.0.1.",
		"https://*.example.org", "https://a.example.org", "https://a.b.example.org", "https://metrics.example",
		console, "https://console.example.:8443", "https://metrics.example/" + console, console + "@metrics.example", "https://metrics.example:8443",
	} {
		for _, second := range []string{"", listed, console} {
			req, err := http.NewRequestWithContext(inside(t), http.MethodGet, nodes[0].url+nodes[0].pool.BasePath()+"test/key", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header["Peercache-Peer"] = []string{name}
			if second != "" {
				req.Header["Peercache-Peer"] = []string{name, second}
				req.Header["peercache-peer"] = []string{second}
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				t.Errorf("%q, and %q: %s, want 403", name, second, resp.Status)
			}
		}
	}
	if n := nodes[0].group.Stats().ServerRequests; n != 0 {
		t.Errorf("%d requests were answered", n)
	}
}
