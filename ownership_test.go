package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
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

// ready returns what Ready says within a short time.
func ready(n *node) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return n.pool.Ready(ctx)
}
