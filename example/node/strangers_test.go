//go:build unix

package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/peertls"
)

// stranger is a process that is not to be let in.
type stranger struct {
	name string
	*identity
	want   string // in the log of who refuses it
	shakes bool   // it is refused after the handshake
}

// identity is what a process has to show.
type identity struct {
	dir    *testca.Dir // nil: what cannot be had by files
	client *tls.Config // which trusts anybody
}

// files returns the identity of a process whose certificate and CA are of one CA.
func files(t *testing.T, ca *testca.CA, host string) *identity {
	id := configs(t, ca, host)
	id.dir = testca.NewDir(t)
	id.dir.Write(id.client.Certificates[0], ca)
	return id
}

// configs returns the identity of a process that has a certificate, and trusts anybody.
func configs(t *testing.T, ca *testca.CA, host string) *identity {
	return &identity{client: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.Sign(testca.Template(host))}}}
}

// source returns what a pool takes.
func (id *identity) source(t *testing.T) *peertls.Source {
	server := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, Certificates: id.client.Certificates}
	source, err := peertls.Configs(server, id.client)
	if id.dir != nil {
		source, err = peertls.Files(id.dir.Cert, id.dir.Key, id.dir.CA)
	}
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// refuses checks that a stranger gets nothing, in each way from another node, because one says
// the same once in 10 seconds.
func (c *tlsCluster) refuses(t *testing.T, s stranger) {
	client := newClient(t, 1)
	before := stats(t, client, c.nodes)
	c.ask(t, s, c.nodes[0])
	c.ask(t, s, c.nodes[1], peercache.WithoutStream())
	if s.dir != nil { // the program as it is
		p := start(t, nodeReady, append([]string{"-port", "0", "-api", "127.0.0.1:0", "-peers", "-"}, tlsArgs(s.dir)...)...)
		fmt.Fprintln(p.stdin, p.peer+","+c.nodes[2].peer)
		until(t, "it says that it is not let in", func() bool { return len(p.stderr.lines("level=WARN", "not authenticated")) > 0 })
		c.logs(t, s, c.nodes[2])
		p.stop(t, os.Interrupt)
	}
	for _, n := range c.nodes {
		c.request(t, s, n)
	}
	if after := stats(t, client, c.nodes); after.ServerRequests != before.ServerRequests || after.Main != before.Main {
		t.Errorf("the nodes have answered %d requests of a stranger, their caches were %+v and are %+v",
			after.ServerRequests-before.ServerRequests, before.Main, after.Main)
	}
}

// logs waits until a node has logged why it refuses a stranger.
func (c *tlsCluster) logs(t *testing.T, s stranger, n *process) {
	t.Helper()
	until(t, n.peer+" logs "+s.want, func() bool { return len(n.stderr.lines("level=WARN", "event=rejected", s.want)) > 0 })
}

// ask has the pool of a stranger ask a node for what it has, by the way that the options say.
func (c *tlsCluster) ask(t *testing.T, s stranger, n *process, opts ...peercache.PoolOption) {
	t.Helper()
	const self = "https://127.0.0.1:1"
	pool, err := peercache.NewHTTPPool(self, append(opts, peercache.WithTLS(s.source(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Shutdown(t.Context())
	const mine = "by the stranger's own getter"
	load := func(context.Context, string) ([]byte, error) { return []byte(mine), nil }
	group, err := peercache.NewGroup("files", 1<<20, peercache.GetterFunc(load), peercache.WithPeers(pool))
	if err == nil {
		err = pool.Set(self, n.peer)
	}
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for key := range c.files {
		if pool.Pick(key, 0) == nil {
			continue
		}
		if view, err := group.Get(t.Context(), key); err != nil || view.String() != mine {
			t.Errorf("%s: %.100q, %v: want what the stranger has loaded", key, view, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := group.Remove(ctx, key); err == nil {
			t.Error("Remove: no error, want one that names the node")
		}
		cancel()
		if asked++; asked == 3 {
			break
		}
	}
	if got := group.Stats().PeerLoads; got != 0 {
		t.Errorf("%d values from the node, want none", got)
	}
	if p := pool.Stats()[0]; p.Problem == "" {
		t.Errorf("the stranger does not know why it gets nothing: %+v", p)
	}
	c.logs(t, s, n)
}

// request sends requests to a node as anybody can write them, by the name of another node: for a
// stream, and by the plain way.
func (c *tlsCluster) request(t *testing.T, s stranger, n *process) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.client}}
	defer client.CloseIdleConnections()
	var key string
	for key = range c.files { // any
		break
	}
	for _, r := range []struct {
		method, path string
		header       http.Header
	}{
		{"GET", "", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"peercache"}}},
		{"GET", "", http.Header{}},
		{"GET", "files/" + key, http.Header{}},
		{"POST", "get", http.Header{}},
		{"POST", "change", http.Header{}},
	} {
		req, err := http.NewRequestWithContext(t.Context(), r.method, n.peer+peercache.DefaultBasePath+r.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = r.header
		for _, other := range c.nodes {
			if other != n {
				req.Header.Set("Peercache-Peer", other.peer)
			}
		}
		resp, err := client.Do(req)
		if s.shakes != (err == nil) {
			t.Errorf("%s %q %v: %v, want a handshake that succeeds: %t", r.method, r.path, r.header, err, s.shakes)
		}
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), s.want) {
			t.Errorf("%s %q %v: %s: %.100q, want status 403 and %q", r.method, r.path, r.header, resp.Status, text, s.want)
		}
	}
}
