package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
)

func newLocal(t *testing.T, getter peercache.Getter, opts ...peercache.GroupOption) *peercache.Group {
	t.Helper()
	g, err := peercache.NewGroup("test", 1<<20, getter, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGroupWithoutPeersIsALocalCache(t *testing.T) {
	var o origin
	g := newLocal(t, &o)
	for range 3 {
		if v, err := g.Get(t.Context(), "Tom"); err != nil || v.String() != "value of Tom" {
			t.Fatalf("%q, %v", v, err)
		}
	}
	if err := g.Remove(t.Context(), "Tom", "Jack"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t.Context(), "Tom"); err != nil {
		t.Fatal(err)
	}
	want := peercache.Stats{Gets: 4, Hits: 2, Loads: 2, Removes: peercache.ChangeStats{Done: 1}}
	s := g.Stats()
	s.LoadTime, s.Removes.Time = peercache.Histogram{}, peercache.Histogram{}
	if s.Main.Items != 1 || s.Main.Bytes <= int64(len("Tomvalue of Tom")) {
		t.Errorf("main cache: %+v", s.Main)
	}
	s.Main = peercache.CacheStats{}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestNewGroupSaysWhatIsWrong(t *testing.T) {
	getter := peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return nil, nil })
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peercache.NewGroup("taken", 4096, getter, peercache.WithPeers(pool)); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		name   string
		bytes  int64
		getter peercache.Getter
		opts   []peercache.GroupOption
		want   string
	}{
		"no name":          {"", 4096, getter, nil, "name"},
		"slash in name":    {"a/b", 4096, getter, nil, "slash"},
		"name not text":    {"\xff", 4096, getter, nil, "text"},
		"name too long":    {strings.Repeat("n", 256), 4096, getter, nil, "255"},
		"nil getter":       {"g", 4096, nil, nil, "getter is nil"},
		"nil GetterFunc":   {"g", 4096, peercache.GetterFunc(nil), nil, "getter is nil"},
		"nil ItemFunc":     {"g", 4096, peercache.ItemFunc(nil), nil, "getter is nil"},
		"size 0":           {"g", 0, getter, nil, "at least 4096"},
		"size 64":          {"g", 64, getter, nil, "at least 4096"},
		"size negative":    {"g", -5, getter, nil, "-5"},
		"name taken":       {"taken", 4096, getter, []peercache.GroupOption{peercache.WithPeers(pool)}, "already"},
		"nil peers":        {"g", 4096, getter, []peercache.GroupOption{peercache.WithPeers(nil)}, "WithPeers(nil)"},
		"load timeout":     {"g", 4096, getter, []peercache.GroupOption{peercache.WithLoadTimeout(0)}, "WithLoadTimeout"},
		"key limit":        {"g", 4096, getter, []peercache.GroupOption{peercache.WithMaxKeyBytes(0)}, "WithMaxKeyBytes"},
		"key limit beyond": {"g", 4096, getter, []peercache.GroupOption{peercache.WithMaxKeyBytes(2 << 20)}, "1048576"},
		"value limit":      {"g", 4096, getter, []peercache.GroupOption{peercache.WithMaxValueBytes(-1)}, "WithMaxValueBytes"},
		"hot share":        {"g", 4096, getter, []peercache.GroupOption{peercache.WithHotShare(1)}, "0.9"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, err := peercache.NewGroup(c.name, c.bytes, c.getter, c.opts...)
			if err == nil || g != nil {
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), "peercache: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not say %q", err, c.want)
			}
		})
	}
}

func TestKeySizes(t *testing.T) {
	g := newLocal(t, &origin{}, peercache.WithMaxKeyBytes(100))
	for _, key := range []string{"", strings.Repeat("k", 101)} {
		if _, err := g.Get(t.Context(), key); !errors.Is(err, peercache.ErrKeySize) {
			t.Errorf("Get of %d bytes: %v", len(key), err)
		}
		if r := g.GetMulti(t.Context(), []string{key}); !errors.Is(r[0].Err, peercache.ErrKeySize) {
			t.Errorf("GetMulti of %d bytes: %v", len(key), r[0].Err)
		}
		if err := g.Remove(t.Context(), key); !errors.Is(err, peercache.ErrKeySize) {
			t.Errorf("Remove of %d bytes: %v", len(key), err)
		}
		if _, err := g.ServeGet(t.Context(), peercache.Query{Group: g.Name(), Key: key}); !errors.Is(err, peercache.ErrKeySize) {
			t.Errorf("ServeGet of %d bytes: %v", len(key), err)
		}
	}
	if _, err := g.Get(t.Context(), strings.Repeat("k", 100)); err != nil {
		t.Error(err)
	}
}

func TestP3LoadTimeoutBoundsTheLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool // a getter that hangs may be read from when its time is over
		hang.Store(true)
		g := newLocal(t, peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
			if hang.Load() {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return []byte("v"), nil
		}), peercache.WithLoadTimeout(2*time.Second))
		start := time.Now()
		if _, err := g.Get(t.Context(), "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		hang.Store(false)
		if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "v" {
			t.Fatalf("next Get: %q, %v", v, err)
		}
	})
}

func TestP3CancelAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended error
		g := newLocal(t, peercache.GetterFunc(func(ctx context.Context, key string) ([]byte, error) {
			<-ctx.Done()
			ended = ctx.Err()
			return nil, ended
		}), peercache.WithCancelAbandoned())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := g.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(ended, context.Canceled) {
			t.Fatalf("the load ended with %v", ended)
		}
	})
}

func TestP7ItemTTL(t *testing.T) {
	cases := map[string]struct {
		ttl   time.Duration
		after time.Duration
		loads int // of two Gets
	}{
		"none":            {0, 1000 * time.Hour, 1},
		"not yet":         {time.Minute, time.Minute - 1, 1},
		"just":            {time.Minute, time.Minute, 2},
		"negative":        {-1, 0, 2},
		"as long as ever": {1<<63 - 1, 1000 * time.Hour, 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				loads := 0
				g := newLocal(t, peercache.ItemFunc(func(context.Context, string) (peercache.Item, error) {
					loads++
					return peercache.Item{Value: []byte("v"), TTL: c.ttl}, nil
				}))
				for range 2 {
					if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "v" {
						t.Fatalf("%q, %v", v, err)
					}
					time.Sleep(c.after)
				}
				if loads != c.loads {
					t.Errorf("%d loads, want %d", loads, c.loads)
				}
			})
		})
	}
}

func TestValuesLargerThanTheCacheAreCounted(t *testing.T) {
	o := origin{load: func(context.Context, string) ([]byte, error) { return make([]byte, 2<<20), nil }}
	g := newLocal(t, &o) // of 1 MiB
	for range 2 {
		if _, err := g.Get(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
	}
	if s := g.Stats(); s.Main.Items != 0 || s.Main.Rejected != 2 || s.Loads != 2 {
		t.Errorf("%+v", s)
	}
}

func TestP5CacheStaysWithinItsBytes(t *testing.T) {
	g := newLocal(t, peercache.GetterFunc(func(_ context.Context, key string) ([]byte, error) {
		return make([]byte, 10000), nil
	}))
	for i := range 1000 {
		if _, err := g.Get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	s := g.Stats().Main
	if s.Bytes > 1<<20 || s.Bytes < 1<<19 || s.Items*10000 > s.Bytes || s.Evictions != 1000-s.Items {
		t.Errorf("%+v", s)
	}
}

func TestRemoveTaintsLoadsInProgress(t *testing.T) {
	var mu sync.Mutex
	version := "old"
	started, release := make(chan struct{}, 2), make(chan struct{})
	g := newLocal(t, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		mu.Lock()
		v := version
		mu.Unlock()
		started <- struct{}{}
		if v == "old" {
			<-release
		}
		return []byte(v), nil
	}))
	before := make(chan string)
	go func() {
		v, _ := g.Get(context.Background(), "k")
		before <- v.String()
	}()
	<-started
	mu.Lock()
	version = "new"
	mu.Unlock()
	if err := g.Remove(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "new" {
		t.Fatalf("%q, %v: joined a load from before the Remove", v, err)
	}
	close(release)
	if v := <-before; v != "old" {
		t.Fatalf("who waited got %q", v)
	}
	if v, err := g.Get(t.Context(), "k"); err != nil || v.String() != "new" {
		t.Fatalf("%q, %v: the old load overwrote the new value", v, err)
	}
}

func TestGetMulti(t *testing.T) {
	o := origin{load: func(_ context.Context, key string) ([]byte, error) {
		if strings.HasPrefix(key, "bad") {
			return nil, peercache.ErrNotFound
		}
		return []byte("value of " + key), nil
	}}
	nodes := newCluster(t, 3, config{getter: oneOrigin(&o)})
	var keys []string
	for i := range 200 {
		keys = append(keys, fmt.Sprint("key", i%150), fmt.Sprint("bad", i%7))
	}
	keys = append(keys, "")
	var wg sync.WaitGroup
	for range 2 {
		for _, n := range nodes {
			wg.Go(func() {
				results := n.group.GetMulti(inside(t), keys)
				if len(results) != len(keys) {
					t.Errorf("%d results for %d keys", len(results), len(keys))
					return
				}
				for i, r := range results {
					switch key := keys[i]; {
					case key == "":
						if !errors.Is(r.Err, peercache.ErrKeySize) {
							t.Errorf("empty key: %v", r.Err)
						}
					case strings.HasPrefix(key, "bad"):
						if !errors.Is(r.Err, peercache.ErrNotFound) {
							t.Errorf("%s: %v", key, r.Err)
						}
					case r.Err != nil || r.View.String() != "value of "+key:
						t.Errorf("%s: %q, %v", key, r.View, r.Err)
					}
				}
			})
		}
	}
	wg.Wait()
	for _, key := range keys {
		if c := o.count(key); key != "" && !strings.HasPrefix(key, "bad") && c != 1 {
			t.Errorf("%s was loaded %d times", key, c)
		}
	}
	if r := nodes[0].group.GetMulti(inside(t), nil); len(r) != 0 {
		t.Errorf("results for no keys: %v", r)
	}
}

// A load that takes longer than it may be joined is not kept after a Remove either.
func TestP8LoadThatMayNotBeJoinedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var origin atomic.Value
		origin.Store("old")
		g := newLocal(t, peercache.GetterFunc(func(ctx context.Context, _ string) ([]byte, error) {
			read := origin.Load().(string)
			time.Sleep(2 * time.Second)
			return []byte(read), nil
		}), peercache.WithLoadTimeout(time.Minute), peercache.WithStandIn(time.Second))
		get := func() string {
			view, err := g.Get(t.Context(), "k")
			if err != nil {
				t.Error(err)
			}
			return view.String()
		}
		var readers sync.WaitGroup
		defer readers.Wait()
		readers.Go(func() { get() })
		time.Sleep(1500 * time.Millisecond)
		readers.Go(func() { get() }) // starts another load
		synctest.Wait()
		origin.Store("new")
		if err := g.Remove(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the first load has ended
		if got := get(); got != "new" {
			t.Errorf("after the Remove a Get sees %q", got)
		}
	})
}
