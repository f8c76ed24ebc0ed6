package simnet_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// node is one process of a cluster in a simulated network.
type node struct {
	host, url string
	pool      *peercache.HTTPPool
	group     *peercache.Group
	stop      func()
}

// origin records who loaded which key. A load takes some time.
type origin struct {
	takes time.Duration

	mu    sync.Mutex
	loads map[string][]string // hosts, by key
}

func (o *origin) getter(host string) peercache.GetterFunc {
	return func(ctx context.Context, key string) ([]byte, error) {
		o.mu.Lock()
		o.loads[key] = append(o.loads[key], host)
		o.mu.Unlock()
		time.Sleep(o.takes)
		return []byte("value of " + key), nil
	}
}

// loadedBy returns the hosts that have loaded key.
func (o *origin) loadedBy(key string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.loads[key])
}

// newCluster starts size nodes on a network that know each other.
func newCluster(t testing.TB, n *simnet.Network, size int, takes time.Duration, opts ...peercache.PoolOption) ([]*node, *origin) {
	t.Helper()
	o := &origin{takes: takes, loads: make(map[string][]string)}
	nodes, urls := make([]*node, size), make([]string, size)
	for i := range nodes {
		name := fmt.Sprintf("10.0.0.%d", i+1)
		host, url := n.Host(name), "http://"+name+":8001"
		pool, err := peercache.NewHTTPPool(url, append(opts, peercache.WithInsecure(), peercache.WithTransport(host.Transport()))...)
		must(t, err)
		group, err := peercache.NewGroup("test", 1<<20, o.getter(name), peercache.WithPeers(pool))
		must(t, err)
		stop, err := simnet.Serve(host, name+":8001", pool)
		must(t, err)
		nodes[i], urls[i] = &node{name, url, pool, group, stop}, url
	}
	for _, node := range nodes {
		must(t, node.pool.Set(urls...))
	}
	return nodes, o
}

func stopAll(t testing.TB, nodes []*node) {
	for _, node := range nodes {
		must(t, node.pool.Shutdown(context.Background()))
		node.stop()
	}
}

// keyOf returns a key whose first peers on the ring are the named ones.
func keyOf(t testing.TB, asker *node, peers ...*node) string {
	t.Helper()
search:
	for i := range 100_000 {
		key := fmt.Sprint("key", i)
		for n, want := range peers {
			if p := asker.pool.Pick(key, n); p == nil || p.Name() != want.url {
				continue search
			}
		}
		return key
	}
	t.Fatal("no such key")
	return ""
}

func (n *node) get(t testing.TB, key string) {
	view, err := n.group.Get(context.Background(), key)
	if err != nil || view.String() != "value of "+key {
		t.Errorf("Get %q at %s: %q, %v", key, n.host, view, err)
	}
}

func TestP1OneLoadUnderLatency(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(5*ms, 100*ms)
		nodes, o := newCluster(t, n, 5, 50*ms)
		var callers sync.WaitGroup
		for i := range 40 {
			for _, node := range nodes {
				for range 3 {
					callers.Go(func() { node.get(t, fmt.Sprint("key", i)) })
				}
			}
		}
		callers.Wait()
		for i := range 40 {
			if by := o.loadedBy(fmt.Sprint("key", i)); len(by) != 1 {
				t.Errorf("key%d was loaded by %v", i, by)
			}
		}
		stopAll(t, nodes)
	})
}

const detect = 500 * ms

func TestTheNextPeerLoadsWhenTheOwnerIsCutOff(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(10*ms, 10*ms)
		nodes, o := newCluster(t, n, 5, 50*ms, peercache.WithDetectionTime(detect))
		asker, owner, next := nodes[0], nodes[1], nodes[2]
		key := keyOf(t, asker, owner, next)
		for _, other := range nodes[2:] { // links that are up, so that a request is what times out
			asker.get(t, keyOf(t, asker, other))
		}
		asker.get(t, keyOf(t, asker, owner, nodes[3]))

		n.Isolate(owner.host)
		start := time.Now()
		asker.get(t, key)
		// A tick of the detection more or less, a round trip to the next peer, its load.
		if took := time.Since(start); took < detect*9/10 || took > detect*11/10+2*10*ms+50*ms {
			t.Errorf("took %v, with a detection time of %v", took, detect)
		}
		start = time.Now()
		asker.get(t, keyOf(t, asker, owner, nodes[3], next))
		since(t, start, 2*10*ms+50*ms) // no second detection
		nodes[3].get(t, key)
		if by := o.loadedBy(key); !slices.Equal(by, []string{next.host}) {
			t.Errorf("loaded by %v, want %s alone", by, next.host)
		}

		n.HealAll()
		time.Sleep(2 * time.Second) // the owner is tried again in that time
		key = keyOf(t, asker, owner, nodes[4])
		asker.get(t, key)
		if by := o.loadedBy(key); !slices.Equal(by, []string{owner.host}) {
			t.Errorf("healed, and loaded by %v, want %s", by, owner.host)
		}
		stopAll(t, nodes)
	})
}

func TestARestartedOwnerIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, n *simnet.Network) {
		n.SetLatency(1*ms, 5*ms)
		nodes, o := newCluster(t, n, 5, 50*ms)
		asker, owner, next := nodes[0], nodes[1], nodes[2]
		n.Crash(owner.host)
		key := keyOf(t, asker, owner, next)
		asker.get(t, key)
		if by := o.loadedBy(key); !slices.Equal(by, []string{next.host}) {
			t.Errorf("loaded by %v, want %s", by, next.host)
		}
		owner.stop()
		stop, err := simnet.Serve(n.Host(owner.host), ":8001", owner.pool)
		must(t, err)
		owner.stop = stop
		time.Sleep(2 * time.Second) // the owner is tried again in that time
		key = keyOf(t, asker, owner, nodes[3])
		asker.get(t, key)
		if by := o.loadedBy(key); !slices.Equal(by, []string{owner.host}) {
			t.Errorf("loaded by %v, want %s", by, owner.host)
		}
		stopAll(t, nodes)
	})
}

// miniCluster is the life of a cluster of 5 that answers 200 Gets: what a
// simulation does thousands of times.
func miniCluster(t *testing.T, seed uint64) {
	n := simnet.New(seed)
	defer n.Close()
	n.SetLatency(1*ms, 20*ms)
	nodes, _ := newCluster(t, n, 5, 5*ms)
	var callers sync.WaitGroup
	for i, node := range nodes {
		callers.Go(func() {
			for k := range 40 {
				node.get(t, fmt.Sprint("key", (k*7+i*3)%50))
			}
		})
	}
	callers.Wait()
	stopAll(t, nodes)
}

var clusters = flag.Uint("clusters", 50, "how many clusters TestSpeed runs")

// TestSpeed says how many seeds a simulation can try. Bubbles run side by side
// in parallel subtests, and one of them hardly uses more than one processor.
func TestSpeed(t *testing.T) {
	clusters := uint64(*clusters)
	var next atomic.Uint64
	start := time.Now()
	t.Run("workers", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				for seed := next.Add(1); seed <= clusters; seed = next.Add(1) {
					synctest.Test(t, func(t *testing.T) { miniCluster(t, seed) })
				}
			})
		}
	})
	t.Logf("%.0f clusters of 5 nodes and 200 Gets a second", float64(clusters)/time.Since(start).Seconds())
}
