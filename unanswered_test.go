package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// mute starts two nodes. The second one gives signs of life, but its loads do not end before
// release is closed, although it has all the time.
func mute(t *testing.T, net *simnet.Network) (nodes []*node, o *origin, release chan struct{}) {
	release = make(chan struct{})
	o = &origin{load: func(ctx context.Context, key string) ([]byte, error) {
		select {
		case <-release:
			return []byte("value of " + key), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}
	return newSimCluster(t, net, 2, simConfig{getter: o, own: func(i int) []peercache.GroupOption {
		if i == 1 {
			return []peercache.GroupOption{peercache.WithLoadTimeout(time.Hour)}
		}
		return nil
	}}), o, release
}

// A peer that gives signs of life and no answer holds a Get no longer than a load may take.
// The error says so, nobody else loads the key, and the request is withdrawn.
func TestP3PeerThatIsThereAndDoesNotAnswer(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, o, release := mute(t, net)
		keys := keysOwnedBy(t, nodes, 0, 1, 10)
		start := time.Now()
		check := func(key string, err error) {
			const most = peercache.DefaultLoadTimeout + 3*time.Second
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), nodes[1].url) || took > most {
				t.Errorf("%s: %v after %v: want an error that names the peer and is DeadlineExceeded, within %v", key, err, took, most)
			}
		}
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				_, err := nodes[0].group.Get(context.Background(), keys[0])
				check(keys[0], err)
			})
		}
		callers.Go(func() {
			for i, r := range nodes[0].group.GetMulti(context.Background(), keys[1:]) {
				check(keys[i+1], r.Err)
			}
		})
		callers.Wait()
		time.Sleep(100 * time.Millisecond)
		if s := nodes[0].statsOf(t, nodes[1]); s.InFlight != 0 || s.BreakerOpened != 0 {
			t.Errorf("%d requests in flight, the breaker opened %d times: want them to be withdrawn, and the peer to be asked on", s.InFlight, s.BreakerOpened)
		}
		if s := nodes[0].group.Stats(); s.Loads != 0 || s.PeerErrors != 11 || o.total() != 10 {
			t.Errorf("%d loads here, %d in all, %d peer errors: want 0, 10, and 11, as the first to ask for a key shares no question", s.Loads, o.total(), s.PeerErrors)
		}
		close(release)
		nodes[0].brings(t, keys[0], "value of "+keys[0])
	})
}

// What waits for room on a link ends with its callers: nothing but the requests in flight is
// left of many impatient Gets.
func TestP3AbandonedFetchesHoldNoGoroutines(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, _, release := mute(t, net)
		keys := keysOwnedBy(t, nodes, 0, 1, 20_000)
		nodes[0].group.Get(impatient(t, time.Second), keys[0]) // they are connected
		before := runtime.NumGoroutine()
		var callers sync.WaitGroup
		ctx := impatient(t, 100*time.Millisecond)
		for _, key := range keys {
			callers.Go(func() { nodes[0].group.Get(ctx, key) })
		}
		synctest.Wait()
		if n := nodes[0].statsOf(t, nodes[1]).InFlight; n < 16_000 || n >= len(keys) {
			t.Fatalf("%d requests in flight: want the link to be full", n)
		}
		callers.Go(func() { nodes[0].group.GetMulti(ctx, keysOwnedBy(t, nodes, 0, 1, 30_000)[20_000:]) })
		callers.Wait()
		synctest.Wait()
		// The peer runs 1,024 loads, each in two goroutines.
		if more := runtime.NumGoroutine() - before; more > 2*1024+200 {
			t.Errorf("%d more goroutines when all callers have left", more)
		}
		time.Sleep(13 * time.Second)
		if n := nodes[0].statsOf(t, nodes[1]).InFlight; n != 0 {
			t.Errorf("%d requests in flight: want them to be withdrawn", n)
		}
		close(release)
	})
}

func impatient(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Large values of one GetMulti are asked for a few at a time, on as many connections.
func TestLargeValuesOfAGetMultiAreAskedForAFewAtATime(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var now, most, all atomic.Int64
		nodes := newSimCluster(t, net, 2, simConfig{
			getter: &editions{size: 2 << 10},
			pool: func(int) []peercache.PoolOption {
				return []peercache.PoolOption{peercache.WithLargeValue(1 << 10), peercache.WithMaxLargeRequests(8)}
			},
			wrap: func(_ int, pool *peercache.HTTPPool) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/get") {
						all.Add(1)
						n := now.Add(1)
						defer now.Add(-1)
						for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
						}
						time.Sleep(10 * time.Millisecond)
					}
					pool.ServeHTTP(w, r)
				})
			},
		})
		keys := keysOwnedBy(t, nodes, 0, 1, 500)
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				for i, r := range nodes[0].group.GetMulti(t.Context(), keys) {
					if r.Err != nil || r.View.Len() < 2<<10 {
						t.Errorf("%s: %d bytes, %v", keys[i], r.View.Len(), r.Err)
					}
				}
			})
		}
		callers.Wait()
		if most.Load() != 8 || all.Load() != 500 {
			t.Errorf("%d requests, %d at once: want 500, 8 at once", all.Load(), most.Load())
		}
	})
}

func TestMaxLargeRequestsOption(t *testing.T) {
	if _, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithMaxLargeRequests(0)); err == nil {
		t.Error("WithMaxLargeRequests(0) is taken")
	}
}
