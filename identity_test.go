package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// warnings is a log of what is a warning or worse.
type warnings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *warnings) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *warnings) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// with returns the lines that have all of some parts.
func (w *warnings) with(parts ...string) (lines []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
next:
	for line := range strings.Lines(w.text.String()) {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				continue next
			}
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// placed is a node that listens on a host, with a name that may be another's.
type placed struct {
	*node
	log warnings
}

// place starts a node on the i-th host that takes itself for the one at self.
func place(t *testing.T, net *simnet.Network, i int, self string, getter peercache.Getter, wrap func(http.Handler) http.Handler, opts ...peercache.PoolOption) *placed {
	t.Helper()
	opts = append([]peercache.PoolOption{peercache.WithTransport(net.Host(host(i)).Transport())}, opts...)
	return placeOn(t, net, i, self, getter, nil, wrap, opts...)
}

// placeOn starts a node on the i-th host that takes itself for the one at self, on a server that
// change may change. The options have the transport.
func placeOn(t *testing.T, net *simnet.Network, i int, self string, getter peercache.Getter, change func(*http.Server), wrap func(http.Handler) http.Handler, opts ...peercache.PoolOption) *placed {
	t.Helper()
	p := &placed{node: &node{url: self}}
	var err error
	if p.pool, err = peercache.NewHTTPPool(self, append(opts, peercache.WithPoolLogger(p.log.logger()), peercache.OrInsecure)...); err != nil {
		t.Fatal(err)
	}
	if p.group, err = peercache.NewGroup("test", 1<<20, getter, peercache.WithPeers(p.pool)); err != nil {
		t.Fatal(err)
	}
	handler := http.Handler(p.pool)
	if wrap != nil {
		handler = wrap(handler)
	}
	l, err := net.Host(host(i)).Listen(host(i) + ":8001")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	if change != nil {
		change(server)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Serve(l)
	}()
	p.end = func() {
		server.Close()
		<-ended
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p.pool.Shutdown(ctx) // which may fail: nobody can be told
		p.end()
	})
	return p
}

// unready returns the error of Ready, with some patience.
func (p *placed) unready(t *testing.T) error {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	return p.pool.Ready(ctx)
}

// at returns the base URL of the i-th host.
func at(i int) string { return "http://" + host(i) + ":8001" }

// edition is an origin whose values all change at once.
type edition struct{ now atomic.Int64 }

func (o *edition) Get(context.Context, string) (peercache.Item, error) {
	return peercache.Item{Value: fmt.Append(nil, o.now.Load())}, nil
}

// checkFresh has each node Remove keys, and looks for what is stale where that returned nil.
// It returns how many Removes failed, by node.
func checkFresh(t *testing.T, o *edition, nodes []*placed) (failed []int) {
	t.Helper()
	failed = make([]int, len(nodes))
	for i, remover := range nodes {
		for k := range 20 {
			key := fmt.Sprint("key", k)
			for _, n := range nodes {
				n.group.Get(t.Context(), key)
			}
			o.now.Add(1)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := remover.group.Remove(ctx, key)
			cancel()
			if err != nil {
				failed[i]++
				continue
			}
			for j, n := range nodes {
				if v, err := n.group.Get(t.Context(), key); err != nil || v.String() != fmt.Sprint(o.now.Load()) {
					t.Errorf("%s: node %d has %q (%v) after a Remove of node %d returned nil: want %d", key, j, v, err, i, o.now.Load())
				}
			}
		}
	}
	return failed
}

// A process that has the wrong self, or is listed under a wrong name, is found out: no
// Remove returns nil that is followed by a stale read, Ready says so, and one warning.
func TestP8WrongSelf(t *testing.T) {
	for name, c := range map[string]struct {
		selves []int   // of the node on each host
		lists  [][]int // by node; nil: all hosts
		ready  []bool  // by node
		failed []bool  // the Removes of a node
		says   []string
		// culprits is what Ready says, by node. The problem of a node's own is the only one that it
		// names.
		culprits map[int]string
	}{
		"copied": {
			selves: []int{0, 0}, ready: []bool{false, false}, failed: []bool{true, true},
			says:     []string{at(1), "has the self of this one", at(0), "start it with the self " + at(1)},
			culprits: map[int]string{1: "another process answers there, and has the same self"},
		},
		"two of three are swapped": {
			selves: []int{1, 0, 2}, ready: []bool{false, false, false}, failed: []bool{true, true, true},
			says: []string{at(1), "another process answers at the address that this one has as its self", at(0)},
			culprits: map[int]string{
				0: "another process answers at the address that this one has as its self",
				1: "another process answers at the address that this one has as its self",
				2: "a copied setting?",
			},
		},
		"copied, and nobody lists it": {
			selves: []int{0, 1, 0}, lists: [][]int{{0, 1}, {0, 1}, {0, 1}}, ready: []bool{true, true, false}, failed: []bool{false, false, true},
			culprits: map[int]string{2: "another process answers there, and has the same self as this one: give this one its own address"},
		},
		"copied, alone": {
			selves: []int{0, 0}, lists: [][]int{{0}, {0}}, ready: []bool{true, false}, failed: []bool{false, true},
		},
		"right": {selves: []int{0, 1, 2}, ready: []bool{true, true, true}, failed: []bool{false, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o edition
				var nodes []*placed
				for i, self := range c.selves {
					nodes = append(nodes, place(t, net, i, at(self), &o, nil))
				}
				setLists(t, nodes, c.lists)
				failed := checkFresh(t, &o, nodes)
				for i, n := range nodes {
					err := n.unready(t)
					if (err == nil) != c.ready[i] {
						t.Errorf("node %d: Ready returns %v: want nil: %v", i, err, c.ready[i])
					}
					var config *peercache.ConfigError
					if err != nil && (!errors.As(err, &config) || config.Problem != peercache.WrongProcess) {
						t.Errorf("node %d: Ready returns %v: want a ConfigError, WrongProcess", i, err)
					}
					if want := c.culprits[i]; want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
						t.Errorf("node %d: Ready returns %v: want that it says %q", i, err, want)
					}
					if c.failed[i] != (failed[i] == 20) || !c.failed[i] && failed[i] > 0 {
						t.Errorf("node %d: %d of 20 Removes failed: want all: %v", i, failed[i], c.failed[i])
					}
				}
				synctest.Wait()
				if c.says != nil {
					if lines := nodes[0].log.with(append(c.says, "the configuration is wrong")...); len(lines) != 1 {
						t.Errorf("%d warnings with %q: want one: %s", len(lines), c.says, nodes[0].log.text.String())
					}
				}
			})
		})
	}
}

// Two addresses of one process, two processes at one address, a peer of another cluster.
func TestP8WhoIsListed(t *testing.T) {
	t.Run("one process at two addresses", func(t *testing.T) {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			var o edition
			n := place(t, net, 0, at(0), &o, nil)
			end, err := simnet.Serve(net.Host(host(1)), host(1)+":8001", n.pool)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(end)
			if err := n.pool.Set(at(0), at(1)); err != nil {
				t.Fatal(err)
			}
			if err := n.unready(t); err == nil || !strings.Contains(err.Error(), "this process itself answers there") {
				t.Errorf("Ready returns %v", err)
			}
			if failed := checkFresh(t, &o, []*placed{n}); failed[0] != 20 {
				t.Errorf("%d of 20 Removes failed: want all", failed[0])
			}
			if lines := n.log.with("this process itself answers there", at(0), at(1)); len(lines) != 1 {
				t.Errorf("%q: want one warning", lines)
			}
		})
	})
	t.Run("two processes at one address", func(t *testing.T) {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			var o edition
			var turn atomic.Int64
			var two []*placed
			balance := func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					to := h
					if len(two) == 2 && turn.Add(1)%2 == 0 {
						to = two[1].pool
					} else if len(two) > 0 {
						to = two[0].pool
					}
					to.ServeHTTP(w, r)
				})
			}
			first := place(t, net, 0, at(0), &o, balance)
			second := place(t, net, 1, at(0), &o, nil)
			two = []*placed{first, second}
			if err := second.pool.Set(at(0)); err != nil {
				t.Fatal(err)
			}
			if err := second.unready(t); err == nil || !strings.Contains(err.Error(), "another process answers") {
				t.Errorf("Ready returns %v", err)
			}
			if failed := checkFresh(t, &o, two); failed[1] != 20 {
				t.Errorf("%d of 20 Removes of the second failed: want all", failed[1])
			}
			third := place(t, net, 2, at(2), &o, nil)
			if err := third.pool.Set(at(0), at(2)); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			if err := third.group.Remove(ctx, "key0"); err == nil {
				t.Error("a Remove of the third succeeds: want the error of who knows that it has a double")
			}
			for k := range 20 { // each by a request of its own, which leads to either
				third.group.Get(t.Context(), fmt.Sprint("other", k))
			}
			if failed := checkFresh(t, &o, []*placed{third}); failed[0] != 20 {
				t.Errorf("%d of 20 Removes of the third failed: want all", failed[0])
			}
		})
	})
	t.Run("another cluster", func(t *testing.T) {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			var o edition
			var nodes []*placed
			for i, name := range []string{"blue", "blue", "green"} {
				nodes = append(nodes, place(t, net, i, at(i), &o, nil, peercache.WithCluster(name)))
			}
			setAll(t, nodes...)
			for i, n := range nodes {
				if err := n.unready(t); err == nil || !strings.Contains(err.Error(), "green") || !strings.Contains(err.Error(), "blue") {
					t.Errorf("node %d: Ready returns %v: want an error with both names", i, err)
				}
			}
			if lines := nodes[0].log.with("green", at(2)); len(lines) != 1 {
				t.Errorf("%q: want one warning", lines)
			}
		})
	})
}

// The own server that does not listen, or has the pool elsewhere, is no healthy process.
func TestP11ReadyFindsItself(t *testing.T) {
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want string
	}{
		"not mounted":       {func(http.Handler) http.Handler { return http.NotFoundHandler() }, "404"},
		"another base path": {func(h http.Handler) http.Handler { return http.StripPrefix("/_peercache", h) }, "404"},
		"not listening":     {nil, "want its server listening there"},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o edition
				n := place(t, net, 0, at(0), &o, c.wrap)
				place(t, net, 1, at(1), &o, nil)
				if c.wrap == nil {
					n.end()
				}
				if err := n.pool.Set(at(0), at(1)); err != nil {
					t.Fatal(err)
				}
				if err := n.unready(t); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Ready returns %v: want %q", err, c.want)
				}
				synctest.Wait()
				if lines := n.log.with("the configuration is wrong", "peer="+at(0)); len(lines) != 1 {
					t.Errorf("%q: want one warning: %s", lines, n.log.text.String())
				}
				// Its peers do not believe what it says, which is due to itself.
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				err := n.group.Remove(ctx, "key")
				var config *peercache.ConfigError
				if !errors.As(err, &config) || config.Peer != at(0) || time.Since(start) > 2*time.Second {
					t.Errorf("Remove returns %v after %v: want an error that names the own address, soon", err, time.Since(start))
				}
			})
		})
	}
}

// A process whose peers reach it is ready though it cannot reach itself.
func TestReadyWithoutAWayToItself(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		a, b := place(t, net, 0, at(0), &o, nil, peercache.WithTransport(deaf{net.Host(host(0)).Transport(), host(0)})), place(t, net, 1, at(1), &o, nil)
		setAll(t, a, b)
		if err := a.unready(t); err != nil {
			t.Errorf("Ready returns %v", err)
		}
	})
}

// One that reaches neither itself nor its peers may be all right: its name may be known to
// nobody before it is ready. So that is one warning, and Ready waits for a time only.
func TestReadyWithoutAWayToItselfAndAlone(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		n := place(t, net, 0, at(0), &o, nil, peercache.WithTransport(deaf{net.Host(host(0)).Transport(), host(0)}))
		if err := n.pool.Set(at(0), at(1)); err != nil {
			t.Fatal(err)
		}
		if err := n.unready(t); err == nil || !strings.Contains(err.Error(), "own address") {
			t.Errorf("Ready returns %v: want that it was not found at its own address", err)
		}
		if err := n.unready(t); err != nil {
			t.Errorf("Ready returns %v: want nil after WithHandover's time", err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if lines := n.log.with("does not reach its own address", "no route"); len(lines) != 1 {
			t.Errorf("%q: want one warning: %s", lines, n.log.text.String())
		}
	})
}

// deaf is a transport that does not reach one host.
type deaf struct {
	http.RoundTripper
	host string
}

func (d deaf) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Hostname() == d.host {
		return nil, errors.New("no route to host")
	}
	return d.RoundTripper.RoundTrip(r)
}

// What answers in the place of a peer opens its breaker, is one warning, and no request for
// each key.
func TestP11WhatIsNoPeer(t *testing.T) {
	status := func(code int, location string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if location != "" {
				w.Header().Set("Location", location)
			}
			http.Error(w, "go away", code)
		})
	}
	for name, c := range map[string]struct {
		handler http.Handler
		want    string
	}{
		"not mounted":  {http.NotFoundHandler(), "same base path"},
		"redirected":   {status(301, "https://elsewhere/"), "https://elsewhere/"},
		"unauthorized": {status(401, ""), "credentials"},
		"forbidden":    {status(403, ""), "credentials"},
		"limited":      {status(429, ""), "rate"},
		"failing":      {status(500, ""), "500"},
		"another page": {status(200, ""), "200"},
		"speaks TLS":   {status(400, ""), "400"},
	} {
		for way, w := range ways {
			if way == "groupcache" {
				continue // whose peers do not say who they are
			}
			t.Run(name+", "+way, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					var o edition
					var requests atomic.Int64
					n := place(t, net, 0, at(0), &o, nil, w.pool...)
					place(t, net, 1, at(1), &o, func(http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							requests.Add(1)
							c.handler.ServeHTTP(w, r)
						})
					})
					if err := n.pool.Set(at(0), at(1)); err != nil {
						t.Fatal(err)
					}
					for k := range 200 {
						n.get(t, fmt.Sprint("key", k))
					}
					if sent := requests.Load(); sent > 20 {
						t.Errorf("200 keys cost %d requests: want less than 20", sent)
					}
					if s := n.statsOf(t, &node{url: at(1)}); s.Breaker == peercache.BreakerClosed || !strings.Contains(s.Problem, c.want) {
						t.Errorf("breaker %v, problem %q: want it open, and %q", s.Breaker, s.Problem, c.want)
					}
					var config *peercache.ConfigError
					if err := n.unready(t); !errors.As(err, &config) || config.Problem != peercache.NotAPeer || config.Peer != at(1) {
						t.Errorf("Ready returns %v: want a ConfigError, NotAPeer", err)
					}
					synctest.Wait()
					if lines := n.log.with("the configuration is wrong", at(1), c.want); len(lines) != 1 {
						t.Errorf("%q: want one warning with %q: %s", lines, c.want, n.log.text.String())
					}
				})
			})
		}
	}
}
