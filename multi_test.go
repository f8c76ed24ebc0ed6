package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// mixed is an origin with values of all kinds: small ones, one that takes the plain way, one that is
// not there and one that fails.
func mixed(loads *atomic.Int64) peercache.GetterFunc {
	return func(_ context.Context, key string) ([]byte, error) {
		loads.Add(1)
		switch {
		case strings.HasSuffix(key, "7"):
			return []byte(key + strings.Repeat("x", 3<<20)), nil
		case strings.HasSuffix(key, "8"):
			return nil, peercache.ErrNotFound
		case strings.HasSuffix(key, "9"):
			return nil, errOutOfOrder
		}
		return []byte(key + strings.Repeat("x", 100)), nil
	}
}

// A GetMulti without copies brings what Gets bring: also of keys that are given twice, whose values
// take the plain way, or whose owner has gone.
func TestMultiAloneBringsWhatGetsBring(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%t", killed), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var loads atomic.Int64
				nodes := newSimCluster(t, net, 3, simConfig{getter: mixed(&loads), bytes: 256 << 20, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
				var keys []string
				for i := range 300 {
					keys = append(keys, fmt.Sprint("key", i%290))
				}
				if killed {
					nodes[0].group.GetMulti(t.Context(), keys) // there are links
					nodes[2].end()
				}
				loads.Store(0)
				results := nodes[0].group.GetMulti(t.Context(), keys)
				if n := loads.Load(); n != 290 && !killed {
					t.Errorf("%d loads of 290 keys", n)
				}
				for i, r := range results {
					switch key := keys[i]; {
					case strings.HasSuffix(key, "8") && errors.Is(r.Err, peercache.ErrNotFound):
					case strings.HasSuffix(key, "9") && strings.Contains(fmt.Sprint(r.Err), errOutOfOrder.Error()):
					case r.Err != nil || !strings.HasPrefix(r.View.String(), key+"x"):
						t.Errorf("%s: %d bytes that begin with %.10q, error %v", key, r.View.Len(), r.View, r.Err)
					}
				}
			})
		})
	}
}

// A caller of a GetMulti returns when its context ends, with what is there by then. Nothing is
// written to its results afterwards.
func TestP3MultiAloneLeaves(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		getter := peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
			if strings.HasSuffix(key, "0") {
				sleep(ctx, 3*time.Second)
			}
			return []byte(key), nil
		})
		nodes := newSimCluster(t, net, 3, simConfig{getter: getter, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
		keys := append(keysOwnedBy(t, nodes, 0, 1, 20), keysOwnedBy(t, nodes, 0, 2, 20)...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		results := nodes[0].group.GetMulti(ctx, keys)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v, want 1s", took)
		}
		check := func() {
			t.Helper()
			for i, r := range results {
				if slow := strings.HasSuffix(keys[i], "0"); slow && !errors.Is(r.Err, context.DeadlineExceeded) || !slow && r.View.String() != keys[i] {
					t.Errorf("%s: %q, error %v", keys[i], r.View, r.Err)
				}
			}
		}
		check()
		time.Sleep(5 * time.Second) // the loads have ended
		synctest.Wait()
		check()
	})
}

// What a GetMulti without a lease asks for is not joined by a Get that comes after a Remove, and
// nothing of it is cached.
func TestP8MultiAloneIsNotJoined(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{takes: 2 * time.Second}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o})
		keys := keysOwnedBy(t, nodes, 0, 1, 3)
		before := make(chan []peercache.Result, 1)
		go func() { before <- nodes[0].group.GetMulti(t.Context(), keys) }()
		time.Sleep(time.Second)
		if err := nodes[1].group.Remove(t.Context(), keys...); err != nil {
			t.Fatal(err)
		}
		nodes[0].brings(t, keys[0], "2")
		for i, r := range <-before {
			if r.View.String() != "1" {
				t.Errorf("%s: %q, error %v: want the value of before", keys[i], r.View, r.Err)
			}
		}
		for _, key := range keys {
			nodes[0].brings(t, key, "2")
		}
	})
}

// A GetMulti takes few pieces of memory for each key that another process has, on both sides
// together: values share blocks, and no key needs a flight, a question or an answer of its own.
func TestAllocsOfAGetMulti(t *testing.T) {
	value := make([]byte, 256) // the group has 1 MiB
	nodes := newCluster(t, 2, config{
		getter: func(int) peercache.Getter {
			return peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil })
		},
		group: []peercache.GroupOption{peercache.WithHotShare(0)},
	})
	keys := keysOwnedBy(t, nodes, 0, 1, 1000)
	get := func() {
		for i, r := range nodes[0].group.GetMulti(t.Context(), keys) {
			if r.Err != nil || r.View.Len() != len(value) {
				t.Fatalf("%s: %d bytes, error %v", keys[i], r.View.Len(), r.Err)
			}
		}
	}
	get()
	if n := testing.AllocsPerRun(2, get) / float64(len(keys)); n > 0.5 {
		t.Errorf("a GetMulti takes %.2f allocations a key, want at most 0.5", n)
	} else {
		t.Logf("%.2f allocations a key", n)
	}
}
