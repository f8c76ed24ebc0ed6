package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

const (
	theSecret  = "the secret of this cluster"
	nextSecret = "the secret that comes after it"
)

// TestSecrets has processes with and without a common secret, by the stream and by the plain way.
func TestSecrets(t *testing.T) {
	for _, tt := range []struct {
		name       string
		asker, own []string
		want       string // what is wrong; "": nothing
	}{
		{"the same", []string{theSecret}, []string{theSecret}, ""},
		{"the asker has the next one already", []string{nextSecret, theSecret}, []string{theSecret, nextSecret}, ""},
		{"the owner has the next one already", []string{theSecret, nextSecret}, []string{nextSecret, theSecret}, ""},
		{"different ones", []string{theSecret}, []string{nextSecret}, "want the same WithSecrets"},
		{"the asker has none", nil, []string{theSecret}, "refuses this process"},
		{"the owner has none", []string{theSecret}, nil, "want the same WithSecrets"},
	} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, ", plain: ", plain), func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					var o edition
					var nodes []*placed
					for i, secrets := range [][]string{tt.asker, tt.own} {
						var opts []peercache.PoolOption
						if secrets != nil {
							opts = append(opts, peercache.WithSecrets(secrets[0], secrets[1:]...))
						}
						if plain {
							opts = append(opts, peercache.WithoutStream())
						}
						nodes = append(nodes, place(t, net, i, at(i), &o, nil, opts...))
					}
					for _, n := range nodes {
						if err := n.pool.Set(at(0), at(1)); err != nil {
							t.Fatal(err)
						}
					}
					key := ownedByOther(t, nodes[0].pool)
					for range 3 {
						if _, err := nodes[0].group.Get(t.Context(), key); err != nil {
							t.Error(err)
						}
					}
					s, p := nodes[0].group.Stats(), nodes[0].pool.Stats()[0]
					if tt.want == "" {
						if s.PeerLoads == 0 || s.Loads != 0 || p.Problem != "" {
							t.Errorf("%d values from the peer, %d loads, the problem %q: want all from the peer, and no problem", s.PeerLoads, s.Loads, p.Problem)
						}
						if err := nodes[0].group.Remove(t.Context(), key); err != nil {
							t.Error(err)
						}
						return
					}
					if s.PeerLoads != 0 || !strings.Contains(p.Problem, tt.want) {
						t.Errorf("%d values from the peer, the problem %q: want none, and %q", s.PeerLoads, p.Problem, tt.want)
					}
					if n := nodes[1].group.Stats().ServerRequests; n != 0 && tt.own != nil {
						t.Errorf("the owner has answered %d requests of a process without its secret", n)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					if err := nodes[0].group.Remove(ctx, key); !errors.As(err, new(*peercache.InvalidationError)) {
						t.Errorf("Remove: %v, want an error that names the peer", err)
					}
				})
			})
		}
	}
}

// ownedByOther returns a key that another process owns.
func ownedByOther(t *testing.T, pool *peercache.HTTPPool) string {
	for i := range 1000 {
		if key := fmt.Sprint("key", i); pool.Pick(key, 0) != nil {
			return key
		}
	}
	t.Fatal("this process owns all keys")
	return ""
}

// TestSecretsReplayed overhears what a peer sends, and sends it again: by the plain way the same
// request gets nothing.
func TestSecretsReplayed(t *testing.T) {
	var o origin
	heard := make(chan *http.Request, 16)
	var pool atomic.Pointer[peercache.HTTPPool]
	listen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(bytes.NewReader(body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		if r.Header.Get("Peercache-Auth") != "" {
			select {
			case heard <- again:
			default:
			}
		}
		if p := pool.Load(); p != nil {
			p.ServeHTTP(w, r)
		} else {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
		}
	})
	nodes := newCluster(t, 2, config{
		getter: oneOrigin(&o), second: listen, pool: []peercache.PoolOption{peercache.WithSecrets(theSecret), peercache.WithoutStream()},
	})
	pool.Store(nodes[1].pool)
	key := keyOwnedBy(t, nodes, 0, 1)
	until(t, "the peer is asked with a proof", func() bool {
		nodes[0].get(t, key)
		return len(heard) > 0
	})
	r := <-heard
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", r.Host
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(text), "used before") {
		t.Errorf("%s: %s, want status 403 because the proof was used before", resp.Status, text)
	}
}

func TestSecretsOptions(t *testing.T) {
	for _, tt := range []struct {
		opt  peercache.PoolOption
		want string
	}{
		{peercache.WithSecrets("short"), "want at least 16"},
		{peercache.WithSecrets(theSecret, ""), "secret 1 is empty: want at least 16 bytes"},
		{peercache.WithSecrets(theSecret, theSecret, theSecret, theSecret, theSecret), "want at most 4"},
	} {
		if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "short") {
			t.Errorf("%v, want an error with %q and without a secret", err, tt.want)
		}
	}
	if _, err := peercache.NewHTTPPool("http://127.0.0.1:1", peercache.WithSecrets(theSecret), peercache.WithGroupcacheCompat()); err == nil {
		t.Error("with golang/groupcache: want an error")
	}
}

// TestAuthenticator has a proxy in front of an owner, which says who has sent a request.
func TestAuthenticator(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(self string) (string, error)
		want   string // in the log of the owner; "": the asker is let in
	}{
		{"the sender's name", func(asker string) (string, error) { return asker, nil }, ""},
		{"any name", func(string) (string, error) { return "", nil }, ""},
		{"another name", func(string) (string, error) { return "http://10.0.0.9:8001", nil }, "may not call itself"},
		{"nobody", func(string) (string, error) { return "", errors.New("no header of the proxy") }, "no header of the proxy"},
		{"a panic", func(string) (string, error) { panic("broken") }, "broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o edition
				asker := place(t, net, 0, at(0), &o, nil)
				owner := place(t, net, 1, at(1), &o, nil, peercache.WithAuthenticator(func(*http.Request) (string, error) { return tt.answer(at(0)) }))
				for _, n := range []*placed{asker, owner} {
					if err := n.pool.Set(at(0), at(1)); err != nil {
						t.Fatal(err)
					}
				}
				key := ownedByOther(t, asker.pool)
				if _, err := asker.group.Get(t.Context(), key); err != nil {
					t.Error(err)
				}
				if got := asker.group.Stats().PeerLoads == 1; got != (tt.want == "") {
					t.Errorf("the asker got the value from the owner: %v", got)
				}
				if tt.want != "" && len(owner.log.with("a request was refused", tt.want)) == 0 {
					t.Errorf("the owner does not log %q", tt.want)
				}
				if p := asker.pool.Stats()[0].Problem; strings.Contains(p, "proxy") || strings.Contains(p, "broken") {
					t.Errorf("the asker learns why: %s", p)
				}
			})
		})
	}
}
