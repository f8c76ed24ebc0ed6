package peercache_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
)

// A peer that renews its lease of a large value has the digest of that compared by Load, which has
// a goroutine of its own. Hit is called on the goroutine that reads the peer's connection.
func TestRenewalOfALargeValueIsNotForHit(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		name       string
		size       int
		have       string // "same", "other", "none"
		cachedOnly bool
		byHit      bool
		unchanged  bool
	}{
		{"a small value that is the same", kib, "same", false, true, true},
		{"a small value that has changed", kib, "other", false, true, false},
		{"a large value that is the same", 64 * kib, "same", false, false, true},
		{"a large value that has changed", 64 * kib, "other", false, false, false},
		{"a large value that the peer does not have", 64 * kib, "none", false, true, false},
		{"a large value, if it is cached", 64 * kib, "same", true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			value, loads := strings.Repeat("v", c.size), 0
			pool, err := peercache.NewHTTPPool("http://127.0.0.1:9")
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Shutdown(context.Background())
			group, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				loads++
				return []byte(value), nil
			}), peercache.WithPeers(pool))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := group.Get(context.Background(), "k"); err != nil {
				t.Fatal(err)
			}
			h, err := pool.Accept(peer.Identity{Name: "http://127.0.0.1:8"}, "")
			if err != nil {
				t.Fatal(err)
			}
			q := peer.Query{Group: "g", Key: "k", CachedOnly: c.cachedOnly}
			switch c.have {
			case "same":
				q.Digest = peercache.Digest(peercache.ViewOfString(value))
			case "other":
				q.Digest = peercache.Digest(peercache.ViewOfString("other"))
			}
			before := group.Stats()
			ask := q
			a, err := h.Hit(&ask)
			if byHit := !errors.Is(err, peer.ErrNotCached); byHit != c.byHit {
				t.Fatalf("Hit answered with the error %v, want an answer: %v", err, c.byHit)
			}
			if !c.byHit {
				if a, err = h.Load(context.Background(), &q); err != nil {
					t.Fatal(err)
				}
			}
			want := value
			if c.unchanged {
				want = ""
			}
			if a.Unchanged != c.unchanged || string(a.Value) != want {
				t.Errorf("the answer has %d bytes, unchanged: %v, want %d, %v", len(a.Value), a.Unchanged, len(want), c.unchanged)
			}
			if loads != 1 {
				t.Errorf("%d loads, want 1", loads)
			}
			if s := group.Stats(); !c.cachedOnly && s.ServerRequests != before.ServerRequests+1 {
				t.Errorf("%d requests were counted, want 1", s.ServerRequests-before.ServerRequests)
			} else if s.Main.Misses != before.Main.Misses {
				t.Errorf("%d misses were counted, want none", s.Main.Misses-before.Main.Misses)
			}
		})
	}
}

// BenchmarkRenewal is what renewals of leases take of the goroutine that reads a connection.
func BenchmarkRenewal(b *testing.B) {
	for name, size := range map[string]int{"1KiB": 1 << 10, "256KiB": 256 << 10} {
		b.Run(name, func(b *testing.B) {
			value := strings.Repeat("v", size)
			pool, err := peercache.NewHTTPPool("http://127.0.0.1:9")
			if err != nil {
				b.Fatal(err)
			}
			defer pool.Shutdown(context.Background())
			group, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				return []byte(value), nil
			}), peercache.WithPeers(pool))
			if err != nil {
				b.Fatal(err)
			}
			group.Get(context.Background(), "k")
			h, err := pool.Accept(peer.Identity{Name: "http://127.0.0.1:8"}, "")
			if err != nil {
				b.Fatal(err)
			}
			digest := peercache.Digest(peercache.ViewOfString(value))
			for b.Loop() {
				h.Hit(&peer.Query{Group: "g", Key: "k", Digest: digest})
			}
		})
	}
}
