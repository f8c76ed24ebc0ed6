package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/testca"
	"github.com/peercache/peercache/peertls"
	cachepb "github.com/peercache/peercache/rpc/proto/peercache/v1"
)

// process is one of a cluster whose peers are connected through tunnels.
type process struct {
	pool   *peercache.HTTPPool
	group  *peercache.Group
	server *http.Server
}

// cluster starts processes. scheme is that of their base URLs. The version is what the getters
// return.
func cluster(t *testing.T, scheme string, size int, version *atomic.Int64, opts ...peercache.PoolOption) []*process {
	t.Helper()
	var all []*process
	var names []string
	var listeners []net.Listener
	for range size {
		l := listen(t, "127.0.0.1:0")
		listeners, names = append(listeners, l), append(names, scheme+l.Addr().String())
	}
	for i, self := range names {
		pool, err := peercache.NewHTTPPool(self, append([]peercache.PoolOption{
			peercache.WithTransport(new(Tunnel).Transport()), peercache.WithPoolLogger(slog.New(slog.DiscardHandler))}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		getter := peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
			return fmt.Appendf(nil, "%s of %d", key, version.Load()), nil
		})
		group, err := peercache.NewGroup("g", 8<<20, getter, peercache.WithPeers(pool))
		if err != nil {
			t.Fatal(err)
		}
		p := &process{pool, group, pool.Server()}
		p.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		if scheme == "https://" {
			go p.server.ServeTLS(Listen(listeners[i]), "", "")
		} else {
			go p.server.Serve(Listen(listeners[i]))
		}
		t.Cleanup(func() {
			if err := pool.Shutdown(within(t)); err != nil {
				t.Errorf("Shutdown of %s: %v", self, err)
			}
			p.server.Close()
		})
		all = append(all, p)
	}
	for _, p := range all {
		if err := p.pool.Set(names...); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		if err := p.pool.Ready(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func source(t *testing.T, ca *testca.CA) *peertls.Source {
	t.Helper()
	set := &peertls.Set{Certificate: ca.Sign(testca.Template("127.0.0.1")), Roots: testca.Pool(ca)}
	s, err := peertls.New(func() (*peertls.Set, error) { return set, nil })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPeersProveThemselves checks that secrets and certificates work inside tunnels.
func TestPeersProveThemselves(t *testing.T) {
	ca := testca.New(t, "ours")
	for _, test := range []struct {
		name, scheme string
		opts         []peercache.PoolOption
		stranger     []peercache.PoolOption
	}{
		{"secret", "http://", []peercache.PoolOption{peercache.WithSecrets("the secret of this cluster")}, []peercache.PoolOption{peercache.WithSecrets("the secret of another one")}},
		{"TLS", "https://", []peercache.PoolOption{peercache.WithTLS(source(t, ca))}, []peercache.PoolOption{peercache.WithTLS(source(t, testca.New(t, "theirs")))}},
		{"both", "https://", []peercache.PoolOption{peercache.WithTLS(source(t, ca)), peercache.WithSecrets("the secret of this cluster")}, []peercache.PoolOption{peercache.WithTLS(source(t, ca))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var version atomic.Int64
			all := cluster(t, test.scheme, 3, &version, test.opts...)
			for i := range 30 {
				key := fmt.Sprint("key ", i)
				for _, p := range all {
					if view, err := p.group.Get(within(t), key); err != nil || view.String() != key+" of 0" {
						t.Fatalf("Get: %v, %v", view, err)
					}
				}
			}
			loads := int64(0)
			for _, p := range all {
				loads += p.group.Stats().Loads
			}
			if loads != 30 {
				t.Errorf("30 keys were loaded %d times: want each once", loads)
			}
			version.Add(1)
			if err := all[0].group.Remove(within(t), "key 1"); err != nil {
				t.Errorf("Remove: %v", err)
			}
			for _, p := range all {
				if view, err := p.group.Get(within(t), "key 1"); err != nil || view.String() != "key 1 of 1" {
					t.Errorf("Get after Remove: %v, %v", view, err)
				}
				for _, s := range p.pool.Stats() {
					if s.Transport != "stream" {
						t.Errorf("a peer is asked by %q, want a stream", s.Transport)
					}
				}
			}
			stranger, err := peercache.NewHTTPPool(test.scheme+"127.0.0.1:1", append(test.stranger,
				peercache.WithTransport(new(Tunnel).Transport()), peercache.WithPoolLogger(slog.New(slog.DiscardHandler)))...)
			if err != nil {
				t.Fatal(err)
			}
			group, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("mine"), nil }), peercache.WithPeers(stranger))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stranger.Shutdown(within(t)) })
			at := all[0].pool.Identity().Name
			if err := stranger.Set(at, test.scheme+"127.0.0.1:1"); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			for i := range 10 {
				if view, err := group.Get(within(t), fmt.Sprint("key ", i)); err == nil && view.String() != "mine" {
					t.Errorf("a stranger got %q", view)
				}
			}
			if err := group.Clear(ctx); err == nil {
				t.Error("a stranger cleared the group, without an error")
			}
			if items := all[0].group.Stats().Main.Items; items == 0 {
				t.Error("a stranger cleared the group")
			}
		})
	}
}

// TestStrangersAreBounded checks that who opens many tunnels and says nothing loses them, and that
// peers get through meanwhile.
func TestStrangersAreBounded(t *testing.T) {
	var version atomic.Int64
	all := cluster(t, "http://", 2, &version, peercache.WithSecrets("the secret of this cluster"),
		peercache.WithLimits(peercache.Limits{Unproven: 8, UnprovenTime: 200 * time.Millisecond}))
	at := strings.TrimPrefix(all[0].pool.Identity().Name, "http://")
	ended := make(chan error, 64)
	for range cap(ended) {
		c, err := new(Tunnel).DialContext(within(t), "tcp", at)
		if err != nil {
			ended <- nil
			continue
		}
		t.Cleanup(func() { c.Close() })
		go func() {
			c.SetReadDeadline(time.Now().Add(15 * time.Second))
			_, err := io.Copy(io.Discard, c)
			ended <- err
		}()
	}
	for i := range 50 {
		if _, err := all[1].group.Get(within(t), fmt.Sprint("key ", i)); err != nil {
			t.Errorf("Get during an attack: %v", err)
		}
	}
	for range cap(ended) {
		var n net.Error
		if err := <-ended; errors.As(err, &n) && n.Timeout() {
			t.Fatal("a stranger keeps a connection on which he says nothing")
		}
	}
	if s := all[1].group.Stats(); s.PeerErrors > 0 {
		t.Errorf("%d times a peer could not be reached", s.PeerErrors)
	}
}

// TestWatchInACluster checks that a client of one process hears of changes by another one.
func TestWatchInACluster(t *testing.T) {
	var version atomic.Int64
	all := cluster(t, "http://", 2, &version)
	_, cc := serve(t, []door.Cache{all[0].group})
	c := cachepb.NewCacheClient(cc)
	w := watch(t, c)
	for !next(t, w).GetLive() {
	}
	for i := range 20 {
		key := fmt.Sprint("key ", i)
		get := func() string {
			r, err := c.Get(within(t), &cachepb.GetRequest{Group: "g", Key: []byte(key)})
			if err != nil {
				t.Fatal(err)
			}
			return string(r.GetValue())
		}
		old := get()
		version.Add(1)
		if err := all[1].group.Remove(within(t), key); err != nil {
			t.Fatal(err)
		}
		for told := false; !told; {
			m := next(t, w)
			told = m.GetReset_()
			for _, k := range m.GetKeys() {
				told = told || string(k) == key
			}
		}
		if now := get(); now == old {
			t.Errorf("after a change of %q that the client was told of, it is still %q", key, now)
		}
	}
}
