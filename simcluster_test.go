package peercache_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
)

// simulate runs a test with a network in memory and in virtual time.
func simulate(t *testing.T, test func(t *testing.T, net *simnet.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(1)
		t.Cleanup(net.Close) // after those of the test
		net.SetLatency(time.Millisecond, time.Millisecond)
		test(t, net)
	})
}

// simConfig says how newSimCluster makes its nodes.
type simConfig struct {
	getter peercache.Getter
	bytes  int64                              // of each group; 0: 64 MiB
	pool   func(i int) []peercache.PoolOption // may be nil
	group  []peercache.GroupOption
	own    func(i int) []peercache.GroupOption                // of one node; may be nil
	wrap   func(i int, pool *peercache.HTTPPool) http.Handler // may be nil
	// discovery tells the nodes who they are; nil: they are told by Set.
	discovery func(i int) discovery.Discovery
}

// host returns the name of the i-th host of a simulated cluster.
func host(i int) string { return fmt.Sprintf("10.0.%d.%d", i/254, i%254+1) }

// settling is how long it takes a cluster to take its view for granted.
const settling = peercache.DefaultStandIn + time.Second

// newSimCluster starts size nodes in a simulated network, which have long known each
// other. They are gone when the test ends, and the network must then let them talk.
func newSimCluster(t *testing.T, net *simnet.Network, size int, c simConfig) []*node {
	t.Helper()
	nodes := make([]*node, size)
	for i := range nodes {
		nodes[i] = startSimNode(t, net, i, c)
	}
	if c.discovery == nil {
		introduce(t, nodes, nodes...)
	}
	for _, n := range nodes {
		if c.discovery == nil {
			break
		}
		if err := n.pool.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(settling)
	return nodes
}

// startSimNode starts the i-th node of a cluster, which knows of no other yet.
func startSimNode(t *testing.T, net *simnet.Network, i int, c simConfig) *node {
	t.Helper()
	h, url := net.Host(host(i)), "http://"+host(i)+":8001"
	opts := []peercache.PoolOption{peercache.WithTransport(h.Transport())}
	if c.pool != nil {
		opts = append(opts, c.pool(i)...)
	}
	if c.discovery != nil {
		opts = append(opts, peercache.WithDiscovery(c.discovery(i)))
	}
	pool, err := peercache.NewHTTPPool(url, append(opts, peercache.OrInsecure)...)
	if err != nil {
		t.Fatal(err)
	}
	options := append([]peercache.GroupOption{peercache.WithPeers(pool)}, c.group...)
	if c.own != nil {
		options = append(options, c.own(i)...)
	}
	group, err := peercache.NewGroup("test", cmp.Or(c.bytes, 64<<20), c.getter, options...)
	if err != nil {
		t.Fatal(err)
	}
	handler := http.Handler(pool)
	if c.wrap != nil {
		handler = c.wrap(i, pool)
	}
	end, err := simnet.Serve(h, host(i)+":8001", handler)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{url: url, pool: pool, group: group, end: end}
	t.Cleanup(func() { n.stop(t) })
	return n
}

// introduce gives nodes a view.
func introduce(t testing.TB, nodes []*node, view ...*node) {
	t.Helper()
	var urls []string
	for _, n := range view {
		urls = append(urls, n.url)
	}
	for _, n := range nodes {
		if err := n.pool.Set(urls...); err != nil {
			t.Fatal(err)
		}
	}
}

// keysOwnedBy returns n keys that belong to nodes[i] in the eyes of asker.
func keysOwnedBy(t testing.TB, nodes []*node, asker, i, n int) []string {
	t.Helper()
	var keys []string
	for k := 0; len(keys) < n; k++ {
		key := fmt.Sprintf("key%d", k)
		owner := nodes[asker].url
		if p := nodes[asker].pool.Pick(key, 0); p != nil {
			owner = p.Name()
		}
		if owner == nodes[i].url {
			keys = append(keys, key)
		}
	}
	return keys
}

// statsOf returns what n counts of its link to another node.
func (n *node) statsOf(t testing.TB, other *node) peercache.PeerStats {
	t.Helper()
	for _, s := range n.pool.Stats() {
		if s.Peer == other.url {
			return s
		}
	}
	t.Fatalf("%s has no figures of %s", n.url, other.url)
	return peercache.PeerStats{}
}

// slowly makes a getter whose loads take a time.
func slowly(d time.Duration) func(context.Context, string) ([]byte, error) {
	return func(ctx context.Context, key string) ([]byte, error) {
		select {
		case <-time.After(d):
			return []byte("value of " + key), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// sleep reports whether ctx has ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return false
	case <-ctx.Done():
		return true
	}
}
