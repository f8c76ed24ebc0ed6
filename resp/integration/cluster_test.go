package integration

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/resp"
)

// origin has a number for each key, which is what a group loads.
type origin struct {
	mu       sync.Mutex
	versions map[string]int
	slow     bool // loads take some time
}

func (o *origin) load(_ context.Context, key string) (peercache.Item, error) {
	o.mu.Lock()
	v, ok := o.versions[key]
	o.mu.Unlock()
	if o.slow {
		<-time.After(rand.N(2 * time.Millisecond)) // what was read may be old when it arrives
	}
	if !ok {
		return peercache.Item{}, peercache.ErrNotFound
	}
	return peercache.Item{Value: []byte(strconv.Itoa(v))}, nil
}

// raise changes a key, and returns its new version.
func (o *origin) raise(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return o.versions[key]
}

// node is one of a cluster, with its door for Redis clients.
type node struct {
	group *peercache.Group
	addr  string // of the door
	door  *resp.Server
}

// cluster starts nodes whose group, "g", has the values of an origin, until the test ends.
func cluster(t *testing.T, size int, o *origin, opts ...resp.Option) []node {
	t.Helper()
	var peers []string
	var listeners []net.Listener
	for range size {
		l := listen(t)
		listeners = append(listeners, l)
		peers = append(peers, "http://"+l.Addr().String())
	}
	nodes := make([]node, size)
	for i, l := range listeners {
		pool, err := peercache.NewHTTPPool(peers[i])
		if err != nil {
			t.Fatal(err)
		}
		g, err := peercache.NewGroup("g", 16<<20, peercache.ItemFunc(o.load), peercache.WithPeers(pool))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: pool}
		go server.Serve(l)
		s, err := resp.New([]door.Cache{g}, opts...)
		if err != nil {
			t.Fatal(err)
		}
		dl := listen(t)
		go s.Serve(dl)
		nodes[i] = node{g, dl.Addr().String(), s}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := s.Shutdown(ctx); err != nil {
				t.Error(err)
			}
			pool.Shutdown(ctx)
			server.Close()
		})
		if err := pool.Set(peers...); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
