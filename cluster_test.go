package peercache_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
)

// node is one process of a cluster, in this one.
type node struct {
	url    string
	pool   *peercache.HTTPPool
	group  *peercache.Group
	server *httptest.Server // nil in a simulated network
	end    func()           // of what serves the pool there

	mu       sync.Mutex
	hijacked []net.Conn // guarded by mu; those that the server gave away, for streams
}

// kill ends what a peer sees of the node, at once.
func (n *node) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server.Listener.Close()
	n.server.CloseClientConnections()
	for _, c := range n.hijacked {
		c.Close()
	}
}

// origin counts how often each key is loaded, and by how many at once.
type origin struct {
	load func(ctx context.Context, key string) ([]byte, error) // nil: the key itself

	mu      sync.Mutex
	loads   map[string]int
	loading map[string]int
	overlap []string // keys that two loads ran for at the same time
}

func (o *origin) Get(ctx context.Context, key string) (peercache.Item, error) {
	o.mu.Lock()
	if o.loads == nil {
		o.loads, o.loading = make(map[string]int), make(map[string]int)
	}
	o.loads[key]++
	o.loading[key]++
	if o.loading[key] > 1 {
		o.overlap = append(o.overlap, key)
	}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.loading[key]--
		o.mu.Unlock()
	}()
	if o.load == nil {
		return peercache.Item{Value: []byte("value of " + key)}, nil
	}
	b, err := o.load(ctx, key)
	return peercache.Item{Value: b}, err
}

// count returns how often key was loaded.
func (o *origin) count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

// total returns how many loads there were.
func (o *origin) total() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, loads := range o.loads {
		n += loads
	}
	return n
}

// config says how newCluster makes its nodes.
type config struct {
	getter func(i int) peercache.Getter
	pool   []peercache.PoolOption
	group  []peercache.GroupOption
	picker func(*peercache.HTTPPool) peercache.PeerPicker // nil: the pool itself
	onMux  bool                                           // mount the pools on muxes, beside other handlers
	second http.Handler                                   // served by nodes[1] in place of its pool; may be nil
}

// newCluster starts n nodes, each with a pool and a group named "test", that
// know each other. They are gone when the test ends.
func newCluster(t testing.TB, n int, c config) []*node {
	t.Helper()
	nodes := make([]*node, n)
	urls := make([]string, n)
	for i := range nodes {
		var handler http.Handler
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler.ServeHTTP(w, r)
		}))
		nodes[i] = &node{server: server, url: "http://" + server.Listener.Addr().String()}
		server.Config.ConnState = func(c net.Conn, s http.ConnState) {
			if n := nodes[i]; s == http.StateHijacked {
				n.mu.Lock()
				n.hijacked = append(n.hijacked, c)
				n.mu.Unlock()
			}
		}
		url := nodes[i].url
		pool, err := peercache.NewHTTPPool(url, append([]peercache.PoolOption{
			peercache.WithDetectionTime(10 * time.Second), // the machine may be busy
		}, c.pool...)...)
		if err != nil {
			t.Fatal(err)
		}
		picker := peercache.PeerPicker(pool)
		if c.picker != nil {
			picker = c.picker(pool)
		}
		opts := append([]peercache.GroupOption{peercache.WithPeers(picker)}, c.group...)
		group, err := peercache.NewGroup("test", 1<<20, c.getter(i), opts...)
		if err != nil {
			t.Fatal(err)
		}
		handler = pool
		if i == 1 && c.second != nil {
			handler = c.second
		}
		if c.onMux {
			mux := http.NewServeMux()
			mux.Handle(pool.BasePath(), pool)
			mux.Handle("/", http.NotFoundHandler())
			handler = mux
		}
		server.Start()
		nodes[i].pool, nodes[i].group, urls[i] = pool, group, url
	}
	for _, node := range nodes {
		if err := node.pool.Set(urls...); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range nodes {
		if c.second == nil { // else one is no peer
			node.pool.Agree(t.Context())
		}
	}
	t.Cleanup(func() {
		for _, node := range nodes {
			node.stop(t)
		}
	})
	return nodes
}

// stop ends a node in the order in which a process does.
func (n *node) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.pool.Shutdown(ctx); err != nil {
		t.Errorf("%s: %v", n.url, err)
	}
	if n.server == nil {
		n.end()
		return
	}
	n.server.Close()
}

// oneOrigin gives all nodes the same getter.
func oneOrigin(g peercache.Getter) func(int) peercache.Getter {
	return func(int) peercache.Getter { return g }
}

// keyOwnedBy returns a key that belongs to nodes[i] in the eyes of asker.
func keyOwnedBy(t testing.TB, nodes []*node, asker, i int) string {
	t.Helper()
	for n := range 10000 {
		key := fmt.Sprint("key", n)
		owner := nodes[asker].url
		if p := nodes[asker].pool.Pick(key, 0); p != nil {
			owner = p.Name()
		}
		if owner == nodes[i].url {
			return key
		}
	}
	t.Fatalf("no key of 10,000 belongs to node %d", i)
	return ""
}

// get asks one node for key and fails the test on an error.
func (n *node) get(t testing.TB, key string) string {
	t.Helper()
	view, err := n.group.Get(context.Background(), key)
	if err != nil {
		t.Fatalf("Get %q at %s: %v", key, n.url, err)
	}
	return view.String()
}

// inside returns a context that ends before the test's patience does.
func inside(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// oneByOne is a GetBatch that gets one key after the other.
func oneByOne(ctx context.Context, g peercache.Getter, keys []string) ([]peercache.Item, error) {
	items := make([]peercache.Item, len(keys))
	for i, key := range keys {
		var err error
		if items[i], err = g.Get(ctx, key); err != nil {
			return nil, err
		}
	}
	return items, nil
}
