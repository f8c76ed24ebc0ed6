package peercache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// A process that knows its peers before it listens is still handed what it owns.
func TestReadyBeforeItListens(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		c.warm(t, 300)
		c.nodes[1].stop(t)
		pool, err := peercache.NewHTTPPool(c.nodes[1].url, peercache.WithInsecure(), peercache.WithTransport(net.Host(host(1)).Transport()))
		if err != nil {
			t.Fatal(err)
		}
		n := &node{url: c.nodes[1].url, pool: pool, end: func() {}}
		if n.group, err = peercache.NewGroup("test", 64<<20, c.origin, peercache.WithPeers(pool)); err != nil {
			t.Fatal(err)
		}
		c.nodes[1] = n
		t.Cleanup(func() { n.stop(t) })
		introduce(t, c.nodes[1:2], c.nodes...)
		time.Sleep(500 * time.Millisecond)
		if n.end, err = simnet.Serve(net.Host(host(1)), host(1)+":8001", pool); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := pool.Ready(inside(t)); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if items := n.group.Stats().Main.Items; items < 60 {
			t.Errorf("it is ready with %d values of about 100", items)
		}
	})
}

func TestReady(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		ready := func(n *node, patience time.Duration, want string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := n.pool.Ready(ctx)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("Ready: error %v, want %q", err, want)
			}
		}
		c := newCrew(t, net, 3, simConfig{})
		c.warm(t, 300)
		ready(c.nodes[0], time.Second, "")
		c.nodes[1].stop(t)
		ready(c.nodes[1], time.Second, peercache.ErrClosed.Error())

		c.nodes[1] = startSimNode(t, net, 1, c.config)
		ready(c.nodes[1], time.Second, "no view has come yet")
		net.SetLatency(20*time.Millisecond, 20*time.Millisecond)
		introduce(t, c.nodes[1:2], c.nodes...)
		ready(c.nodes[1], 10*time.Millisecond, "have not heard of the view")
		ready(c.nodes[1], 2*time.Second, "")
		if n := c.nodes[1].group.Stats().Main.Items; n < 60 {
			t.Errorf("it is ready with %d values of about 100", n)
		}

		alone := startSimNode(t, net, 3, c.config)
		time.AfterFunc(100*time.Millisecond, func() { alone.stop(t) })
		ready(alone, 200*time.Millisecond, peercache.ErrClosed.Error())

		// One that cannot be reached is not waited for, but one that goes on having another list.
		c.nodes[1].stop(t)
		net.Cut(host(1), host(2))
		c.restart(t, 1)
		ready(c.nodes[1], 2*time.Second, "")
		net.HealAll()
		time.Sleep(settling)
		if err := c.nodes[2].pool.Set(c.nodes[2].url, c.nodes[1].url); err != nil {
			t.Fatal(err)
		}
		c.nodes[1].stop(t)
		c.restart(t, 1)
		ready(c.nodes[1], time.Second, "peercache: not ready: peers have another list of peers (normal for a moment in a deploy): "+c.nodes[2].url)
		ready(c.nodes[1], 2*time.Second, c.nodes[2].url+" ("+c.nodes[0].url+" is in this one's list and not in its) (context deadline exceeded)")
		ready(c.nodes[1], peercache.DefaultHandoverTime, "the lists of peers differ: "+c.nodes[0].url+" is in this one's list")
		introduce(t, c.nodes[2:3], c.nodes...)
		ready(c.nodes[1], 3*time.Second, "")
	})
}

// A new list of peers that comes to one process after the other takes none of them away from
// its users, but for the one that is new.
func TestReadyWhileListsChange(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 3, simConfig{})
		for _, n := range c.nodes {
			if err := n.pool.Ready(inside(t)); err != nil {
				t.Error(err)
			}
		}
		old := c.nodes
		c.nodes = append(c.nodes, startSimNode(t, net, 3, c.config))
		introduce(t, c.nodes[3:], c.nodes...)
		at := time.Now()
		for _, n := range old {
			introduce(t, []*node{n}, c.nodes...)
			time.Sleep(time.Second)
			for _, n := range old {
				probe, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				if err := n.pool.Ready(probe); err != nil {
					t.Errorf("%s: %v", n.url, err)
				}
				cancel()
			}
		}
		if err := c.nodes[3].pool.Ready(inside(t)); err != nil || time.Since(at) > 5*time.Second {
			t.Errorf("the new one is ready after %v, error %v", time.Since(at), err)
		}
	})
}

// The error of Ready names a few peers, and counts the others.
func TestReadyNamesAFewPeers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		c := newCrew(t, net, 12, simConfig{})
		n := startSimNode(t, net, 12, c.config)
		introduce(t, []*node{n}, append(c.nodes[:12:12], n)...) // the others do not know it
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := n.pool.Ready(ctx)
		if err == nil || !strings.HasSuffix(err.Error(), "and 7 more (context deadline exceeded)") || strings.Count(err.Error(), "http://") != 5 {
			t.Errorf("error %v: want five names and a count", err)
		}
	})
}
