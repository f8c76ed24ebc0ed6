package peercache_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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

// detection is the detection time of the simulated clusters.
const detection = 500 * time.Millisecond

// garbage is not the protocol of a stream.
var garbage = strings.Repeat("\xff", 100)

// ways are those by which peers are spoken to.
var ways = map[string]struct {
	pool  []peercache.PoolOption
	strip bool // something on the way strips the upgrade
}{
	"stream":          {},
	"without streams": {pool: []peercache.PoolOption{peercache.WithoutStream()}},
	"no upgrades":     {strip: true},
	"groupcache":      {pool: []peercache.PoolOption{peercache.WithGroupcacheCompat()}, strip: true},
}

// conduct is how the handler of a node behaves, in place of its pool.
type conduct struct {
	strip    bool // of all nodes
	refuses  atomic.Bool
	garbles  atomic.Bool
	answers  int          // of a stream that garbles, before it does
	garbage  string       // what comes then
	requests atomic.Int64 // that it got, when it behaved badly
}

// wrap is for a simConfig. Only the second node behaves badly.
func (c *conduct) wrap(i int, pool *peercache.HTTPPool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.strip {
			r.Header.Del("Upgrade")
		}
		bad := i == 1 && (c.refuses.Load() || c.garbles.Load())
		if bad {
			c.requests.Add(1)
		}
		switch {
		case bad && c.refuses.Load():
			http.Error(w, "no", http.StatusServiceUnavailable)
		case bad && r.Header.Get("Upgrade") != "":
			pool.ServeHTTP(garbledWriter{w, c}, r)
		case bad:
			fmt.Fprint(w, "<html>")
		default:
			pool.ServeHTTP(w, r)
		}
	})
}

// garbledWriter gives away a connection on which the peer's hello is read and some requests,
// and the next is answered with garbage.
type garbledWriter struct {
	http.ResponseWriter
	conduct *conduct
}

func (w garbledWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	rw.Reader.Reset(nc)
	g := &garbledConn{Conn: nc, left: w.conduct.answers, garbage: w.conduct.garbage}
	return g, rw, nil
}

type garbledConn struct {
	net.Conn
	garbage string

	// Of the one goroutine that reads.
	greeted bool
	rest    []byte // what came with the hello
	left    int    // requests to be read
}

func (c *garbledConn) Read(b []byte) (n int, err error) {
	if n = copy(b, c.rest); n == 0 {
		if n, err = c.Conn.Read(b); err != nil {
			return n, err
		}
	}
	switch {
	case !c.greeted:
		c.greeted = true
		hello := 1 + int(b[0]) // its size comes first
		c.rest = bytes.Clone(b[hello:n])
		return hello, nil
	case c.left > 0:
		c.left, c.rest = c.left-1, nil
		return n, nil
	}
	io.WriteString(c.Conn, c.garbage)
	return 0, io.EOF
}

// failures are those of the second node of a cluster.
var failures = map[string]struct {
	begin func(net *simnet.Network, c *conduct)
	end   func(net *simnet.Network, c *conduct) // nil: another process is started
	there bool                                  // it gives signs of life, so that it is asked now and then
}{
	"dies":    {begin: func(net *simnet.Network, _ *conduct) { net.Crash(host(1)) }},
	"is gone": {begin: func(net *simnet.Network, _ *conduct) { net.PowerOff(host(1)) }},
	"hangs": {
		begin: func(net *simnet.Network, _ *conduct) { net.Freeze(host(1)) },
		end:   func(net *simnet.Network, _ *conduct) { net.Thaw(host(1)) },
	},
	"is cut off": {
		begin: func(net *simnet.Network, _ *conduct) { net.Isolate(host(1)) },
		end:   func(net *simnet.Network, _ *conduct) { net.Rejoin(host(1)) },
	},
	"refuses": {
		begin: func(net *simnet.Network, c *conduct) { c.refuses.Store(true); resetAll(net) },
		end:   func(_ *simnet.Network, c *conduct) { c.refuses.Store(false) },
	},
	"breaks the protocol": {
		begin: func(net *simnet.Network, c *conduct) { c.garbles.Store(true); resetAll(net) },
		end:   func(net *simnet.Network, c *conduct) { c.garbles.Store(false); resetAll(net) },
		there: true,
	},
}

// resetAll breaks the connections of the second node.
func resetAll(net *simnet.Network) {
	net.Reset(host(0), host(1))
	net.Reset(host(2), host(1))
}

// TestPeerThatFails: whatever becomes of a peer, and by whatever way it is spoken to, nobody
// waits for it longer than the detection time, and from then on nobody does; its keys
// are loaded once in the cluster (P1), and when it is back they are its own.
func TestPeerThatFails(t *testing.T) {
	for way, w := range ways {
		for failure, f := range failures {
			t.Run(way+"/"+failure, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					var o origin
					c := &conduct{strip: w.strip, garbage: garbage}
					config := simConfig{
						getter: &o, wrap: c.wrap, group: []peercache.GroupOption{peercache.WithHotShare(0)},
						pool: func(int) []peercache.PoolOption { return w.pool },
					}
					nodes := newSimCluster(t, net, 3, config)
					keys := keysOwnedBy(t, nodes, 0, 1, 400)
					askers := []*node{nodes[0], nodes[2]}
					askAll(t, askers, keys[:1], 10*time.Millisecond) // all that there is to open is open

					f.begin(net, c)
					askAll(t, askers, keys[1:100], detection+20*time.Millisecond)
					for i := range 20 { // over two seconds
						time.Sleep(100 * time.Millisecond)
						askAll(t, askers, keys[100+i*10:110+i*10], 10*time.Millisecond)
					}
					for _, asker := range askers {
						s := asker.statsOf(t, nodes[1])
						if s.BreakerOpened == 0 || s.Breaker == peercache.BreakerClosed && !f.there {
							t.Errorf("at %s the breaker is %v and opened %d times", asker.url, s.Breaker, s.BreakerOpened)
						}
					}
					for _, key := range keys[:300] {
						if n := o.count(key); n != 1 {
							t.Errorf("%s was loaded %d times", key, n)
						}
					}

					if f.end != nil {
						f.end(net, c)
					} else {
						nodes[1] = startSimNode(t, net, 1, config)
						introduce(t, nodes[1:2], nodes...)
					}
					time.Sleep(3 * time.Second)
					before := nodes[1].group.Stats().ServerRequests
					askAll(t, askers, keys[300:], 10*time.Millisecond)
					if n := nodes[1].group.Stats().ServerRequests - before; n != 200 {
						t.Errorf("it is back, and was asked for %d of 200 keys", n)
					}
					for _, asker := range askers {
						if s := asker.statsOf(t, nodes[1]); s.Breaker != peercache.BreakerClosed {
							t.Errorf("it is back, and at %s the breaker is %v", asker.url, s.Breaker)
						}
					}
				})
			})
		}
	}
}

// askAll asks all nodes for all keys at once. No Get may take longer than most.
func askAll(t *testing.T, nodes []*node, keys []string, most time.Duration) {
	t.Helper()
	var callers sync.WaitGroup
	for _, n := range nodes {
		for _, key := range keys {
			callers.Go(func() {
				start := time.Now()
				if got := n.get(t, key); got != "value of "+key {
					t.Errorf("%s: %q", key, got)
				}
				if took := time.Since(start); took > most {
					t.Errorf("%s took %v, want at most %v", key, took, most)
				}
			})
		}
	}
	callers.Wait()
}

// TestWhatIsNoFailureOfAPeer opens no breaker (P6), by none of the ways.
func TestWhatIsNoFailureOfAPeer(t *testing.T) {
	for way, w := range ways {
		for what, load := range map[string]func(context.Context, string) ([]byte, error){
			"getter errors": func(context.Context, string) ([]byte, error) { return nil, errors.New("the origin is down") },
			"missing keys":  func(context.Context, string) ([]byte, error) { return nil, peercache.ErrNotFound },
			"panics":        func(context.Context, string) ([]byte, error) { panic("on purpose") },
			"a slow origin": slowly(7 * time.Second),
			"an origin that hangs": func(ctx context.Context, _ string) ([]byte, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			},
		} {
			t.Run(way+"/"+what, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					o := origin{load: load}
					c := &conduct{strip: w.strip}
					nodes := newSimCluster(t, net, 2, simConfig{
						getter: &o, wrap: c.wrap,
						pool: func(i int) []peercache.PoolOption {
							few := net.Host(host(i)).Transport()
							few.MaxConnsPerHost = 4 // which slow loads take all
							return append([]peercache.PoolOption{peercache.WithTransport(few)}, w.pool...)
						},
					})
					var callers sync.WaitGroup
					for _, key := range keysOwnedBy(t, nodes, 0, 1, 4) {
						callers.Go(func() { nodes[0].group.Get(t.Context(), key) })
					}
					callers.Wait()
					time.Sleep(time.Second)
					s := nodes[0].statsOf(t, nodes[1])
					if s.BreakerOpened != 0 || s.Breaker != peercache.BreakerClosed {
						t.Errorf("the breaker is %v and opened %d times", s.Breaker, s.BreakerOpened)
					}
					if g := nodes[0].group.Stats(); g.Loads != 0 {
						t.Errorf("%d loads at the asker: want the owner's answers", g.Loads)
					}
				})
			})
		}
	}
}

// TestPeerThatFallsSilentInALoad is waited for as long as it gives signs of life, and then
// for the detection time.
func TestPeerThatFallsSilentInALoad(t *testing.T) {
	for way, w := range ways {
		t.Run(way, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				const load, after = 7 * time.Second, 3 * time.Second
				o := origin{load: slowly(load)}
				c := &conduct{strip: w.strip}
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: &o, wrap: c.wrap, pool: func(int) []peercache.PoolOption { return w.pool },
				})
				key := keyOwnedBy(t, nodes, 0, 1)
				time.AfterFunc(after, func() { net.Freeze(host(1)) })
				start := time.Now()
				nodes[0].get(t, key)
				if took := time.Since(start) - load; took < after || took > after+detection+20*time.Millisecond {
					t.Errorf("the asker began to load after %v: want %v and the detection time, or little more", took, after)
				}
				net.Thaw(host(1))
			})
		})
	}
}

// TestLargeValueOnItsWay: its parts are signs of life, also where they leave room for no
// others, and the want of them is seen.
func TestLargeValueOnItsWay(t *testing.T) {
	for name, cut := range map[string]bool{"slowly": false, "and then no more": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				const after, large = 2 * time.Second, 256 << 10
				net.SetLink(simnet.Link{MinLatency: time.Millisecond, MaxLatency: time.Millisecond, Bandwidth: 64 << 10, Segment: 1460})
				o := origin{load: func(context.Context, string) ([]byte, error) { return make([]byte, large), nil }}
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: &o, pool: func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutStream()} },
				})
				key := keyOwnedBy(t, nodes, 0, 1)
				if cut {
					time.AfterFunc(after, func() { net.Isolate(host(1)) })
				}
				start := time.Now()
				if got := nodes[0].get(t, key); len(got) != large {
					t.Errorf("%d bytes", len(got))
				}
				took, opened, loads := time.Since(start), nodes[0].statsOf(t, nodes[1]).BreakerOpened, o.count(key)
				if !cut && (took < 4*time.Second || opened != 0 || loads != 1) {
					t.Errorf("took %v, the breaker opened %d times, %d loads: want 4s, 0, 1", took, opened, loads)
				}
				if cut && (took < after || took > after+2*detection || opened != 1 || loads != 2) {
					t.Errorf("took %v, the breaker opened %d times, %d loads: want 2s and a little, 1, 2", took, opened, loads)
				}
				net.Rejoin(host(1))
			})
		})
	}
}

// TestPeerThatIsThereAndFails is asked less and less often.
func TestPeerThatIsThereAndFails(t *testing.T) {
	for name, p := range map[string]struct {
		way     string
		garbage string
		answers int
	}{
		"breaks the protocol":                 {"stream", garbage, 0},
		"breaks the protocol after an answer": {"stream", garbage, 1},
		"hangs up":                            {"stream", "", 0},
		"is none":                             {"without streams", "", 0},
		"is none, and there are no upgrades":  {"no upgrades", "", 0},
		"is no groupcache":                    {"groupcache", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o origin
				w := ways[p.way]
				c := &conduct{strip: w.strip, garbage: p.garbage, answers: p.answers}
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: &o, wrap: c.wrap, pool: func(int) []peercache.PoolOption { return w.pool },
				})
				keys := keysOwnedBy(t, nodes, 0, 1, 1000)
				nodes[0].get(t, keys[0])
				c.garbles.Store(true)
				net.Reset(host(0), host(1))
				for _, key := range keys[1:] { // over ten seconds
					time.Sleep(10 * time.Millisecond)
					nodes[0].get(t, key)
				}
				// Six doublings, then one attempt in half a second to a second. By the plain way
				// there is one for a sign of life, and one for a key.
				if n := c.requests.Load(); n < 5 || n > 2*(7+20) {
					t.Errorf("%d requests in ten seconds, in which 1,000 keys were asked for", n)
				}
			})
		})
	}
}

// TestRemoveAsksPastTheBreaker: the peer may have come back since it was tried last.
func TestRemoveAsksPastTheBreaker(t *testing.T) {
	for _, way := range []string{"stream", "without streams", "no upgrades"} {
		t.Run(way, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o origin
				c := &conduct{strip: ways[way].strip}
				nodes := newSimCluster(t, net, 3, simConfig{
					getter: &o, wrap: c.wrap, pool: func(int) []peercache.PoolOption { return ways[way].pool },
				})
				keys := keysOwnedBy(t, nodes, 0, 1, 2)
				nodes[0].get(t, keys[0])
				c.refuses.Store(true)
				resetAll(net)
				for range 20 { // until the attempts are rare
					time.Sleep(300 * time.Millisecond)
					nodes[0].get(t, keys[1])
				}
				for nodes[0].statsOf(t, nodes[1]).Breaker != peercache.BreakerOpen {
					time.Sleep(time.Millisecond)
				}
				c.refuses.Store(false)
				start := time.Now()
				if err := nodes[0].group.Remove(t.Context(), keys...); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > 20*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestBreakerIsLogged, each change once.
func TestBreakerIsLogged(t *testing.T) {
	for way, w := range ways {
		t.Run(way, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o origin
				var log bytes.Buffer
				c := &conduct{strip: w.strip}
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: &o, wrap: c.wrap,
					pool: func(i int) []peercache.PoolOption {
						if i == 1 {
							return w.pool
						}
						return append([]peercache.PoolOption{peercache.WithPoolLogger(slog.New(slog.NewTextHandler(&log, nil)))}, w.pool...)
					},
				})
				keys := keysOwnedBy(t, nodes, 0, 1, 10)
				askAll(t, nodes[:1], keys[:1], detection)
				net.Freeze(host(1))
				askAll(t, nodes[:1], keys[1:], 2*detection)
				time.Sleep(5 * time.Second)
				net.Thaw(host(1))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				lines := strings.Split(strings.TrimSpace(withoutEvents(log.String())), "\n")
				if w.strip { // which is said first, once
					if !strings.Contains(lines[0], "Connection and Upgrade") {
						t.Errorf("%s: want why there is no stream", lines[0])
					}
					lines = lines[1:]
				}
				if len(lines) != 2 {
					t.Fatalf("%q: want two lines", lines)
				}
				for i, want := range [][]string{
					{"level=WARN", "has opened", "peer=" + nodes[1].url, "the peer does not answer"},
					{"level=INFO", "has closed", "peer=" + nodes[1].url, "took="},
				} {
					for _, part := range want {
						if !strings.Contains(lines[i], part) {
							t.Errorf("%s: want %q", lines[i], part)
						}
					}
				}
			})
		})
	}
}

func TestBreakerStateString(t *testing.T) {
	for state, want := range map[peercache.BreakerState]string{
		peercache.BreakerClosed: "closed", peercache.BreakerOpen: "open", peercache.BreakerHalfOpen: "half-open", 7: "BreakerState(7)",
	} {
		if got := state.String(); got != want {
			t.Errorf("%d: %q, want %q", int(state), got, want)
		}
	}
}
