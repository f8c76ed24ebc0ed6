package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/simnet"
)

// crew is a cluster whose views come from Set, and whose nodes are restarted.
type crew struct {
	net    *simnet.Network
	config simConfig
	origin *origin
	nodes  []*node
}

func newCrew(t *testing.T, net *simnet.Network, size int, c simConfig) *crew {
	t.Helper()
	o := &origin{}
	c.getter = o
	return &crew{net, c, o, newSimCluster(t, net, size, c)}
}

// warm has all keys loaded, by whoever owns them.
func (c *crew) warm(t *testing.T, keys int) {
	t.Helper()
	for k := range keys {
		c.nodes[k%len(c.nodes)].get(t, fmt.Sprint("key", k))
	}
	if n := c.origin.total(); n != keys {
		t.Fatalf("%d keys were loaded %d times", keys, n)
	}
}

// restart starts the i-th node again, and introduces it to the others: nobody introduces
// them to it.
func (c *crew) restart(t *testing.T, i int) {
	t.Helper()
	c.nodes[i] = startSimNode(t, c.net, i, c.config)
	introduce(t, c.nodes[i:i+1], c.nodes...)
}

// peersOf returns who is in the view of a node, besides it.
func (n *node) peersOf() []string {
	var names []string
	for _, p := range n.pool.Peers() {
		names = append(names, p.Name())
	}
	slices.Sort(names)
	return names
}

// All nodes are restarted, one after the other, while all that run are asked all the
// time: nothing is loaded again, and no Get fails.
func TestP1DeployCostsNoLoads(t *testing.T) {
	const keys = 3000
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		c.warm(t, keys)
		var users sync.WaitGroup
		use := func(n *node) (stop func()) {
			ctx, cancel := context.WithCancel(t.Context())
			for range 4 {
				users.Go(func() {
					for ctx.Err() == nil {
						key := fmt.Sprint("key", rand.N(keys))
						if view, err := n.group.Get(context.Background(), key); err != nil || view.String() != "value of "+key {
							t.Errorf("Get %q at %s: %q, error %v", key, n.url, view, err)
						}
						time.Sleep(rand.N(time.Millisecond))
					}
				})
			}
			return cancel
		}
		var stops []func()
		for _, n := range c.nodes {
			stops = append(stops, use(n))
		}
		for range 2 {
			for i := range c.nodes {
				stops[i]()
				c.nodes[i].stop(t)
				time.Sleep(3 * time.Second) // it takes a while to start
				c.restart(t, i)
				if err := c.nodes[i].pool.Ready(inside(t)); err != nil {
					t.Error(err)
				}
				if s := c.nodes[i].group.Stats(); s.Main.Items < keys/4 {
					t.Errorf("node %d is ready with %d values of about %d", i, s.Main.Items, keys/3)
				}
				stops[i] = use(c.nodes[i])
				time.Sleep(3 * time.Second)
			}
		}
		for _, stop := range stops {
			stop()
		}
		users.Wait()
		time.Sleep(2 * settling) // what was kept for a time only is gone
		for k := range keys {
			c.nodes[k%3].get(t, fmt.Sprint("key", k))
		}
		if n := c.origin.total(); n != keys {
			t.Errorf("%d loads of %d keys: want one each", n, keys)
		}
	})
}

// While a node is away, changes succeed at once: it has said that it leaves. When it is
// back, it has no value of before.
func TestP8ChangesWhileAPeerIsAway(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{}
		c := &crew{net: net, config: simConfig{getter: o}, nodes: newSimCluster(t, net, 3, simConfig{getter: o})}
		key := keyOwnedBy(t, c.nodes, 0, 1)
		for _, n := range c.nodes {
			n.brings(t, key, "1")
		}
		c.nodes[1].stop(t)
		start := time.Now()
		if err := c.nodes[0].group.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("the Remove took %v: want no wait for a peer that has left", took)
		}
		c.nodes[2].brings(t, key, "2")
		time.Sleep(2 * settling)
		if err := c.nodes[2].group.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		c.nodes[0].brings(t, key, "3")
		c.restart(t, 1)
		for _, n := range c.nodes {
			n.brings(t, key, "3")
		}
		if err := c.nodes[0].group.Remove(t.Context(), key); err != nil {
			t.Error(err)
		}
		for _, n := range c.nodes {
			n.brings(t, key, "4")
		}
	})
}

// A Remove while a node leaves reaches its values wherever they are, at whatever moment of
// the handover it comes.
func TestP8RemoveWhileAPeerLeaves(t *testing.T) {
	if stale := removeWhileAPeerLeaves(t); stale != 0 {
		t.Errorf("%d old values after a Remove", stale)
	}
	// And the test would see it.
	defer failpoint.Plant(failpoint.OfferWins)()
	if stale := removeWhileAPeerLeaves(t); stale == 0 {
		t.Error("a handover that knows of no Remove was not found")
	}
}

// removeWhileAPeerLeaves returns how many old values are read after a Remove.
func removeWhileAPeerLeaves(t *testing.T) (stale int) {
	for after := range 40 {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			o := &editions{}
			nodes := newSimCluster(t, net, 3, simConfig{getter: o, group: []peercache.GroupOption{peercache.WithHotShare(0)}})
			keys := keysOwnedBy(t, nodes, 0, 1, 50)
			for _, key := range keys {
				nodes[1].brings(t, key, "1")
			}
			slow := 60 * time.Millisecond // longer than a Remove takes
			net.SetLinkBetween(host(0), host(1), simnet.Link{MinLatency: slow, MaxLatency: slow})
			left := make(chan struct{})
			go func() {
				defer close(left)
				nodes[1].stop(t)
			}()
			time.Sleep(time.Duration(after) * 10 * time.Millisecond)
			if err := nodes[2].group.Remove(t.Context(), keys...); err != nil {
				t.Error(err)
			}
			<-left
			for _, key := range keys {
				if nodes[0].get(t, key) == "1" {
					stale++
				}
			}
		})
	}
	return stale
}

// A node that does not hear that another one leaves learns it from the third.
func TestLeaveThatIsMissed(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		net.Cut(host(1), host(2))
		c.nodes[1].stop(t)
		net.Heal(host(1), host(2))
		if got := c.nodes[0].peersOf(); !slices.Equal(got, []string{c.nodes[2].url}) {
			t.Errorf("the node that heard has the peers %v", got)
		}
		if err := c.nodes[0].group.Remove(t.Context(), "key"); err != nil {
			t.Error(err)
		}
		if got := c.nodes[2].peersOf(); !slices.Equal(got, []string{c.nodes[0].url}) {
			t.Errorf("the node that did not hear has the peers %v", got)
		}
	})
}

// A node that is back, and cannot tell one of the others, is found by it. Until then a
// change from there fails, and names it.
func TestP8ReturnThatIsMissed(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		c.warm(t, 100)
		c.nodes[1].stop(t)
		net.Cut(host(1), host(2))
		c.restart(t, 1)
		time.Sleep(time.Second)
		err := c.nodes[2].group.Remove(t.Context(), "key1")
		if e, ok := errors.AsType[*peercache.InvalidationError](err); !ok || !strings.Contains(e.Error(), c.nodes[1].url) {
			t.Errorf("Remove where the peer that is back cannot be reached: error %v, want one that names it", err)
		}
		net.Heal(host(1), host(2))
		time.Sleep(5 * time.Second)
		if got := c.nodes[2].peersOf(); len(got) != 2 {
			t.Errorf("after the network is whole, the node has the peers %v", got)
		}
		if err := c.nodes[2].group.Remove(t.Context(), "key1"); err != nil {
			t.Error(err)
		}
	})
}

// If not all can be handed over, those values are that are in use.
func TestHandoverIsBounded(t *testing.T) {
	const keys, size = 2000, 1 << 10
	caches := map[string]peercache.NewCache{"store": peercache.NewStore, "lru": peercache.NewLRU}
	for name, cache := range caches {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := &editions{size: size}
				nodes := newSimCluster(t, net, 2, simConfig{
					getter: o,
					group:  []peercache.GroupOption{peercache.WithCache(cache), peercache.WithHotShare(0)},
					pool: func(int) []peercache.PoolOption {
						return []peercache.PoolOption{peercache.WithHandover(200*size, time.Minute)}
					},
				})
				mine := keysOwnedBy(t, nodes, 0, 1, keys)
				for _, key := range mine {
					nodes[1].get(t, key)
				}
				inUse := mine[700:800]
				for range 3 {
					for _, key := range inUse {
						nodes[1].get(t, key)
					}
				}
				nodes[1].stop(t)
				s := nodes[0].group.Stats()
				if s.Handovers == 0 || s.Handovers > 200 {
					t.Errorf("%d values were handed over, want 1 to 200", s.Handovers)
				}
				for _, key := range inUse {
					nodes[0].get(t, key)
				}
				if loads := nodes[0].group.Stats().Loads; loads != 0 {
					t.Errorf("%d of %d values that were in use were not handed over", loads, len(inUse))
				}
			})
		})
	}
}

// With 0 bytes nothing is offered, and values go where they are asked for.
func TestHandoverOfNothing(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{
			pool: func(int) []peercache.PoolOption {
				return []peercache.PoolOption{peercache.WithHandover(0, time.Second)}
			},
		})
		c.warm(t, 300)
		c.nodes[1].stop(t)
		if n := c.nodes[0].group.Stats().Handovers + c.nodes[2].group.Stats().Handovers; n != 0 {
			t.Errorf("%d values were handed over", n)
		}
	})
}

// A peer that hangs, or cannot be reached, does not hold up one that leaves.
func TestLeaveBesideAPeerThatHangs(t *testing.T) {
	for name, disturb := range map[string]func(*simnet.Network){
		"hangs":   func(net *simnet.Network) { net.Freeze(host(2)) },
		"is gone": func(net *simnet.Network) { net.PowerOff(host(2)) },
		"is cut":  func(net *simnet.Network) { net.Cut(host(1), host(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				c := newCrew(t, net, 3, simConfig{})
				c.warm(t, 300)
				disturb(net)
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c.nodes[1].pool.Shutdown(ctx)
				if took := time.Since(start); took > 15*time.Second {
					t.Errorf("it took %v", took)
				}
				loads := c.origin.total()
				for _, key := range keysOwnedBy(t, c.nodes[:1], 0, 0, 100) {
					c.nodes[0].get(t, key)
				}
				if n := c.origin.total() - loads; n > 70 {
					t.Errorf("%d of 100 keys that the node owns now were loaded again", n)
				}
				net.HealAll()
				net.Thaw(host(2))
			})
		})
	}
}

// Shutdown may be called again, or at the same time, and when its context has ended. However
// it ends, nothing tries to reach peers afterwards.
func TestShutdownAgain(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		c.warm(t, 100)
		net.Isolate(host(1))
		time.Sleep(5 * time.Second) // the breakers of the others are open
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.nodes[0].pool.Shutdown(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		time.Sleep(10 * time.Second)
		before := net.LinkStats(host(0), host(1)).Dials
		time.Sleep(time.Minute)
		if n := net.LinkStats(host(0), host(1)).Dials - before; n != 0 {
			t.Errorf("%d dials after a Shutdown whose context had ended, want none", n)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := c.nodes[0].pool.Shutdown(inside(t)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		net.Rejoin(host(1))
	})
}

// A peer that has left, and whose machine is gone, is not looked for any more by those who
// have ended, or have no such peer now.
func TestNobodyLooksForWhoIsGone(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		c.nodes[1].stop(t)
		net.Isolate(host(1))
		time.Sleep(10 * time.Second)
		dials := func() int64 { return net.LinkStats(host(0), host(1)).Dials + net.LinkStats(host(2), host(1)).Dials }
		if dials() == 0 {
			t.Error("nobody has looked whether it is back")
		}
		c.nodes[2].stop(t)
		introduce(t, c.nodes[:1], c.nodes[0], c.nodes[2])
		time.Sleep(time.Second)
		before := dials()
		time.Sleep(time.Minute)
		if n := dials() - before; n != 0 {
			t.Errorf("%d dials after a minute, want none", n)
		}
		net.Rejoin(host(1))
	})
}

// All leave at the same time, which nobody minds.
func TestAllLeave(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 5, simConfig{})
		c.warm(t, 300)
		start := time.Now()
		var all sync.WaitGroup
		for _, n := range c.nodes {
			all.Go(func() {
				if err := n.pool.Shutdown(inside(t)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A process that has served alone hands half of what it has to the second one.
func TestP1TheSecondProcessIsHandedOver(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &origin{}
		first := startSimNode(t, net, 0, simConfig{getter: o})
		introduce(t, []*node{first}, first)
		for k := range 300 {
			first.get(t, fmt.Sprint("key", k))
		}
		second := startSimNode(t, net, 1, simConfig{getter: o})
		both := []*node{first, second}
		introduce(t, both, both...)
		if err := second.pool.Ready(inside(t)); err != nil {
			t.Fatal(err)
		}
		if items := second.group.Stats().Main.Items; items < 100 {
			t.Errorf("it is ready with %d values of about 150", items)
		}
		for k := range 300 {
			second.get(t, fmt.Sprint("key", k))
		}
		if n := o.total(); n != 300 {
			t.Errorf("%d loads of 300 keys", n)
		}
	})
}

// Two that leave at the same time hand over what they have to the third.
func TestP1TwoThatLeaveTogether(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		c.warm(t, 900)
		var leaving sync.WaitGroup
		for _, n := range c.nodes[1:] {
			leaving.Go(func() { n.stop(t) })
			time.Sleep(3 * time.Millisecond)
		}
		leaving.Wait()
		for k := range 900 {
			c.nodes[0].get(t, fmt.Sprint("key", k))
		}
		if n := c.origin.total(); n != 900 {
			t.Errorf("%d loads of 900 keys", n)
		}
	})
}

// A group that serves nothing while it is lapsed, as it is before it has joined, is handed
// what it owns when it has.
func TestP1ConsistentGroupIsHandedOver(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		l := newLapsing(t, net, peercache.WithConsistency())
		for k := range 300 {
			l.nodes[k%3].get(t, fmt.Sprint("key", k))
		}
		l.nodes[1].stop(t)
		time.Sleep(time.Second)
		view := make(dictated, 1)
		view <- discovery.View{Peers: l.all}
		l.nodes[1] = startSimNode(t, net, 1, simConfig{
			getter:    lapseOrigin{&l.origin},
			group:     []peercache.GroupOption{peercache.WithConsistency()},
			discovery: func(int) discovery.Discovery { return view },
		})
		if err := l.nodes[1].pool.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.nodes[1].pool.Ready(inside(t)); err != nil {
			t.Fatal(err)
		}
		if items := l.nodes[1].group.Stats().Main.Items; items < 60 {
			t.Errorf("it is ready with %d values of about 100", items)
		}
		for k := range 300 {
			l.nodes[1].get(t, fmt.Sprint("key", k))
		}
		if n := l.origin.total(); n != 300 {
			t.Errorf("%d loads of 300 keys", n)
		}
	})
}
