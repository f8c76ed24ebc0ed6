package peercache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// The function of WithOnEvict panics for each value that leaves, in the goroutines of
// callers and of the store's timer, with every cache.
func TestOnEvictPanicHarmsNothing(t *testing.T) {
	for name, cache := range map[string]peercache.NewCache{"store": peercache.NewStore, "LRU": peercache.NewLRU} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				n := local(t, &editions{ttl: time.Minute}, peercache.WithCache(cache), peercache.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
					peercache.WithOnEvict(func(string, peercache.ByteView, peercache.Reason) { panic("boom") }))
				n.wants(t, "k", "1")
				if err := n.group.Set(t.Context(), "k", peercache.Item{Value: []byte("set"), TTL: time.Minute}); err != nil {
					t.Error(err)
				}
				n.wants(t, "k", "set")
				time.Sleep(time.Hour) // it expires
				n.wants(t, "k", "2")
				if err := n.group.Remove(t.Context(), "k"); err != nil {
					t.Error(err)
				}
				n.wants(t, "k", "3")
				if s := n.group.Stats(); s.Panics != 3 || !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "boom") {
					t.Errorf("%d panics, want 3; the log: %.300s", s.Panics, log.String())
				}
			})
		})
	}
}

// The same where the value is a copy that a peer's answer brings.
func TestOnEvictPanicHarmsNoFetch(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{size: 1 << 10}, bytes: 64 << 10, group: []peercache.GroupOption{
			peercache.WithOnEvict(func(string, peercache.ByteView, peercache.Reason) { panic("boom") }),
		}})
		for _, key := range keysOwnedBy(t, nodes, 0, 1, 100) {
			nodes[0].get(t, key)
		}
		time.Sleep(time.Second)
		if s := nodes[0].group.Stats(); s.Panics == 0 {
			t.Error("no value left")
		}
	})
}

// panickingHandler is a slog.Handler of which each method panics, from when it is called for.
type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (panickingHandler) Handle(context.Context, slog.Record) error { panic("boom") }

// A logger that panics harms neither hit, load, fetch nor what the pool does.
func TestLoggerPanicHarmsNothing(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		logger := slog.New(panickingHandler{slog.DiscardHandler})
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{}, group: []peercache.GroupOption{peercache.WithLogger(logger)},
			pool: func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithPoolLogger(logger)} }})
		key := keyOwnedBy(t, nodes, 0, 1)
		nodes[0].copies(t, key, "1")
		nodes[1].wants(t, key, "1")
		net.Isolate(host(1)) // the breaker logs
		time.Sleep(10 * time.Second)
		nodes[0].get(t, keysOwnedBy(t, nodes, 0, 1, 2)[1])
		net.HealAll()
		net.Rejoin(host(1))
		time.Sleep(5 * time.Second)
		if s := nodes[0].group.Stats(); s.Panics == 0 {
			t.Error("no panic is counted")
		}
	})
}

// badCodec panics when it decodes, and encodes "bad".
type badCodec struct{}

func (badCodec) Encode(v string) ([]byte, error) {
	if v == "bad" {
		panic("boom")
	}
	return []byte(v), nil
}

func (badCodec) Decode(peercache.ByteView) (string, error) { panic("boom") }

// A Codec that panics is an error of the Get or the Set.
func TestCodecPanicIsAnError(t *testing.T) {
	group := typed[string](t)(peercache.NewTypedGroup("test", 1<<20, badCodec{}, func(_ context.Context, key string) (string, error) { return key, nil }))
	for _, key := range []string{"k", "bad"} {
		if v, err := group.Get(t.Context(), key); err == nil || !strings.Contains(err.Error(), "boom") || key == "k" && !errors.Is(err, peercache.ErrDecode) {
			t.Errorf("Get %q: %q, %v: want an error", key, v, err)
		}
	}
	if r := group.GetMulti(t.Context(), []string{"k"}); !errors.Is(r[0].Err, peercache.ErrDecode) {
		t.Errorf("GetMulti: %v", r[0].Err)
	}
	if err := group.Set(t.Context(), "k", "bad", 0); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("Set: %v, want an error", err)
	}
	if s := group.Group().Stats(); s.Panics != 3 {
		t.Errorf("%d panics, want the 3 outside of loads", s.Panics)
	}
}

// A NewCache that panics is an error of NewGroup.
func TestNewCachePanicIsAnError(t *testing.T) {
	_, err := peercache.NewGroup("test", 1<<20, &editions{}, peercache.WithCache(func(int64, func(string, peercache.Entry, peercache.Reason)) (peercache.Cache, error) {
		panic("boom")
	}))
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("%v, want an error", err)
	}
}

// badCache is a Cache whose Get and Add panic for one key.
type badCache struct{ peercache.Cache }

func (c badCache) Get(key string) (peercache.Entry, bool) {
	if key == "bad" {
		panic("boom")
	}
	return c.Cache.Get(key)
}

func (c badCache) Add(key string, e peercache.Entry, tainted func() bool) bool {
	if strings.HasPrefix(key, "key") {
		panic("boom")
	}
	return c.Cache.Add(key, e, tainted)
}

// A Cache that panics for a peer's request, or when a peer's answer is kept, ends neither
// process.
func TestCachePanicOfAPeersRequest(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 2, simConfig{getter: &editions{}, group: []peercache.GroupOption{
			peercache.WithCache(func(size int64, onLeave func(string, peercache.Entry, peercache.Reason)) (peercache.Cache, error) {
				c, err := peercache.NewLRU(size, onLeave)
				return badCache{c}, err
			}),
		}})
		key := keyOwnedBy(t, nodes, 0, 1)
		if _, err := nodes[0].group.Get(t.Context(), key); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("error %v, want that of the owner, whose load could not be kept", err)
		}
		asker := nodes[0]
		if nodes[0].pool.Pick("bad", 0) == nil {
			asker = nodes[1]
		}
		link := asker.pool.Pick("bad", 0)
		if _, err := link.Get(t.Context(), peercache.Query{Group: "test", Key: "bad"}); err == nil || !strings.Contains(err.Error(), "boom") {
			t.Errorf("error %v, want that of the owner", err)
		}
		asker.get(t, "another")
	})
}
