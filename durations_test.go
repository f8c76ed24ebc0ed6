package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
)

// extremes are durations that nobody tries, and some give: "never", "without end", a
// product that has overflowed.
var extremes = []time.Duration{0, -1, 1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64}

// Each option of a group that takes a duration refuses what cannot be right, and what it
// takes does what it says: a TTL of 10 ms is one, whatever the other options are, and one
// without end never ends.
func TestGroupDurationsAreRefusedOrBehave(t *testing.T) {
	const ttl = 10 * time.Millisecond
	type expected struct {
		refused bool
		loads   int // in 5 Gets, 3 TTLs apart, of a value with a TTL
		served  int // values in place of errors, in 5 Gets while the origin fails
	}
	huge := func(d time.Duration) bool { return d > math.MaxInt64/2 }
	for name, c := range map[string]struct {
		option func(d time.Duration) peercache.GroupOption
		want   func(d time.Duration) expected
	}{
		"WithTTL": {peercache.WithTTL, func(d time.Duration) expected {
			if huge(d) {
				return expected{loads: 1, served: 5}
			}
			return expected{refused: d <= 0, loads: 5}
		}},
		"WithStaleWhileRevalidate": {peercache.WithStaleWhileRevalidate, func(d time.Duration) expected {
			if huge(d) {
				return expected{loads: 5, served: 5}
			}
			return expected{refused: d <= 0, loads: 5}
		}},
		"WithStaleIfError": {peercache.WithStaleIfError, func(d time.Duration) expected {
			if huge(d) {
				return expected{loads: 5, served: 5}
			}
			return expected{refused: d <= 0, loads: 5}
		}},
		"WithRefreshAhead": {peercache.WithRefreshAhead, func(d time.Duration) expected {
			return expected{refused: d <= 0 || huge(d), loads: 5}
		}},
		"WithNegativeTTL": {peercache.WithNegativeTTL, func(d time.Duration) expected { return expected{refused: d <= 0, loads: 5} }},
		"WithLoadTimeout": {peercache.WithLoadTimeout, func(d time.Duration) expected { return expected{refused: d <= 0, loads: 5} }},
		"WithLease":       {peercache.WithLease, func(d time.Duration) expected { return expected{refused: true} }},
		"WithStandIn":     {peercache.WithStandIn, func(d time.Duration) expected { return expected{refused: true} }},
	} {
		for _, d := range extremes {
			t.Run(fmt.Sprintf("%s(%d)", name, d), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					loads, down := 0, false
					g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
						if down {
							return nil, errors.New("the origin is down")
						}
						loads++
						return []byte(strconv.Itoa(loads)), nil
					}), peercache.WithTTL(ttl), c.option(d))
					want := c.want(d)
					if (err != nil) != want.refused {
						t.Fatalf("error %v, want one: %v", err, want.refused)
					}
					if err != nil {
						return
					}
					for range 5 {
						g.Get(t.Context(), "k")
						synctest.Wait() // a refresh in the background
						time.Sleep(3 * ttl)
					}
					if loads != want.loads {
						t.Errorf("%d loads in 5 Gets, want %d", loads, want.loads)
					}
					down = true
					served := 0
					for range 5 {
						if _, err := g.Get(t.Context(), "k"); err == nil {
							served++
						}
						time.Sleep(time.Hour)
					}
					if served != want.served {
						t.Errorf("%d of 5 Gets got a value while the origin was down, want %d", served, want.served)
					}
				})
			})
		}
	}
}

// What a getter says of the TTL of an item is kept, with windows without end around it.
func TestItemTTLsBehave(t *testing.T) {
	options := map[string][]peercache.GroupOption{
		"alone":         nil,
		"stale windows": {peercache.WithStaleIfError(math.MaxInt64)},
		"jitter":        {peercache.WithTTLJitter(1)},
		"refresh ahead": {peercache.WithRefreshAhead(1)},
	}
	for name, opts := range options {
		for _, ttl := range extremes {
			synctest.Test(t, func(t *testing.T) {
				loads := 0
				g, err := peercache.NewGroup("g", 1<<20, peercache.ItemFunc(func(context.Context, string) (peercache.Item, error) {
					loads++
					return peercache.Item{Value: []byte("v"), TTL: ttl}, nil
				}), opts...)
				if err != nil {
					t.Fatal(err)
				}
				for range 3 {
					g.Get(t.Context(), "k")
					synctest.Wait()
					time.Sleep(10 * 365 * 24 * time.Hour)
				}
				want := 3
				if ttl == 0 || ttl > math.MaxInt64/2 {
					want = 1
				}
				if loads != want {
					t.Errorf("%s, a TTL of %d: %d loads in 3 Gets, 10 years apart, want %d", name, ttl, loads, want)
				}
			})
		}
	}
}

// Two values of the same file: the age of a snapshot without end, and what a record has left.
func TestSnapshotAgesAreRefusedOrBehave(t *testing.T) {
	for _, d := range extremes {
		path := filepath.Join(t.TempDir(), "snapshot")
		loads := 0
		group := func() (*peercache.Group, error) {
			return peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				loads++
				return []byte("v"), nil
			}), peercache.WithTTL(math.MaxInt64), peercache.WithStaleIfError(math.MaxInt64), peercache.WithSnapshot(path, d))
		}
		g, err := group()
		if (err != nil) != (d <= 0) {
			t.Fatalf("WithSnapshot(%d): %v", d, err)
		}
		if err != nil {
			continue
		}
		g.Get(t.Context(), "k")
		if err := g.SaveSnapshot(); err != nil {
			t.Fatal(err)
		}
		if g, err = group(); err != nil {
			t.Fatal(err)
		}
		g.Get(t.Context(), "k")
		if want := map[bool]int{true: 1, false: 2}[d > 1]; loads != want { // it is older than 1 ns
			t.Errorf("WithSnapshot(%d): %d loads before and after a restart, want %d", d, loads, want)
		}
	}
}

// Each option of a pool that takes a duration refuses what cannot be right, and with what
// it takes, the cluster works.
func TestPoolDurationsAreRefusedOrBehave(t *testing.T) {
	for name, c := range map[string]struct {
		option  func(d time.Duration) peercache.PoolOption
		refused func(d time.Duration) bool
	}{
		"WithPeerTimeout":   {peercache.WithPeerTimeout, func(d time.Duration) bool { return d < detection }},
		"WithDetectionTime": {peercache.WithDetectionTime, func(d time.Duration) bool { return true }},
		"WithHandover": {func(d time.Duration) peercache.PoolOption { return peercache.WithHandover(math.MaxInt64, d) },
			func(d time.Duration) bool { return d <= 0 }},
	} {
		for _, d := range extremes {
			t.Run(fmt.Sprintf("%s(%d)", name, d), func(t *testing.T) {
				_, err := peercache.NewHTTPPool("http://"+host(0)+":8001", peercache.WithInsecure(), c.option(d))
				if (err != nil) != c.refused(d) {
					t.Fatalf("error %v, want one: %v", err, c.refused(d))
				}
				if err == nil && d > 1 {
					workingCluster(t, c.option(d), peercache.WithoutStream())
					workingCluster(t, c.option(d))
				}
			})
		}
	}
	workingCluster(t, peercache.WithDetectionTime(time.Hour))
}

// workingCluster checks that two nodes with those options load each key once, at its owner,
// and that a Remove does not wait.
func workingCluster(t *testing.T, opts ...peercache.PoolOption) {
	t.Helper()
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := new(origin)
		nodes := newSimCluster(t, net, 2, simConfig{
			getter: o,
			pool:   func(int) []peercache.PoolOption { return opts },
			group:  []peercache.GroupOption{peercache.WithLoadTimeout(math.MaxInt64)},
		})
		ready, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, n := range nodes {
			if err := n.pool.Ready(ready); err != nil {
				t.Error(err)
			}
		}
		key := keyOwnedBy(t, nodes, 0, 1)
		for range 2 {
			for _, n := range nodes {
				n.get(t, key)
			}
		}
		start := time.Now()
		if err := nodes[0].group.Remove(inside(t), key); err != nil || time.Since(start) > time.Second {
			t.Errorf("Remove took %v: %v", time.Since(start), err)
		}
		nodes[0].get(t, key)
		if got := nodes[1].group.Stats(); got.Loads != 2 || o.count(key) != 2 {
			t.Errorf("the owner loaded %d times of %d: want both times", got.Loads, o.count(key))
		}
	})
}

// A peer may answer with any durations: none makes a value live longer than its lease, or a
// Remove wait for longer than there are leases.
func TestDurationsOfPeersAreRefusedOrBehave(t *testing.T) {
	for _, d := range extremes {
		synctest.Test(t, func(t *testing.T) {
			p := &extremePeer{d: d}
			g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				return nil, errors.New("not the owner")
			}), peercache.WithPeers(p))
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(peercache.DefaultLease)
			g.Get(t.Context(), "k")
			time.Sleep(peercache.DefaultLease)
			g.Get(t.Context(), "k")
			if p.gets != 2 {
				t.Errorf("a TTL of %d: the peer was asked %d times in two leases, want 2", d, p.gets)
			}
			start := time.Now()
			g.Remove(t.Context(), "k")
			if took := time.Since(start); took > time.Minute {
				t.Errorf("%d left of a lease: Remove waited for %v", d, took)
			}
			for _, lease := range extremes {
				g.ServeGet(t.Context(), peercache.Query{Group: "g", Key: "k", From: p.Name(), Lease: lease})
				g.ServeChange(t.Context(), peercache.Change{Group: "g", Keys: []string{"k"}, Holders: true, Wait: lease,
					Item: &peercache.Item{Value: []byte("v"), TTL: lease}})
			}
		})
	}
}

// extremePeer owns all keys, and answers with one duration.
type extremePeer struct {
	d    time.Duration
	gets int
}

func (p *extremePeer) Register(*peercache.Group) error { return nil }
func (p *extremePeer) Pick(_ string, n int) peercache.Peer {
	if n > 0 {
		return nil
	}
	return p
}
func (p *extremePeer) Peers() []peercache.Peer { return []peercache.Peer{p} }
func (p *extremePeer) Name() string            { return "http://10.0.0.1:8001" }
func (p *extremePeer) Get(context.Context, peercache.Query) (peercache.Answer, error) {
	p.gets++
	return peercache.Answer{Item: peercache.Item{Value: []byte("v"), TTL: p.d}, Noted: true}, nil
}
func (p *extremePeer) Change(context.Context, peercache.Change) ([]peercache.Holder, error) {
	return []peercache.Holder{{Peer: "http://10.0.0.2:8001", Left: p.d, Reason: "hangs"}}, nil
}

func TestDiscoveryDurationsAreRefusedOrBehave(t *testing.T) {
	for _, d := range append(extremes, time.Minute) {
		_, err := discovery.File(filepath.Join(t.TempDir(), "peers"), discovery.WithPoll(d))
		if (err == nil) != (d == time.Minute) {
			t.Errorf("WithPoll(%d): %v", d, err)
		}
	}
}
