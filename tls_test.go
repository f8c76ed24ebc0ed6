package peercache_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/peertls"
)

// secured is a process whose pool has a WithTLS, on a real connection.
type secured struct {
	dir   *testca.Dir
	pool  *peercache.HTTPPool
	group *peercache.Group
	url   string
	log   warnings
}

// secure starts processes, each with a certificate for 127.0.0.1, and lists them.
func secure(t *testing.T, n int, o peercache.Getter, ca *testca.CA, opts ...peercache.PoolOption) []*secured {
	var all []*secured
	var urls []string
	for range n {
		dir := testca.NewDir(t)
		dir.Write(ca.Sign(testca.Template("127.0.0.1")), ca)
		s := startSecured(t, "127.0.0.1", dir, o, opts...)
		all, urls = append(all, s), append(urls, s.url)
	}
	for _, s := range all {
		if err := s.pool.Set(urls...); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range all {
		if err := s.pool.Ready(inside(t)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// startSecured starts a process that knows no others, and whose base URL has that host.
func startSecured(t *testing.T, host string, dir *testca.Dir, o peercache.Getter, opts ...peercache.PoolOption) *secured {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	source, err := peertls.Files(dir.Cert, dir.Key, dir.CA, peertls.Every(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := &secured{dir: dir, url: "https://" + host + ":" + port}
	opts = append([]peercache.PoolOption{peercache.WithTLS(source), peercache.WithPoolLogger(s.log.logger())}, opts...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.url, s.log.with("level"))
		}
	})
	if s.pool, err = peercache.NewHTTPPool(s.url, opts...); err != nil {
		t.Fatal(err)
	}
	if s.group, err = peercache.NewGroup("test", 8<<20, o, peercache.WithPeers(s.pool), peercache.WithHotShare(0)); err != nil {
		t.Fatal(err)
	}
	server := s.pool.Server()
	var serving sync.WaitGroup
	serving.Go(func() { server.ServeTLS(l, "", "") })
	t.Cleanup(func() {
		if err := s.pool.Shutdown(inside(t)); err != nil {
			t.Error(err)
		}
		server.Close()
		serving.Wait()
	})
	return s
}

// otherKey returns a key that another process owns than the one that asks.
func (s *secured) otherKey(t *testing.T) string {
	for i := range 1000 {
		if key := fmt.Sprint("key", i); s.pool.Pick(key, 0) != nil {
			return key
		}
	}
	t.Fatal("this process owns all keys")
	return ""
}

// opened returns how many streams the process has opened to its peers.
func (s *secured) opened() (n int64) {
	for _, p := range s.pool.Stats() {
		n += p.Reconnects + 1
	}
	return n
}

// until waits for what happens on real connections, at most as long as inside.
func until(t *testing.T, what string, happened func() bool) {
	t.Helper()
	ctx := inside(t)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not happen that %s", what)
		}
	}
}

// TestTLSRotation rotates certificates and CAs, twice, under readers: no Get fails, nothing is
// loaded again, and in the end the CA of before opens no door.
func TestTLSRotation(t *testing.T) {
	var o origin
	ca := testca.New(t, "CA 0")
	nodes := secure(t, 3, &o, ca)
	var keys []string
	for i := range 200 {
		keys = append(keys, fmt.Sprint("key", i))
	}
	for _, n := range nodes { // each asks each
		for _, key := range keys {
			if _, err := n.group.Get(inside(t), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	loads := o.total()

	var readers sync.WaitGroup
	var stop atomic.Bool
	var gets atomic.Int64
	for r := range 64 {
		readers.Go(func() {
			for i := r; !stop.Load(); i++ {
				n, key := nodes[i%len(nodes)], keys[i*7%len(keys)]
				if view, err := n.group.Get(inside(t), key); err != nil || view.String() != "value of "+key {
					t.Errorf("%s: %q, %v", key, view, err)
					return
				}
				gets.Add(1)
			}
		})
	}
	for round := 1; round <= 2; round++ {
		next := testca.New(t, fmt.Sprint("CA ", round))
		for _, step := range []struct {
			sign *testca.CA
			cas  []*testca.CA
		}{{ca, []*testca.CA{ca, next}}, {next, []*testca.CA{ca, next}}, {next, []*testca.CA{next}}} {
			before := make([]int64, len(nodes))
			for i, n := range nodes {
				before[i] = n.opened()
			}
			for _, n := range nodes {
				n.dir.Write(step.sign.Sign(testca.Template("127.0.0.1")), step.cas...)
			}
			for i, n := range nodes { // each has opened all streams anew
				until(t, "all streams are opened anew", func() bool { return n.opened() >= before[i]+2 })
			}
		}
		ca = next
	}
	stop.Store(true)
	readers.Wait()
	t.Logf("%d Gets, %d streams opened by the first process", gets.Load(), nodes[0].opened())
	if n := o.total(); n != loads {
		t.Errorf("%d loads during the rotation, want none", n-loads)
	}
	for _, n := range nodes {
		// A step may come before the streams of the step before are closed, which are ended then.
		if lines := n.log.with("level=WARN"); len(lines) > len(n.log.with("the stream of a peer is ended")) {
			t.Errorf("warnings of a rotation without a fault: %v", lines)
		}
	}
}

// TestTLSRevocation takes away the CA of one process alone: it is let in nowhere, by no way, its
// open stream is ended, and both sides say why.
func TestTLSRevocation(t *testing.T) {
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("plain: ", plain), func(t *testing.T) {
			var opts []peercache.PoolOption
			if plain {
				opts = append(opts, peercache.WithoutStream())
			}
			var o origin
			ca, next := testca.New(t, "CA 0"), testca.New(t, "CA 1")
			nodes := secure(t, 2, &o, ca, opts...)
			key := nodes[1].otherKey(t)
			if _, err := nodes[1].group.Get(inside(t), key); err != nil {
				t.Fatal(err)
			}
			if n := nodes[1].group.Stats().PeerLoads; n != 1 {
				t.Fatalf("%d values from the peer, want 1", n)
			}
			nodes[0].dir.Write(next.Sign(testca.Template("127.0.0.1")), next)
			until(t, "the peer has a problem", func() bool {
				if _, err := nodes[1].group.Get(inside(t), key); err != nil {
					t.Fatal(err)
				}
				return nodes[1].pool.Stats()[0].Problem != ""
			})
			got := nodes[1].group.Stats().PeerLoads
			if _, err := nodes[1].group.Get(inside(t), key); err != nil {
				t.Error(err) // it loads by itself
			}
			if n := nodes[1].group.Stats().PeerLoads; n != got {
				t.Errorf("a process whose certificate is not accepted any more got a value")
			}
			var problem *peercache.ConfigError
			if err := nodes[1].group.Remove(inside(t), key); !errors.As(err, new(*peercache.InvalidationError)) {
				t.Errorf("Remove: %v, want an error that names the peer", err)
			} else if errors.As(err, &problem) {
				t.Log(err)
			}
			if p := nodes[1].pool.Stats()[0].Problem; !strings.Contains(p, "certificate") {
				t.Errorf("the problem of the peer is %q, want what is wrong with certificates", p)
			}
			if len(nodes[0].log.with("certificate")) == 0 && len(nodes[0].log.with("connection has failed")) == 0 {
				t.Error("the process that refuses does not log why")
			}
		})
	}
}

// TestTLSStrangers sends requests to a process with what a stranger, or a process of another
// service, may have.
func TestTLSStrangers(t *testing.T) {
	var o origin
	ca, other := testca.New(t, "ours"), testca.New(t, "another")
	node := secure(t, 2, &o, ca)[0]
	key := "key"
	if _, err := node.group.Get(inside(t), key); err != nil {
		t.Fatal(err)
	}
	scraper := ca.Sign(testca.Template("metrics.example"))
	expired := testca.Template("127.0.0.1")
	expired.NotAfter = time.Now().Add(-time.Minute)
	forServers := testca.Template("127.0.0.1")
	forServers.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, tt := range []struct {
		name string
		cert *tls.Certificate
		from string
		want string // of the answer, or of the log of the process
	}{
		{"no certificate", nil, "https://127.0.0.1:1", "client didn't provide a certificate"},
		{"another CA", new(other.Sign(testca.Template("127.0.0.1"))), "https://127.0.0.1:1", "unknown authority"},
		{"expired", new(ca.Sign(expired)), "https://127.0.0.1:1", "expired"},
		{"for servers alone", new(ca.Sign(forServers)), "https://127.0.0.1:1", "incompatible key usage"},
		{"another identity", &scraper, "https://127.0.0.1:1", "may not call itself"},
		{"the name of a peer", &scraper, node.pool.Stats()[0].Peer, "may not call itself"},
		{"no name", &scraper, "", "without the name of a peer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := &tls.Config{InsecureSkipVerify: true}
			if tt.cert != nil {
				config.Certificates = []tls.Certificate{*tt.cert}
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
			defer client.CloseIdleConnections()
			for _, r := range []struct {
				method, path string
				upgrade      bool
			}{{"GET", "", true}, {"GET", "", false}, {"GET", "test/" + key, false}, {"POST", "get", false}, {"POST", "change", false}} {
				req, err := http.NewRequestWithContext(inside(t), r.method, node.url+node.pool.BasePath()+r.path, bytes.NewReader(nil))
				if err != nil {
					t.Fatal(err)
				}
				if tt.from != "" {
					req.Header.Set("Peercache-Peer", tt.from)
				}
				if r.upgrade {
					req.Header.Set("Connection", "Upgrade")
					req.Header.Set("Upgrade", "peercache")
				}
				resp, err := client.Do(req)
				if err != nil {
					if _, ok := errors.AsType[*url.Error](err); !ok {
						t.Error(err)
					}
					until(t, "the process logs "+tt.want, func() bool { return len(node.log.with(tt.want)) > 0 })
					continue
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), tt.want) {
					t.Errorf("%s %s: %s: %s, want status 403 and %q", r.method, r.path, resp.Status, text, tt.want)
				}
			}
		})
	}
	if n := len(node.log.with("level=WARN")); n > 14 {
		t.Errorf("%d warnings of 35 requests, want one of a kind", n)
	}
}

// TestTLSWrongName has a process whose base URL is not in its certificate: it is refused, says so,
// and so do its peers.
func TestTLSWrongName(t *testing.T) {
	var o origin
	ca := testca.New(t, "ours")
	dir, wrong := testca.NewDir(t), testca.NewDir(t)
	dir.Write(ca.Sign(testca.Template("127.0.0.1")), ca)
	wrong.Write(ca.Sign(testca.Template("127.0.0.1")), ca)
	good, bad := startSecured(t, "127.0.0.1", dir, &o), startSecured(t, "localhost", wrong, &o)
	for _, n := range []*secured{good, bad} {
		if err := n.pool.Set(good.url, bad.url); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []*secured{good, bad} {
		until(t, "the process says what is wrong", func() bool {
			n.group.Get(inside(t), n.otherKey(t))
			return len(n.log.with("not authenticated")) > 0
		})
	}
	var problem *peercache.ConfigError
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := bad.pool.Ready(ctx); !errors.As(err, &problem) || problem.Problem != peercache.Unauthenticated {
		t.Errorf("Ready: %v, want a problem that is Unauthenticated", err)
	}
}

func TestTLSOptions(t *testing.T) {
	ca := testca.New(t, "ours")
	set := &peertls.Set{Certificate: ca.Sign(testca.Template("127.0.0.1")), Roots: testca.Pool(ca)}
	source, err := peertls.New(func() (*peertls.Set, error) { return set, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		self, want string
		opts       []peercache.PoolOption
	}{
		{"http://127.0.0.1:1", "want https://", nil},
		{"https://127.0.0.1:1", "WithTLS and WithTransport", []peercache.PoolOption{peercache.WithTransport(&http.Transport{})}},
		{"https://127.0.0.1:1", "WithTLS and WithGroupcacheCompat", []peercache.PoolOption{peercache.WithGroupcacheCompat()}},
		{"https://127.0.0.1:1", "WithTLS(nil)", []peercache.PoolOption{peercache.WithTLS(nil)}},
	} {
		if _, err := peercache.NewHTTPPool(tt.self, append(tt.opts, peercache.WithTLS(source))...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v, want an error with %q", err, tt.want)
		}
	}
	pool, err := peercache.NewHTTPPool("https://127.0.0.1:1", peercache.WithTLS(source))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Shutdown(inside(t))
	if err := pool.Set("https://127.0.0.1:1", "http://127.0.0.1:2"); err == nil || !strings.Contains(err.Error(), "want https://") {
		t.Errorf("Set: %v, want an error that asks for https://", err)
	}
}
