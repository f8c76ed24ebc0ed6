package peercache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
)

// registry is a Discovery for all processes of a test. Each hears of a change in
// its own time, up to 50 ms later, so that their views differ for as long.
type registry struct {
	mu      sync.Mutex
	members []string
	changed chan struct{} // closed with the next change
}

func (r *registry) Run(ctx context.Context, self string, report func(discovery.View)) error {
	r.change(func() { r.members = append(r.members, self) })
	defer r.change(func() { r.members = slices.DeleteFunc(r.members, func(m string) bool { return m == self }) })
	for {
		r.mu.Lock()
		members, changed := slices.Clone(r.members), r.changed
		r.mu.Unlock()
		report(discovery.View{Peers: members})
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(rand.N(50 * time.Millisecond)):
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *registry) change(members func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	members()
	close(r.changed)
	r.changed = make(chan struct{})
}

// fleet is a cluster whose nodes come and go, and which all have users.
type fleet struct {
	network  *simnet.Network
	registry *registry
	origin   *origin
	nodes    []*node
	leave    []func()    // for each node, ends what its users do
	started  int         // of all time: no address is used twice
	resting  atomic.Bool // the users ask for nothing
	gets     atomic.Int64
	dials    atomic.Int64
}

// grow starts a node. Its users come when it has joined the others.
func (f *fleet) grow(t *testing.T) {
	t.Helper()
	name := host(f.started)
	f.started++
	h, url := f.network.Host(name), "http://"+name+":8001"
	transport := h.Transport()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		f.dials.Add(1)
		return dial(ctx, network, addr)
	}
	pool, err := peercache.NewHTTPPool(url, peercache.WithInsecure(), peercache.WithTransport(transport), peercache.WithDiscovery(f.registry))
	if err != nil {
		t.Fatal(err)
	}
	group, err := peercache.NewGroup("test", 1<<20, f.origin, peercache.WithPeers(pool))
	if err != nil {
		t.Fatal(err)
	}
	end, err := simnet.Serve(h, name+":8001", pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := pool.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &node{url: url, pool: pool, group: group, end: end}
	f.nodes, f.leave = append(f.nodes, n), append(f.leave, f.use(t, n))
}

// use asks a node for keys until it is told to stop. No Get may fail.
func (f *fleet) use(t *testing.T, n *node) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			time.Sleep(rand.N(20 * time.Millisecond))
			if f.resting.Load() {
				time.Sleep(time.Second)
				continue
			}
			key := fmt.Sprint("key", rand.N(300))
			view, err := n.group.Get(context.Background(), key) // t.Context ends before the nodes do
			if err != nil || view.String() != "value of "+key {
				t.Errorf("Get %q at %s: %q, error %v", key, n.url, view, err)
			}
			f.gets.Add(1)
		}
	}()
	return func() {
		cancel()
		<-stopped
	}
}

// shrink stops the node that came last, as a process does: its users leave first.
func (f *fleet) shrink(t *testing.T) {
	t.Helper()
	last := len(f.nodes) - 1
	f.leave[last]()
	f.nodes[last].stop(t)
	f.nodes, f.leave = f.nodes[:last], f.leave[:last]
}

// rest keeps the users away, lets the view settle, asks all nodes for some keys, and
// returns the stacks of the goroutines that there are when nothing that began before
// can still go on, nor an attempt to reach who has left. With one view, each key is
// loaded once (P1).
func (f *fleet) rest(t *testing.T, keys string) (stacks []string) {
	t.Helper()
	f.resting.Store(true)
	defer f.resting.Store(false)
	time.Sleep(time.Minute)
	for k := range 100 {
		key := fmt.Sprint(keys, k)
		for _, n := range f.nodes {
			n.get(t, key)
		}
		if loads := f.origin.count(key); loads != 1 {
			t.Errorf("key %q was loaded %d times: want once", key, loads)
		}
	}
	time.Sleep(5 * time.Minute)
	dials := f.dials.Load()
	time.Sleep(5 * time.Minute)
	synctest.Wait()
	if n := f.dials.Load() - dials; n != 0 {
		t.Errorf("%d dials at rest: want none, somebody tries to reach nodes that have left", n)
	}
	all := make([]byte, 4<<20)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "synctest bubble") { // else it is the runtime's own, or of another test
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// A cluster of 3 grows to 20 and shrinks again, three times in 10 seconds, while
// each node is asked all the time: 102 views. No Get fails, and in the end nothing
// is left of the nodes that were there.
func TestP1ManyViews(t *testing.T) {
	const least, most, rounds = 3, 20, 3
	const pause = 10 * time.Second / (rounds * 2 * (most - least))
	simulate(t, func(t *testing.T, network *simnet.Network) {
		f := &fleet{network: network, registry: &registry{changed: make(chan struct{})}, origin: &origin{}}
		t.Cleanup(func() {
			for len(f.nodes) > 0 {
				f.shrink(t)
			}
		})
		for range least {
			f.grow(t)
		}
		before := f.rest(t, "before")

		start, gets := time.Now(), f.gets.Load()
		for range rounds {
			for len(f.nodes) < most {
				f.grow(t)
				time.Sleep(pause)
			}
			for len(f.nodes) > least {
				f.shrink(t)
				time.Sleep(pause)
			}
		}
		t.Logf("%d nodes in %v, %d Gets, %d loads", f.started, time.Since(start), f.gets.Load()-gets, f.origin.total())

		if after := f.rest(t, "after"); len(after) > len(before) {
			t.Errorf("%d goroutines: want %d, as before\n%s", len(after), len(before), strings.Join(after, "\n\n"))
		}
		for _, n := range f.nodes {
			if peers := n.pool.Peers(); len(peers) != least-1 || len(n.pool.Stats()) != least-1 {
				t.Errorf("%s has %d peers, and figures of %d: want %d", n.url, len(peers), len(n.pool.Stats()), least-1)
			}
		}
	})
}
