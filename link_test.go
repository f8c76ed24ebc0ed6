package peercache_test

import (
	"context"
	"errors"
	"fmt"
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

// TestOneConnection: however many ask at once, there is one connection from a peer to
// another, the one on which it told of its view.
func TestOneConnection(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		nodes := newSimCluster(t, net, 2, simConfig{getter: &o})
		var callers sync.WaitGroup
		for _, key := range keysOwnedBy(t, nodes, 0, 1, 512) {
			callers.Go(func() { nodes[0].get(t, key) })
		}
		callers.Wait()
		if s := net.LinkStats(host(0), host(1)); s.Dials != 1 || s.Open != 2 {
			t.Errorf("%d dials, %d connections open, want 1, and 2 with the one from the other peer", s.Dials, s.Open)
		}
		s := nodes[0].statsOf(t, nodes[1])
		if s.Requests < 513 || s.Requests > 514 || s.Keys != 512 || s.InFlight != 0 || s.Reconnects != 0 || s.BytesIn == 0 || s.BytesOut == 0 {
			t.Errorf("%+v, want 513 requests, one of them to tell of the view, or one more to ask for the other", s)
		}
		if q := s.Latency.Quantile(0.5); q < 2*time.Millisecond || q > 5*time.Millisecond {
			t.Errorf("a latency of %v over a link of 1 ms each way", q)
		}
	})
}

// TestLargeValuesHoldNobodyUp: a value over the limit takes a connection of its
// own, and small ones pass it by.
func TestLargeValuesHoldNobodyUp(t *testing.T) {
	const large = 8 << 20
	simulate(t, func(t *testing.T, net *simnet.Network) {
		net.SetLink(simnet.Link{MinLatency: time.Millisecond, MaxLatency: time.Millisecond, Bandwidth: 16 << 20})
		o := origin{load: func(_ context.Context, key string) ([]byte, error) {
			if strings.HasPrefix(key, "large") {
				return make([]byte, large), nil
			}
			return []byte("value of " + key), nil
		}}
		nodes := newSimCluster(t, net, 2, simConfig{getter: &o})
		n, key := 0, "large0"
		for nodes[0].pool.Pick(key, 0) == nil {
			n++
			key = fmt.Sprint("large", n)
		}
		small := keysOwnedBy(t, nodes, 0, 1, 11)
		nodes[0].get(t, small[0]) // the link is up

		start := time.Now()
		done := make(chan time.Duration)
		go func() {
			if got := nodes[0].get(t, key); len(got) != large {
				t.Errorf("%d bytes, want %d", len(got), large)
			}
			done <- time.Since(start)
		}()
		time.Sleep(100 * time.Millisecond) // the large one is under way
		for _, key := range small[1:] {
			asked := time.Now()
			nodes[0].get(t, key)
			if took := time.Since(asked); took > 20*time.Millisecond {
				t.Errorf("a small value took %v beside a large one", took)
			}
		}
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("the small values were there after %v: not beside the large one", took)
		}
		if took := <-done; took < 500*time.Millisecond || took > 700*time.Millisecond {
			t.Errorf("the large value took %v, want half a second or little more", took)
		}
		if s := nodes[0].statsOf(t, nodes[1]); s.Plain != 1 || s.Transport != "stream" || s.BytesIn < large {
			t.Errorf("%d requests by the plain way, %d bytes: want one, which has the value", s.Plain, s.BytesIn)
		}
		if n := o.count(key); n != 1 {
			t.Errorf("the large value was loaded %d times", n)
		}
	})
}

// upgrades counts the requests for a stream that h gets.
func upgrades(n *atomic.Int64, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			n.Add(1)
		}
		h.ServeHTTP(w, r)
	})
}

// TestPeerThatKnowsNoStream is spoken to by the plain way, at once and without
// being asked for a stream each time, but again after a minute.
func TestPeerThatKnowsNoStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		pool []peercache.PoolOption
		wrap func(h http.Handler) http.Handler
	}{
		{"WithoutStream", []peercache.PoolOption{peercache.WithoutStream()}, func(h http.Handler) http.Handler { return h }},
		{"a proxy that strips the upgrade", nil, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Upgrade")
				h.ServeHTTP(w, r)
			})
		}},
		{"golang/groupcache", []peercache.PoolOption{peercache.WithGroupcacheCompat()}, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if parts := strings.SplitN(r.URL.Path[1:], "/", 3); len(parts) < 3 || parts[2] == "" {
					http.Error(w, "bad request", http.StatusBadRequest)
					return
				}
				h.ServeHTTP(w, r)
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o origin
				var asked atomic.Int64
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: &o,
					group:  []peercache.GroupOption{peercache.WithHotShare(0)},
					pool: func(i int) []peercache.PoolOption {
						if i == 1 || tt.name == "golang/groupcache" { // its paths are its own
							return tt.pool
						}
						return nil
					},
					wrap: func(i int, pool *peercache.HTTPPool) http.Handler {
						if i == 1 {
							return upgrades(&asked, tt.wrap(pool))
						}
						return pool
					},
				})
				keys := keysOwnedBy(t, nodes, 0, 1, 50)
				time.Sleep(time.Minute)
				before := asked.Load()
				for round := range 3 {
					if round == 2 {
						time.Sleep(time.Minute)
					} else {
						time.Sleep(10 * time.Second)
					}
					for _, key := range keys {
						nodes[0].get(t, key)
					}
					for i, r := range nodes[0].group.GetMulti(t.Context(), keys) {
						if r.Err != nil || r.View.String() != "value of "+keys[i] {
							t.Errorf("%s: %q, %v", keys[i], r.View, r.Err)
						}
					}
					if n, want := asked.Load()-before, []int64{1, 1, 2}[round]; n != want {
						t.Errorf("round %d: asked for a stream %d times, want %d", round, n, want)
					}
				}
				for _, key := range keys {
					if n := o.count(key); n != 1 {
						t.Errorf("%s was loaded %d times", key, n)
					}
				}
				if s := nodes[0].group.Stats(); s.PeerErrors != 0 || s.Loads != 0 {
					t.Errorf("%+v: want no errors, no loads at the asker", s)
				}
			})
		})
	}
}

// TestConnectionBreaks: wherever in a frame a connection breaks, every Get has its
// value, from the owner, and there is a new connection.
func TestConnectionBreaks(t *testing.T) {
	for _, toOwner := range []bool{true, false} {
		for _, after := range []int64{1, 2, 17, 100, 333, 1000, 2500} {
			t.Run(fmt.Sprintf("%v %d", toOwner, after), func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					o := origin{load: slowly(20 * time.Millisecond)}
					nodes := newSimCluster(t, net, 2, simConfig{getter: &o})
					keys := keysOwnedBy(t, nodes, 0, 1, 201)
					nodes[0].get(t, keys[200]) // the link is up
					from, to := host(0), host(1)
					if !toOwner {
						from, to = to, from
					}
					net.ResetAfter(from, to, after)
					var callers sync.WaitGroup
					for _, key := range keys[:100] {
						callers.Go(func() {
							if got := nodes[0].get(t, key); got != "value of "+key {
								t.Errorf("%s: %q", key, got)
							}
						})
					}
					callers.Go(func() {
						for i, r := range nodes[0].group.GetMulti(t.Context(), keys[100:200]) {
							if r.Err != nil || r.View.String() != "value of "+keys[100+i] {
								t.Errorf("%s: %q, %v", keys[100+i], r.View, r.Err)
							}
						}
					})
					callers.Wait()
					if s := nodes[0].statsOf(t, nodes[1]); s.Reconnects != 1 || s.InFlight != 0 {
						t.Errorf("%d reconnects, %d in flight; want 1 and 0", s.Reconnects, s.InFlight)
					}
					if s := nodes[0].group.Stats(); s.Loads != 0 {
						t.Errorf("%d keys were loaded by the asker although their owner is there", s.Loads)
					}
				})
			})
		}
	}
}

// TestOwnerThatHangs: who waits for a peer that is frozen waits no longer than the
// detection time, and only once. When the peer is back it is asked again.
func TestOwnerThatHangs(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		nodes := newSimCluster(t, net, 3, simConfig{getter: &o, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
		keys := keysOwnedBy(t, nodes, 0, 1, 300)
		for _, n := range nodes[1:] { // the links are up
			nodes[0].get(t, keysOwnedBy(t, nodes, 0, index(nodes, n), 1)[0])
		}
		get := func(key string, most time.Duration) {
			start := time.Now()
			nodes[0].get(t, key)
			if took := time.Since(start); took > most {
				t.Errorf("%s took %v, want at most %v", key, took, most)
			}
		}
		net.Freeze(host(1))
		var callers sync.WaitGroup
		for _, key := range keys[1:100] {
			callers.Go(func() { get(key, 510*time.Millisecond) })
		}
		callers.Wait()
		for _, key := range keys[100:200] { // over a second, in which it is tried again
			time.Sleep(10 * time.Millisecond)
			get(key, 10*time.Millisecond)
		}
		before := nodes[1].group.Stats().ServerRequests
		net.Thaw(host(1))
		time.Sleep(3 * time.Second)
		for _, key := range keys[200:] {
			get(key, 10*time.Millisecond)
		}
		if n := nodes[1].group.Stats().ServerRequests - before; n < 100 {
			t.Errorf("the owner is back and was asked for %d of 100 keys", n)
		}
		if s := nodes[0].statsOf(t, nodes[1]); s.Reconnects == 0 {
			t.Error("no reconnect was counted")
		}
	})
}

// TestOwnerThatHangsFromTheBeginning is met by the first attempt to connect.
func TestOwnerThatHangsFromTheBeginning(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		nodes := newSimCluster(t, net, 2, simConfig{getter: &o})
		keys := keysOwnedBy(t, nodes, 0, 1, 20)
		net.Freeze(host(1))
		var callers sync.WaitGroup
		start := time.Now()
		for _, key := range keys[:10] {
			callers.Go(func() { nodes[0].get(t, key) })
		}
		callers.Go(func() {
			for i, r := range nodes[0].group.GetMulti(t.Context(), keys[10:]) {
				if !good(keys[10+i], r) {
					t.Errorf("%s: %q, %v", keys[10+i], r.View, r.Err)
				}
			}
		})
		callers.Wait()
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		net.Thaw(host(1))
	})
}

func index(nodes []*node, n *node) int {
	for i := range nodes {
		if nodes[i] == n {
			return i
		}
	}
	return -1
}

// TestManyCallersAndACut: 10,000 callers have a value or a clear error within their
// deadline, whatever becomes of the link.
func TestManyCallersAndACut(t *testing.T) {
	for name, cut := range map[string]func(*simnet.Network){
		"reset":        func(net *simnet.Network) { net.Reset(host(0), host(1)) },
		"silence":      func(net *simnet.Network) { net.Cut(host(0), host(1)) },
		"one way":      func(net *simnet.Network) { net.CutOneWay(host(1), host(0)) },
		"frozen":       func(net *simnet.Network) { net.Freeze(host(1)) },
		"crash":        func(net *simnet.Network) { net.Crash(host(1)) },
		"mid of frame": func(net *simnet.Network) { net.CutAfter(host(1), host(0), 7777) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := origin{load: slowly(300 * time.Millisecond)}
				nodes := newSimCluster(t, net, 3, simConfig{getter: &o})
				keys := keysOwnedBy(t, nodes, 0, 1, 1000)
				const patience = 3 * time.Second
				var callers sync.WaitGroup
				for i := range 10_000 {
					callers.Go(func() {
						time.Sleep(time.Duration(i%500) * time.Millisecond)
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						start, key := time.Now(), keys[i%1000]
						view, err := nodes[0].group.Get(ctx, key)
						if err != nil || view.String() != "value of "+key {
							t.Errorf("%s: %q, %v", key, view, err)
						}
						if took := time.Since(start); took > 500*time.Millisecond+3*300*time.Millisecond {
							t.Errorf("%s took %v", key, took)
						}
					})
				}
				time.Sleep(250 * time.Millisecond)
				cut(net)
				callers.Wait()
				net.HealAll()
				net.Thaw(host(1))
				time.Sleep(10 * time.Second) // what hangs has ended
				synctest.Wait()
			})
		})
	}
}

// TestP3CallerLeavesAndTheOwnerKnows: where groups cancel what nobody waits for, it
// reaches the load at the owner.
func TestP3CallerLeavesAndTheOwnerKnows(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var ended atomic.Int64
		o := origin{load: func(ctx context.Context, key string) ([]byte, error) {
			<-ctx.Done()
			ended.Add(1)
			return nil, ctx.Err()
		}}
		nodes := newSimCluster(t, net, 2, simConfig{getter: &o, group: []peercache.GroupOption{peercache.WithCancelAbandoned()}})
		key := keyOwnedBy(t, nodes, 0, 1)
		for round := range 2 { // the first has no link yet
			ctx, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 2 {
				callers.Go(func() {
					if _, err := nodes[0].group.Get(ctx, key); !errors.Is(err, context.Canceled) {
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
			cancel()
			callers.Wait()
			time.Sleep(5 * time.Millisecond)
			if n := ended.Load(); n != int64(round+1) {
				t.Errorf("round %d: %d loads were cancelled at the owner", round, n)
			}
		}
	})
}

// TestShutdownAnswersWhatIsInFlight, on both sides of the link.
func TestShutdownAnswersWhatIsInFlight(t *testing.T) {
	for who := range 2 {
		t.Run(fmt.Sprint(who), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := origin{load: slowly(300 * time.Millisecond)}
				nodes := newSimCluster(t, net, 2, simConfig{getter: &o})
				keys := keysOwnedBy(t, nodes, 0, 1, 200)
				var callers sync.WaitGroup
				for _, key := range keys[:100] {
					callers.Go(func() { nodes[0].get(t, key) })
				}
				callers.Go(func() {
					for i, r := range nodes[0].group.GetMulti(t.Context(), keys[100:]) {
						if r.Err != nil {
							t.Errorf("%s: %v", keys[100+i], r.Err)
						}
					}
				})
				time.Sleep(100 * time.Millisecond)
				start := time.Now()
				if err := nodes[who].pool.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				// A GetMulti is loaded 32 keys at a time.
				if took := time.Since(start); took < 200*time.Millisecond || took > 1500*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				callers.Wait()
				for _, key := range keys {
					if n := o.count(key); n != 1 {
						t.Errorf("%s was loaded %d times", key, n)
					}
				}
			})
		})
	}
}

// TestPeerThatLeavesTheView answers what it was asked, and its link ends when it has
// nothing any more that others own.
func TestPeerThatLeavesTheView(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := origin{load: slowly(300 * time.Millisecond)}
		nodes := newSimCluster(t, net, 2, simConfig{getter: &o})
		key := keyOwnedBy(t, nodes, 0, 1)
		var caller sync.WaitGroup
		caller.Go(func() { nodes[0].get(t, key) })
		time.Sleep(100 * time.Millisecond)
		if err := nodes[0].pool.Set(nodes[0].url); err != nil {
			t.Fatal(err)
		}
		caller.Wait()
		if n := o.count(key); n != 1 {
			t.Errorf("loaded %d times", n)
		}
		time.Sleep(settling)
		if s := net.LinkStats(host(0), host(1)); s.Open != 1 {
			t.Errorf("%d connections are open, want 1, the other peer's", s.Open)
		}
		// And back again.
		if err := nodes[0].pool.Set(nodes[0].url, nodes[1].url); err != nil {
			t.Fatal(err)
		}
		nodes[0].get(t, keysOwnedBy(t, nodes, 0, 1, 2)[1])
		if s := net.LinkStats(host(0), host(1)); s.Open != 2 {
			t.Errorf("%d connections are open, want 2", s.Open)
		}
	})
}
