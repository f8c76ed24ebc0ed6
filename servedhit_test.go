package peercache

import (
	"context"
	"testing"

	"github.com/peercache/peercache/peer"
)

// servedHit returns what answers a process of which that is known, and a query for what is cached.
func servedHit(t testing.TB, trust peer.Trust, opts ...PoolOption) (peer.Handler, *peer.Query) {
	pool, err := NewHTTPPool("http://127.0.0.1:1", opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Shutdown(context.Background()) })
	g, err := NewGroup("g", 1<<20, GetterFunc(func(context.Context, string) ([]byte, error) { return make([]byte, 1<<10), nil }), WithPeers(pool))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Get(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	from := pool.Identity()
	from.Trust = trust
	h, err := pool.Accept(from, "")
	if err != nil {
		t.Fatal(err)
	}
	q := &peer.Query{Group: "g", Key: "key"}
	if _, err := h.Hit(q); err != nil {
		t.Fatal(err)
	}
	return h, q
}

// servedHits are the ways in which a hit is served.
var servedHits = map[string]struct {
	trust peer.Trust
	opts  []PoolOption
}{
	"open":        {peer.Claimed, nil},
	"named":       {peer.Named, nil},
	"with access": {peer.Named, []PoolOption{WithAccess(func(a Access) error { return a.Default })}},
}

// A hit that is served takes no memory, whoever asks.
func TestAllocsOfAServedHit(t *testing.T) {
	for name, c := range servedHits {
		h, q := servedHit(t, c.trust, c.opts...)
		if n := testing.AllocsPerRun(1000, func() { h.Hit(q) }); n != 0 {
			t.Errorf("%s: a hit that is served takes %v allocations, want none", name, n)
		}
	}
}

func BenchmarkServedHit(b *testing.B) {
	for name, c := range servedHits {
		b.Run(name, func(b *testing.B) {
			h, q := servedHit(b, c.trust, c.opts...)
			b.ReportAllocs()
			for b.Loop() {
				h.Hit(q)
			}
		})
	}
}
