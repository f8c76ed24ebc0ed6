package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

var errOutOfOrder = errors.New("the origin is out of order")

// Where the getter fails, a value that has expired is served as long as the window is
// open, and then the getter's error. Each Get tries the getter.
func TestP7StaleIfError(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o, group: []peercache.GroupOption{
			peercache.WithTTL(time.Minute), peercache.WithStaleIfError(time.Hour),
		}})
		key := keyOwnedBy(t, nodes, 0, 1)
		owner, other := nodes[1], nodes[0]
		owner.brings(t, key, "1")
		o.fail(errOutOfOrder)
		time.Sleep(time.Minute)
		owner.wants(t, key, "1")
		other.brings(t, key, "1")
		time.Sleep(time.Hour - time.Second)
		owner.wants(t, key, "1")
		other.brings(t, key, "1")
		if loads := o.of(key); loads != 5 {
			t.Errorf("%d loads: want one for each Get", loads)
		}
		if s := owner.group.Stats(); s.StaleHits != 4 || s.LoadErrors != 4 || s.Refreshes != 0 {
			t.Errorf("%d stale hits, %d load errors, %d refreshes: want 4, 4, 0", s.StaleHits, s.LoadErrors, s.Refreshes)
		}
		time.Sleep(time.Second)
		for _, n := range nodes {
			if _, err := n.group.Get(t.Context(), key); err == nil || errors.Is(err, peercache.ErrNotFound) {
				t.Errorf("after the window: error %v, want the getter's", err)
			}
		}
		o.fail(nil)
		other.brings(t, key, "8")
	})
}

// That the origin has no such key is an answer, which no old value replaces, then or later.
func TestP7StaleIfErrorIsNotForErrNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &editions{}
		n := local(t, o, peercache.WithTTL(time.Minute), peercache.WithStaleIfError(time.Hour))
		n.wants(t, "k", "1")
		time.Sleep(time.Minute)
		for _, err := range []error{peercache.ErrNotFound, errOutOfOrder} {
			o.fail(err)
			if view, got := n.group.Get(t.Context(), "k"); !errors.Is(got, err) {
				t.Errorf("the origin says %q: got %q, error %v", err, view, got)
			}
		}
	})
}

// A missing key costs one load in the time that it is remembered, at its owner and where
// a copy of the answer is.
func TestP7NegativeTTL(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		const remembered = 3 * time.Second // less than a lease
		nodes, o, key := missing(t, net, peercache.WithNegativeTTL(remembered))
		start := time.Now()
		for _, n := range []*node{nodes[1], nodes[0], nodes[2], nodes[0], nodes[2]} { // once is not worth a copy
			n.lacks(t, key)
		}
		asked := nodes[1].group.Stats().ServerRequests
		time.Sleep(time.Until(start.Add(remembered)) - 10*time.Millisecond)
		for _, n := range nodes {
			n.lacks(t, key)
		}
		if loads := o.of(key); loads != 1 {
			t.Errorf("%d loads within the negative TTL: want 1", loads)
		}
		if n := nodes[1].group.Stats().ServerRequests - asked; n != 0 {
			t.Errorf("the owner was asked %d times for what the others have copies of", n)
		}
		time.Sleep(10 * time.Millisecond)
		for _, n := range nodes {
			n.lacks(t, key)
		}
		if loads := o.of(key); loads != 2 {
			t.Errorf("%d loads after the negative TTL: want 2", loads)
		}
	})
}

// Without WithNegativeTTL each Get of a missing key asks the origin.
func TestP7NothingMissingIsRememberedByDefault(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes, o, key := missing(t, net)
		for i, n := range nodes {
			n.lacks(t, key)
			n.lacks(t, key)
			if loads := o.of(key); loads != 2*(i+1) {
				t.Errorf("%d loads for %d Gets", loads, 2*(i+1))
			}
		}
	})
}

// An error of the getter may say that a key is missing for less time than the group remembers that.
func TestP7ErrorShortensNegativeTTL(t *testing.T) {
	for limit, want := range map[time.Duration]time.Duration{
		-1: 0, 0: 3 * time.Second, 2 * time.Second: 2 * time.Second, time.Hour: 3 * time.Second,
	} {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			nodes, o, key := missing(t, net, peercache.WithNegativeTTL(3*time.Second))
			o.fail(fmt.Errorf("no row: %w", missingFor(limit)))
			start := time.Now()
			nodes[1].lacks(t, key)
			if want > 0 {
				time.Sleep(time.Until(start.Add(want)) - 10*time.Millisecond)
				nodes[1].lacks(t, key)
				nodes[0].lacks(t, key)
				time.Sleep(10 * time.Millisecond)
			}
			if n := o.of(key); n != 1 {
				t.Errorf("limit %v: %d loads, want the first to be remembered for %v", limit, n, want)
			}
			nodes[0].lacks(t, key)
			if n := o.of(key); n != 2 {
				t.Errorf("limit %v: %d loads after %v", limit, n, want)
			}
		})
	}
}

// missingFor is the error of a getter whose origin says for how long it has no such key.
type missingFor time.Duration

func (e missingFor) Error() string              { return "there is none" }
func (e missingFor) Unwrap() error              { return peercache.ErrNotFound }
func (e missingFor) NegativeTTL() time.Duration { return time.Duration(e) }

// A Set or a Remove ends that a key is remembered as missing, on all peers.
func TestP8ChangesEndWhatIsRememberedAsMissing(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, n *node, key string) error{
		"Set": func(ctx context.Context, n *node, key string) error {
			return n.group.Set(ctx, key, peercache.Item{Value: []byte("2")})
		},
		"Remove": func(ctx context.Context, n *node, key string) error { return n.group.Remove(ctx, key) },
		"Clear":  func(ctx context.Context, n *node, key string) error { return n.group.Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes, o, key := missing(t, net, peercache.WithNegativeTTL(time.Hour))
				for _, n := range nodes {
					n.lacks(t, key)
				}
				o.fail(nil)
				if err := change(inside(t), nodes[2], key); err != nil {
					t.Fatal(err)
				}
				for _, n := range nodes {
					n.brings(t, key, "2")
				}
			})
		})
	}
}

// missing starts three nodes whose origin has no key, and returns one of nodes[1].
func missing(t *testing.T, net *simnet.Network, opts ...peercache.GroupOption) ([]*node, *editions, string) {
	t.Helper()
	o := &editions{err: peercache.ErrNotFound}
	nodes := newSimCluster(t, net, 3, simConfig{getter: o, group: opts})
	return nodes, o, keyOwnedBy(t, nodes, 0, 1)
}

// lacks checks that a node finds no such key.
func (n *node) lacks(t testing.TB, key string) {
	t.Helper()
	if view, err := n.group.Get(context.Background(), key); !errors.Is(err, peercache.ErrNotFound) {
		t.Errorf("Get %q at %s: %q, error %v, want ErrNotFound", key, n.url, view, err)
	}
}
