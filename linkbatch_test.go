package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// TestP1OverlappingGetMultis: many calls for many keys, at all peers, load each key
// once, in few requests.
func TestP1OverlappingGetMultis(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		nodes := newSimCluster(t, net, 3, simConfig{getter: &o, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
		var keys []string
		for i := range 2000 {
			keys = append(keys, fmt.Sprint("key", i))
		}
		var callers sync.WaitGroup
		for _, n := range nodes {
			for i := range 5 {
				callers.Go(func() {
					asked := keys[i*250:][:1000]
					for j, r := range n.group.GetMulti(t.Context(), asked) {
						if r.Err != nil || r.View.String() != "value of "+asked[j] {
							t.Errorf("%s: %q, %v", asked[j], r.View, r.Err)
						}
					}
				})
			}
		}
		callers.Wait()
		for _, key := range keys {
			if n := o.count(key); n != 1 {
				t.Errorf("%s was loaded %d times", key, n)
			}
		}

		before := nodes[0].statsOf(t, nodes[1])
		if before.Batches == 0 || before.Requests > 5+2 { // and one told of the view, and one asked who told it
			t.Errorf("%d requests, of which %d batches, for 5 GetMultis", before.Requests, before.Batches)
		}
		twice := keysOwnedBy(t, nodes, 0, 1, 1000)
		nodes[0].group.GetMulti(t.Context(), append(twice, twice...))
		s := nodes[0].statsOf(t, nodes[1])
		if s.Requests != before.Requests+1 || s.Keys != before.Keys+1000 {
			t.Errorf("%d requests for %d keys: want one, for the 1,000 that were given twice",
				s.Requests-before.Requests, s.Keys-before.Keys)
		}
	})
}

// batchOrigin is a BatchGetter.
type batchOrigin struct {
	origin
	batch func(keys []string) ([]peercache.Item, error)

	mu      sync.Mutex
	batches []int // their sizes
}

func (o *batchOrigin) GetBatch(_ context.Context, keys []string) ([]peercache.Item, error) {
	o.mu.Lock()
	o.batches = append(o.batches, len(keys))
	o.mu.Unlock()
	return o.batch(keys)
}

func itemsOf(keys []string) []peercache.Item {
	items := make([]peercache.Item, len(keys))
	for i, key := range keys {
		items[i].Value = []byte("value of " + key)
	}
	return items
}

// TestBatchGetter: its contract holds for the process itself and for its peers.
func TestBatchGetter(t *testing.T) {
	odd := func(key string) bool { return strings.HasSuffix(key, "1") }
	for _, tt := range []struct {
		name  string
		batch func(keys []string) ([]peercache.Item, error)
		check func(key string, r peercache.Result) bool
		kept  int // of 50 keys, how many of the first are cached then
	}{
		{"all found", func(keys []string) ([]peercache.Item, error) { return itemsOf(keys), nil }, good, 50},
		{"one item too few", func(keys []string) ([]peercache.Item, error) { return itemsOf(keys[1:]), nil }, failed("items for"), 0},
		{"one item too many", func(keys []string) ([]peercache.Item, error) { return itemsOf(append(keys, "x")), nil }, failed("items for"), 0},
		{"nothing at all", func([]string) ([]peercache.Item, error) { return nil, nil }, failed("items for"), 0},
		{"an error", func(keys []string) ([]peercache.Item, error) { return itemsOf(keys), errors.New("down") }, failed("down"), 0},
		{"not found, all", func([]string) ([]peercache.Item, error) { return nil, peercache.ErrNotFound },
			func(_ string, r peercache.Result) bool { return errors.Is(r.Err, peercache.ErrNotFound) }, 0},
		{"a panic", func([]string) ([]peercache.Item, error) { panic("boom") }, failed("boom"), 0},
		{"a BatchError too short", func(keys []string) ([]peercache.Item, error) {
			return itemsOf(keys), make(peercache.BatchError, len(keys)-1)
		}, failed("BatchError"), 0},
		{"some not found", func(keys []string) ([]peercache.Item, error) {
			errs := make(peercache.BatchError, len(keys))
			for i, key := range keys {
				if odd(key) {
					errs[i] = fmt.Errorf("%w: %s", peercache.ErrNotFound, key)
				}
			}
			return itemsOf(keys), fmt.Errorf("wrapped: %w", errs)
		}, func(key string, r peercache.Result) bool {
			if odd(key) {
				return errors.Is(r.Err, peercache.ErrNotFound) && strings.Contains(r.Err.Error(), key)
			}
			return good(key, r)
		}, 0},
		{"keys that it changes", func(keys []string) ([]peercache.Item, error) {
			items := itemsOf(keys)
			clear(keys)
			return items, nil
		}, good, 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := &batchOrigin{batch: tt.batch}
				nodes := newSimCluster(t, net, 2, simConfig{getter: o})
				for owner := range nodes {
					keys := keysOwnedBy(t, nodes, 0, owner, 50)
					for i, r := range nodes[0].group.GetMulti(t.Context(), keys) {
						if !tt.check(keys[i], r) {
							t.Errorf("%s of node %d: %q, %v", keys[i], owner, r.View, r.Err)
						}
					}
				}
				for owner := range nodes { // what was found is cached under its own key
					keys := keysOwnedBy(t, nodes, 0, owner, 50)
					for i, r := range nodes[0].group.GetMulti(t.Context(), keys[:tt.kept]) {
						if !tt.check(keys[i], r) {
							t.Errorf("%s of node %d, again: %q, %v", keys[i], owner, r.View, r.Err)
						}
					}
				}
				if len(o.batches) != 2 {
					t.Errorf("batches of %v, want two of 50: an error is an answer (P6)", o.batches)
				}
				if s := nodes[0].group.Stats(); s.PeerErrors != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func good(key string, r peercache.Result) bool {
	return r.Err == nil && r.View.String() == "value of "+key
}

func failed(with string) func(string, peercache.Result) bool {
	return func(key string, r peercache.Result) bool {
		return r.Err != nil && strings.Contains(r.Err.Error(), with) && strings.Contains(r.Err.Error(), key)
	}
}

// TestBatchesAreBounded: no batch of a BatchGetter has more than 1,000 keys.
func TestBatchesAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &batchOrigin{batch: func(keys []string) ([]peercache.Item, error) { return itemsOf(keys), nil }}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o})
		for owner := range nodes {
			keys := keysOwnedBy(t, nodes, 0, owner, 2500)
			for i, r := range nodes[0].group.GetMulti(t.Context(), keys) {
				if !good(keys[i], r) {
					t.Fatalf("%s: %q, %v", keys[i], r.View, r.Err)
				}
			}
		}
		sum := 0
		for _, n := range o.batches {
			sum += n
			if n > 1000 {
				t.Errorf("a batch of %d", n)
			}
		}
		if sum != 5000 || len(o.batches) > 8 {
			t.Errorf("batches of %v, want few that make 5,000", o.batches)
		}
		if n := nodes[0].group.Stats().Loads + nodes[1].group.Stats().Loads; n != 5000 {
			t.Errorf("%d loads were counted", n)
		}
	})
}

// TestRemoveOfManyKeysIsFewRequests of which each peer gets each key.
func TestRemoveOfManyKeysIsFewRequests(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		nodes := newSimCluster(t, net, 3, simConfig{getter: &o})
		var keys []string
		for i := range 10_000 {
			keys = append(keys, fmt.Sprint("key", i))
		}
		for range 3 { // so often that there are copies
			for _, n := range nodes {
				n.group.GetMulti(t.Context(), keys)
			}
		}
		before := nodes[0].statsOf(t, nodes[1])
		if err := nodes[0].group.Remove(t.Context(), keys...); err != nil {
			t.Fatal(err)
		}
		if n := nodes[0].statsOf(t, nodes[1]).Requests - before.Requests; n < 2 || n > 6 {
			t.Errorf("%d requests", n)
		}
		for _, n := range nodes {
			if s := n.group.Stats(); s.Main.Items != 0 || s.Hot.Items != 0 {
				t.Errorf("%s keeps %d values and %d copies", n.url, s.Main.Items, s.Hot.Items)
			}
		}
	})
}

// TestP6ErrorsOfABatchAreAnswers: the kind and the text of each arrive, and no key
// is loaded by another peer.
func TestP6ErrorsOfABatchAreAnswers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := origin{load: func(_ context.Context, key string) ([]byte, error) {
			switch {
			case strings.HasSuffix(key, "1"):
				return nil, fmt.Errorf("nothing under %s: %w", key, peercache.ErrNotFound)
			case strings.HasSuffix(key, "2"):
				return nil, context.DeadlineExceeded
			case strings.HasSuffix(key, "3"):
				panic("boom")
			case strings.HasSuffix(key, "4"):
				return make([]byte, 2000), nil
			}
			return []byte("value of " + key), nil
		}}
		nodes := newSimCluster(t, net, 2, simConfig{getter: &o, group: []peercache.GroupOption{peercache.WithMaxValueBytes(1000)}})
		keys := keysOwnedBy(t, nodes, 0, 1, 100)
		for i, r := range nodes[0].group.GetMulti(t.Context(), keys) {
			key, ok := keys[i], false
			switch key[len(key)-1] {
			case '1':
				ok = errors.Is(r.Err, peercache.ErrNotFound) && strings.Contains(r.Err.Error(), "nothing under "+key)
			case '2':
				ok = errors.Is(r.Err, context.DeadlineExceeded)
			case '3':
				ok = r.Err != nil && strings.Contains(r.Err.Error(), "boom")
			case '4':
				ok = errors.Is(r.Err, peercache.ErrValueSize)
			default:
				ok = good(key, r)
			}
			if !ok {
				t.Errorf("%s: %q, %v", key, r.View, r.Err)
			}
			if n := o.count(key); n != 1 {
				t.Errorf("%s was loaded %d times", key, n)
			}
		}
		if s := nodes[0].group.Stats(); s.Loads != 0 || s.PeerErrors != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestP2ViewsThatDisagreeOnAStream: each of two peers takes the other for the
// owner of a key, and both answer.
func TestP2ViewsThatDisagreeOnAStream(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o origin
		nodes := newSimCluster(t, net, 3, simConfig{getter: &o, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
		keys := keysOwnedBy(t, nodes, 0, 1, 100)
		// The third takes the place of the owner in the owner's own view.
		if err := nodes[1].pool.Set(nodes[1].url, nodes[0].url); err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].pool.Set(nodes[1].url, nodes[0].url, nodes[2].url); err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for _, n := range nodes[:2] {
			callers.Go(func() {
				for i, r := range n.group.GetMulti(t.Context(), keys) {
					if !good(keys[i], r) {
						t.Errorf("%s: %q, %v", keys[i], r.View, r.Err)
					}
				}
			})
		}
		callers.Wait()
		if len(o.overlap) > len(keys) {
			t.Errorf("%d loads ran at the same time as another", len(o.overlap))
		}
	})
}

// TestStreamOverTLS, with a transport of the user's own: of HTTP/1.1, and one that
// prefers HTTP/2, which knows no upgrade.
func TestStreamOverTLS(t *testing.T) {
	for _, tt := range []struct {
		name          string
		http2, hidden bool // hidden: the transport is not net/http's to see
	}{{"HTTP/1.1", false, false}, {"HTTP/2", true, false}, {"hidden HTTP/2", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			var o origin
			var pools [2]*peercache.HTTPPool
			var groups [2]*peercache.Group
			var urls []string
			for i := range pools {
				var handler http.Handler
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
				server.EnableHTTP2 = tt.http2
				server.StartTLS()
				t.Cleanup(server.Close)
				// The certificates of all test servers are the same.
				transport := server.Client().Transport.(*http.Transport).Clone()
				transport.ForceAttemptHTTP2 = tt.http2
				t.Cleanup(transport.CloseIdleConnections)
				rt := http.RoundTripper(transport)
				if tt.hidden {
					rt = struct{ http.RoundTripper }{transport}
				}
				var err error
				if pools[i], err = peercache.NewHTTPPool(server.URL, peercache.WithTransport(rt)); err != nil {
					t.Fatal(err)
				}
				if groups[i], err = peercache.NewGroup("test", 1<<20, &o, peercache.WithPeers(pools[i]), peercache.WithHotShare(0)); err != nil {
					t.Fatal(err)
				}
				handler = pools[i]
				urls = append(urls, server.URL)
			}
			for _, pool := range pools {
				if err := pool.Set(urls...); err != nil {
					t.Fatal(err)
				}
			}
			var keys []string
			for i := 0; len(keys) < 200; i++ {
				if key := fmt.Sprint("key", i); pools[0].Pick(key, 0) != nil {
					keys = append(keys, key)
				}
			}
			for _, key := range keys[:100] {
				view, err := groups[0].Get(inside(t), key)
				if err != nil || view.String() != "value of "+key {
					t.Fatalf("%s: %q, %v", key, view, err)
				}
			}
			for i, r := range groups[0].GetMulti(inside(t), keys) {
				if !good(keys[i], r) {
					t.Fatalf("%s: %q, %v", keys[i], r.View, r.Err)
				}
			}
			if s := pools[0].Stats()[0]; s.Keys != 300 || (s.Plain >= 300) != tt.hidden || tt.hidden != (s.Transport == "plain") {
				t.Errorf("%d keys, %d requests by the plain way, the present one is %s: want 300, plain: %v", s.Keys, s.Plain, s.Transport, tt.hidden)
			}
			if s := groups[0].Stats(); s.Loads != 0 || s.PeerErrors != 0 {
				t.Errorf("%+v: want no errors and no loads at the asker", s)
			}
			for _, pool := range pools {
				if err := pool.Shutdown(inside(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
