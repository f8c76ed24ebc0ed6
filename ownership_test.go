package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

// newGateways starts owners and gateways, which have long known each other. The owners come first.
func newGateways(t *testing.T, net *simnet.Network, owners, gateways int, c simConfig) []*node {
	t.Helper()
	given := c.pool
	c.pool = func(i int) (opts []peercache.PoolOption) {
		if given != nil {
			opts = given(i)
		}
		if i >= owners {
			opts = append(opts, peercache.WithoutOwnership())
		}
		return opts
	}
	nodes := make([]*node, owners+gateways)
	for i := range nodes {
		nodes[i] = startSimNode(t, net, i, c)
	}
	introduceAs(t, nodes[:owners], nodes[owners:])
	time.Sleep(settling)
	return nodes
}

// introduceAs gives nodes that own keys, and others that do not, a view of them all.
func introduceAs(t testing.TB, owners, gateways []*node) {
	t.Helper()
	var texts []string
	for _, n := range owners {
		texts = append(texts, n.url)
	}
	for _, n := range gateways {
		texts = append(texts, discovery.OwningNothing(n.url))
	}
	for _, n := range slices.Concat(owners, gateways) {
		if err := n.pool.Set(texts...); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGateway checks what a process that owns nothing does among three that do: it loads nothing,
// asks each key's owner, keeps copies, and drops them when another one removes the key (P8).
func TestGateway(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		version := "one"
		o := &origin{load: func(_ context.Context, key string) ([]byte, error) { return []byte(key + " " + version), nil }}
		nodes := newGateways(t, net, 3, 1, simConfig{getter: o})
		gateway := nodes[3]
		if err := gateway.pool.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		const keys = 200
		key := func(i int) string { return fmt.Sprintf("key%d", i) }
		for range 4 {
			for i := range keys {
				if got := gateway.get(t, key(i)); got != key(i)+" one" {
					t.Fatalf("%s: %q", key(i), got)
				}
			}
		}
		s := gateway.group.Stats()
		if s.Loads != 0 || s.Main.Items != 0 || s.Hot.Items < keys || s.PeerLoads > 2*keys+keys/10 || o.total() != keys {
			t.Errorf("%d loads there, %d own values, %d copies and %d fetches of %d keys; %d loads in all", s.Loads, s.Main.Items, s.Hot.Items, s.PeerLoads, keys, o.total())
		}
		if s.ServerRequests != 0 {
			t.Errorf("others have asked it for %d keys", s.ServerRequests)
		}
		version = "two"
		for i := range keys {
			if err := nodes[i%4].group.Remove(t.Context(), key(i)); err != nil {
				t.Fatal(err)
			}
			if got := gateway.get(t, key(i)); got != key(i)+" two" {
				t.Fatalf("%s after the Remove: %q", key(i), got)
			}
		}
		version = "three"
		for _, n := range []*node{nodes[0], gateway} {
			for i := range keys {
				gateway.get(t, key(i))
			}
			if err := n.group.Clear(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range keys {
				if got := gateway.get(t, key(i)); got != key(i)+" three" {
					t.Fatalf("%s after the Clear: %q", key(i), got)
				}
			}
		}
		if err := gateway.group.Set(t.Context(), "set", peercache.Item{Value: []byte("given")}); err != nil {
			t.Fatal(err)
		}
		if got := gateway.get(t, "set"); got != "given" || o.count("set") != 0 || gateway.group.Stats().Loads != 0 {
			t.Errorf("after a Set by the gateway: %q, %d loads of it", got, o.count("set"))
		}
		for _, n := range nodes {
			shares := n.pool.Ring().Shares
			if last := shares[3]; len(shares) != 4 || last.Peer != gateway.url || last.Part != 0 || shares[0].Part == 0 {
				t.Errorf("%s: the shares are %v", n.url, shares)
			}
			w := n.group.Whereabouts("set")
			if len(w.Candidates) != 3 || strings.Contains(fmt.Sprint(w.Candidates), gateway.url) {
				t.Errorf("%s: the candidates are %v", n.url, w.Candidates)
			}
		}
	})
}

// TestGatewayMovesNoKey checks that nobody loads or hands over anything when processes that own
// nothing come and go, also while values are handed over because an owner has come.
func TestGatewayMovesNoKey(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := new(origin)
		nodes := newGateways(t, net, 3, 4, simConfig{getter: o})
		owners, gateways := nodes[:3], nodes[3:]
		const keys = 300
		for i := range keys {
			gateways[0].get(t, fmt.Sprintf("key%d", i))
		}
		handovers := func() (n int64) {
			for _, n1 := range nodes {
				s := n1.group.Stats()
				n += s.Handovers + s.HandoversGiven
			}
			return n
		}
		check := func(what string) {
			t.Helper()
			for i := range keys {
				owners[i%3].get(t, fmt.Sprintf("key%d", i))
			}
			if o.total() != keys {
				t.Fatalf("%s: %d loads of %d keys", what, o.total(), keys)
			}
		}
		introduceAs(t, owners, gateways[:2])
		check("two gateways have left the list")
		introduceAs(t, owners, gateways)
		check("they are back")
		if err := gateways[3].pool.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("one is shut down")
		if n := handovers(); n != 0 {
			t.Errorf("%d values were handed over", n)
		}
		time.Sleep(settling) // the copies that owners have of each other's values are not valid any more
		// An owner comes, and right after it a gateway: the owner still gets its values.
		fourth := startSimNode(t, net, 7, simConfig{getter: o})
		nodes = append(nodes, fourth)
		with := append(owners[:3:3], fourth)
		introduceAs(t, with, gateways[:2])
		introduceAs(t, with, gateways[:3])
		check("an owner has come")
		if handovers() == 0 || o.total() != keys {
			t.Errorf("%d values were handed over to the new owner, and %d loaded", handovers(), o.total()-keys)
		}
		if err := fourth.pool.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestGatewayWithoutOwners checks that a process that owns nothing loads past its caches if it
// reaches none of the owners, and keeps nothing: nobody would tell it of a change.
func TestGatewayWithoutOwners(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		for what, end := range map[string]func(n *node){
			"have crashed":   func(n *node) { n.end() },
			"are shut down":  func(n *node) { n.pool.Shutdown(context.Background()); n.end() },
			"were never met": nil,
		} {
			o := new(origin)
			owners := 2
			if end == nil {
				owners = 0
			}
			c := simConfig{getter: o}
			var gateway *node
			if owners == 0 {
				c.pool = func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutOwnership()} }
				gateway = startSimNode(t, net, 9, c)
			} else {
				nodes := newGateways(t, net, owners, 2, c)
				gateway = nodes[owners]
				for _, n := range nodes[:owners] {
					end(n)
				}
				nodes[3].stop(t)
				time.Sleep(time.Second)
			}
			for range 3 {
				gateway.get(t, "key")
			}
			s := gateway.group.Stats()
			if o.count("key") != 3 || s.Main.Items+s.Hot.Items != 0 {
				t.Errorf("the owners %s: %d loads, %d values kept", what, o.count("key"), s.Main.Items+s.Hot.Items)
			}
			w := gateway.group.Whereabouts("key")
			if len(w.Candidates) != 0 && end == nil {
				t.Errorf("the owners %s: the candidates are %v", what, w.Candidates)
			}
			gateway.pool.Ring()
			gateway.stop(t)
			net.Host(host(0)) // they are started again
		}
	})
}

// TestOwnershipIsLoud checks that lists which say something else of a process than its options are
// refused, or reported (P11).
func TestOwnershipIsLoud(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		gateway, owner := "http://10.0.0.1:8001", "http://10.0.0.2:8001"
		c := simConfig{getter: new(origin), pool: func(i int) []peercache.PoolOption {
			return map[int][]peercache.PoolOption{0: {peercache.WithoutOwnership()}}[i]
		}}
		g, o := startSimNode(t, net, 0, c), startSimNode(t, net, 1, c)
		marked := discovery.OwningNothing
		for _, refused := range []struct {
			n    *node
			list []string
			want string
		}{
			{g, []string{gateway, owner}, marked(gateway)},
			{o, []string{gateway, marked(owner)}, "WithoutOwnership"},
			{g, []string{marked(gateway)}, "owns anything"},
			{g, []string{marked(gateway), gateway, owner}, "twice"},
			{g, []string{marked(gateway), owner + "#owns=none"}, "spelled"},
			{o, []string{owner, "gateway#owns=nothing"}, "base URL"},
		} {
			if err := refused.n.pool.Set(refused.list...); err == nil || !strings.Contains(err.Error(), refused.want) {
				t.Errorf("Set(%q) at %s: %v, want an error with %q", refused.list, refused.n.url, err, refused.want)
			}
		}
		// Two lists that differ in it are different lists.
		third := startSimNode(t, net, 2, c)
		if err := o.pool.Set(owner, third.url, marked("http://10.0.0.4:8001")); err != nil {
			t.Fatal(err)
		}
		if err := third.pool.Set(owner, third.url, "http://10.0.0.4:8001"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		err := ready(o)
		if p, ok := errors.AsType[*peercache.ConfigError](err); !ok || p.Problem != peercache.DifferentLists || !strings.Contains(err.Error(), "10.0.0.4:8001 owns nothing by this one's list, and keys by its") {
			t.Errorf("different lists: %v", err)
		}
	})
	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithoutOwnership(), peercache.OrInsecure)
	if err != nil {
		t.Fatal(err)
	}
	_, err = peercache.NewGroup("test", 1<<20, new(origin), peercache.WithPeers(pool), peercache.WithSnapshot(filepath.Join(t.TempDir(), "file"), time.Hour))
	if err == nil || !strings.Contains(err.Error(), "WithoutOwnership") {
		t.Errorf("WithSnapshot: %v", err)
	}
	if _, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithoutOwnership(), peercache.WithGroupcacheCompat(), peercache.OrInsecure); err == nil {
		t.Error("WithGroupcacheCompat: no error")
	}
	compat, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithGroupcacheCompat(), peercache.OrInsecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := compat.Set("http://10.0.0.1:8001", "http://10.0.0.2:8001#owns=nothing"); err == nil {
		t.Error("Set of a list with a peer that owns nothing, with WithGroupcacheCompat: no error")
	}
}

// listing is a discovery that lists the same whoever runs it.
type listing []string

func (l listing) Run(ctx context.Context, _ string, report func(discovery.View)) error {
	report(discovery.View{Peers: l})
	<-ctx.Done()
	return nil
}

// TestOwnershipByDiscovery checks that a list of a discovery counts for a process that it has as what
// the process is not, and that Ready says so (P11).
func TestOwnershipByDiscovery(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		urls := []string{"http://10.0.0.1:8001", "http://10.0.0.2:8001"}
		lists := []struct {
			list listing
			own  bool   // the second process has no WithoutOwnership
			want string // of the error of Ready; empty: nil
		}{
			{listing{urls[0], discovery.OwningNothing(urls[1])}, false, ""},
			{listing{urls[0], urls[1]}, false, "has WithoutOwnership, and the list of peers says that it owns keys"},
			{listing{urls[0], discovery.OwningNothing(urls[1])}, true, "has no WithoutOwnership"},
			{listing{urls[0], urls[1], discovery.OwningNothing(urls[1])}, false, ""},
		}
		for _, test := range lists {
			c := simConfig{
				getter: new(origin), discovery: func(int) discovery.Discovery { return test.list },
				pool: func(i int) []peercache.PoolOption {
					if i == 1 && !test.own {
						return []peercache.PoolOption{peercache.WithoutOwnership()}
					}
					return nil
				},
			}
			nodes := []*node{startSimNode(t, net, 0, c), startSimNode(t, net, 1, c)}
			for _, n := range nodes {
				if err := n.pool.Join(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
			err := ready(nodes[1])
			p, ok := errors.AsType[*peercache.ConfigError](err)
			if test.want == "" && err != nil || test.want != "" && (!ok || p.Peer != urls[1] || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%q: Ready says %v, want %q", test.list, err, test.want)
			}
			if a, b := nodes[0].pool.Ring(), nodes[1].pool.Ring(); a.View != b.View || a.Shares[1] != b.Shares[1] {
				t.Errorf("%q: two rings, %v and %v", test.list, a, b)
			}
			if err := nodes[1].group.Remove(inside(t), "key"); err != nil {
				t.Errorf("%q: %v", test.list, err)
			}
			for _, n := range nodes {
				n.stop(t)
			}
		}
	})
}

// ready returns what Ready says within a short time.
func ready(n *node) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return n.pool.Ready(ctx)
}

// TestP1ManyGateways has sixty processes that own nothing come to eight that own all, ask them, and
// go; some hang, as machines do. Nobody loads a key a second time for that, nobody hands
// anything over, and a load at an owner waits for none of them.
func TestP1ManyGateways(t *testing.T) {
	const owners, gateways, keys = 8, 60, 50
	synctest.Test(t, func(t *testing.T) {
		net := peertest.New(1)
		t.Cleanup(net.Close)
		net.SetLatency(time.Millisecond, 2*time.Millisecond)
		o := new(origin)
		var changes atomic.Int64
		var nodes []*memoryNode
		start := func(opts ...peercache.PoolOption) *memoryNode {
			n := startMemoryNode(t, net, len(nodes), countedChanges{net.Transport(), &changes}, o, opts...)
			nodes = append(nodes, n)
			return n
		}
		var texts []string
		for range owners {
			texts = append(texts, start().name)
		}
		set := func(texts []string, nodes ...*memoryNode) {
			for _, n := range nodes {
				if err := n.pool.Set(texts...); err != nil {
					t.Fatal(err)
				}
			}
		}
		set(texts, nodes...)
		time.Sleep(settling)
		for i := range keys {
			nodes[0].get(t, fmt.Sprintf("key%d", i))
		}
		cold := func(what string) { // a key that nobody has asked for, at its owner
			key := fmt.Sprintf("cold%d", len(o.loads))
			for _, n := range nodes[:owners] {
				if n.pool.Pick(key, 0) != nil {
					continue
				}
				begin := time.Now()
				n.get(t, key)
				if took := time.Since(begin); took > 50*time.Millisecond {
					t.Errorf("%s: a load at the owner of its key took %v", what, took)
				}
			}
		}
		before := changes.Load()
		list := slices.Clone(texts)
		for i := range gateways {
			n := start(peercache.WithoutOwnership())
			list = append(list, discovery.OwningNothing(n.name))
			if i%10 == 9 { // ten come at a time
				set(list, nodes[:owners]...)
				set(list, nodes[len(nodes)-1-i:]...)
				cold("gateways have come")
				for k := range keys {
					n.get(t, fmt.Sprintf("key%d", k))
				}
			}
		}
		if n := float64(changes.Load()-before) / gateways; n > 6*(owners+gateways) {
			t.Errorf("%.1f messages for each of %d processes that came", n, gateways)
		}
		time.Sleep(settling)
		if err := nodes[len(nodes)-1].group.Remove(inside(t), "cold"); err != nil {
			t.Error(err)
		}
		for _, n := range nodes[owners : owners+5] {
			net.Hang(n.name)
		}
		set(list[:len(list)-gateways/2], nodes[:owners]...)
		cold("half of them have left, and some of the others hang")
		for _, n := range nodes[owners : owners+5] {
			net.Resume(n.name)
		}
		set(texts, nodes[:owners]...)
		cold("all have left")
		for _, n := range nodes[len(nodes)-gateways:] {
			n.stop()
		}
		time.Sleep(settling)
		for i := range keys {
			if loads := o.count(fmt.Sprintf("key%d", i)); loads != 1 {
				t.Errorf("key%d was loaded %d times", i, loads)
			}
		}
		for _, n := range nodes {
			if s := n.group.Stats(); s.Handovers+s.HandoversGiven != 0 {
				t.Errorf("%s: %d values were taken over, %d given", n.name, s.Handovers, s.HandoversGiven)
			}
		}
	})
}

// memoryNode is a process over a network in memory.
type memoryNode struct {
	name  string
	pool  *peercache.Pool
	group *peercache.Group
	stop  func()
}

// startMemoryNode starts the i-th process. It is gone when the test ends.
func startMemoryNode(t *testing.T, net *peertest.Network, i int, transport peer.Transport, getter peercache.Getter, opts ...peercache.PoolOption) *memoryNode {
	t.Helper()
	n := &memoryNode{name: "http://" + host(i) + ":8001"}
	var err error
	if n.pool, err = peercache.NewPool(n.name, transport, opts...); err != nil {
		t.Fatal(err)
	}
	if n.group, err = peercache.NewGroup("test", 1<<20, getter, peercache.WithPeers(n.pool)); err != nil {
		t.Fatal(err)
	}
	end := net.Serve(n.name, n.pool)
	n.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		n.pool.Shutdown(ctx)
		end()
	})
	t.Cleanup(n.stop)
	return n
}

func (n *memoryNode) get(t *testing.T, key string) {
	t.Helper()
	if _, err := n.group.Get(t.Context(), key); err != nil {
		t.Errorf("Get of %s at %s: %v", key, n.name, err)
	}
}
