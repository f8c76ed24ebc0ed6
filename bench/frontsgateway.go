package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery"
)

// frontCluster is three owners, and two processes that own nothing and keep no copies: a gateway
// and this one.
type frontCluster struct {
	owners  []*node
	gateway *node
	pool    *peercache.HTTPPool
	group   *peercache.Group
}

// startCluster makes the front one of the owners, and tells all of each other.
func (b *frontsBench) startCluster() (*frontCluster, error) {
	c := &frontCluster{owners: []*node{b.front}}
	for len(c.owners) < owners {
		n, err := b.start("front")
		if err != nil {
			return nil, err
		}
		c.owners = append(c.owners, n)
	}
	var err error
	if c.gateway, err = b.start("front gateway"); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	none := func(context.Context, string) ([]byte, error) { return nil, errAsked }
	if c.pool, c.group, err = frontPeer(l, true, none); err != nil {
		return nil, err
	}
	server := &http.Server{Handler: c.pool} // nobody asks it for keys, but the owners tell it of their view
	go server.Serve(l)
	b.closers = append(b.closers, func() {
		c.pool.Shutdown(context.Background())
		server.Close()
	})
	list := []string{discovery.OwningNothing(c.gateway.url), discovery.OwningNothing(urlOf(l))}
	for _, n := range c.owners {
		list = append(list, n.url)
	}
	for _, n := range append(c.owners, c.gateway) {
		if _, err := n.tell(strings.Join(list, ",")); err != nil {
			return nil, err
		}
	}
	return c, c.pool.Set(list...)
}

// gateway compares an answer of a gateway that has to fetch the value with one of the key's owner. The
// difference should be one fetch, as the gateway sees it: three processes wake each other, where this
// process and an owner are two. One asks at a time: what counts is the wait.
func (b *frontsBench) gateway() error {
	c, err := b.startCluster()
	if err != nil {
		return err
	}
	doors := map[string]*frontClient{}
	for _, n := range append(c.owners, c.gateway) {
		if doors[n.url], err = dialFront(n.url); err != nil {
			return err
		}
		b.closers = append(b.closers, doors[n.url].close)
	}
	ways := []struct {
		name string
		get  func(key string) error
	}{
		{"peercache, HTTP GET by the key's owner", func(key string) error {
			return doors[c.pool.Pick(key, 0).Name()].get(frontPath(key))
		}},
		{"HTTP GET by a gateway, which fetches it", func(key string) error {
			return doors[c.gateway.url].get(frontPath(key))
		}},
		{"Group.Get here, which fetches it", func(key string) error {
			v, err := c.group.Get(context.Background(), key)
			return wantFrontValue(v.Len(), err)
		}},
	}
	times := make([][]float64, len(ways))
	for turn := range b.m.repeats + 1 {
		for i := range ways {
			i := (i + turn) % len(ways) // nobody always follows the same one
			p50, err := b.p50(ways[i].get)
			if err != nil {
				return fmt.Errorf("%s: %w", ways[i].name, err)
			}
			if turn > 0 { // the first one warms up
				times[i] = append(times[i], p50)
			}
		}
	}
	r, err := c.gateway.ask()
	if err != nil {
		return err
	}
	if r.Stats.PeerLoads != r.Stats.Gets {
		return fmt.Errorf("a gateway fetched %d values for %d Gets, want one for each", r.Stats.PeerLoads, r.Stats.Gets)
	}
	direct, through, fetch := median(times[0]), median(times[1]), float64(r.P50)
	t := newTable("c=1, no copies", "p50 µs", "× ours")
	for i, way := range ways {
		t.add(way.name, us(median(times[i])), median(times[i])/direct)
	}
	t.add("the gateway's own wait for it", us(fetch), fetch/direct)
	b.targets.add("HTTP GET by a gateway, p50 above the owner's, × the gateway's wait for the owner", (through-direct)/fetch, true, 1.1)
	return t.print(b.w)
}

// p50 returns how many ns the middle one of a turn's calls takes, and of those for all keys at least.
func (b *frontsBench) p50(get func(key string) error) (float64, error) {
	var times []time.Duration
	for end := time.Now().Add(b.m.turn); len(times) < frontKeys || time.Now().Before(end); {
		start := time.Now()
		if err := get(frontKey(len(times))); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return float64(times[len(times)/2]), nil
}
