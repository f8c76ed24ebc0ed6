package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// A new owner takes the old value over after it heard of a Remove, and before the owner
// from before hears of it; and gives a copy away when the holder has heard of it twice.
func TestP8ValueThatIsHandedOverDuringARemove(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var origin atomic.Value
		origin.Store("old")
		nodes := newSimCluster(t, net, 4, simConfig{getter: peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
			return []byte(origin.Load().(string)), nil
		})})
		before, remover, reader, owner := nodes[0], nodes[1], nodes[2], nodes[3]
		var all []string
		for _, n := range nodes {
			all = append(all, n.url)
		}
		key := ""
		view := func(peers []string) {
			for _, n := range nodes[:len(peers)] {
				if err := n.pool.Set(peers...); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, k := range keysOwnedBy(t, nodes, 1, 3, 100) {
			if p := remover.pool.Pick(k, 1); p != nil && p.Name() == before.url {
				key = k
			}
		}
		view(all[:3])
		if err := owner.pool.Set(owner.url); err != nil {
			t.Fatal(err)
		}
		time.Sleep(settling)
		before.get(t, key)
		view(all)
		time.Sleep(time.Second) // everybody has heard of the view

		net.SetLinkBetween(host(1), host(3), apart(30*time.Millisecond))
		net.SetLinkBetween(host(1), host(0), apart(100*time.Millisecond))
		origin.Store("new")
		removed := make(chan error)
		go func() { removed <- remover.group.Remove(t.Context(), key) }()
		for range 100 {
			owner.get(t, key)
			reader.get(t, key)
			time.Sleep(10 * time.Millisecond)
			select {
			case err := <-removed:
				if err != nil {
					t.Error(err)
				}
				for _, n := range nodes {
					if got := n.get(t, key); got != "new" {
						t.Errorf("after the Remove, %s sees %q", n.url, got)
					}
				}
				return
			default:
			}
		}
		t.Errorf("the Remove has not returned: %v", <-removed)
	})
}

// apart is a link that bytes take a time for.
func apart(d time.Duration) simnet.Link { return simnet.Link{MinLatency: d, MaxLatency: d} }

// lateCache is a Cache in which a value may arrive late.
type lateCache struct {
	peercache.Cache
	late func() // called before each Add
}

func (c lateCache) Add(key string, e peercache.Entry, tainted func() bool) bool {
	c.late()
	return c.Cache.Add(key, e, tainted)
}

// A load ends and looks whose key it is; the view changes, and each looks through its
// cache for what is not its own any more; then the value comes into the cache.
func TestP8ValueThatComesAfterTheViewChanged(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var origin atomic.Value
		origin.Store("old")
		late := func() {}
		nodes := newSimCluster(t, net, 5, simConfig{
			getter: peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				return []byte(origin.Load().(string)), nil
			}),
			group: []peercache.GroupOption{
				peercache.WithCache(func(most int64, onLeave func(string, peercache.Entry, peercache.Reason)) (peercache.Cache, error) {
					c, err := peercache.NewStore(most, onLeave)
					return lateCache{c, func() { late() }}, err
				}),
			},
		})
		var all []string
		for _, n := range nodes {
			all = append(all, n.url)
		}
		former, key := nodes[0], ""
		for i := 0; key == ""; i++ { // one that is not told of changes when all are there
			k := fmt.Sprint("key", i)
			if p := former.pool; p.Pick(k, 0) != nil && p.Pick(k, 1) != nil && p.Pick(k, 2) != nil {
				key = k
			}
		}
		set := func(peers ...string) {
			if err := former.pool.Set(peers...); err != nil {
				t.Error(err)
			}
		}
		set(former.url)
		time.Sleep(settling)
		late = func() {
			late = func() {}
			set(all...)
			time.Sleep(time.Second)
		}
		former.get(t, key)
		time.Sleep(settling)
		origin.Store("new")
		if err := nodes[1].group.Remove(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if got := former.get(t, key); got != "new" {
			t.Errorf("after the Remove, the former owner sees %q", got)
		}
	})
}

func TestClearDoesNotWaitForThoseWhoLeftLongAgo(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 3, simConfig{getter: &origin{}})
		for _, n := range nodes[:2] {
			if err := n.pool.Set(nodes[0].url, nodes[1].url); err != nil {
				t.Fatal(err)
			}
		}
		if err := nodes[2].pool.Set(nodes[2].url); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		net.Freeze(host(2))
		began := time.Now()
		if err := nodes[0].group.Clear(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("Clear took %v", took)
		}
		net.Thaw(host(2))
	})
}

// Who falls silent between the two rounds of a Set may have got a copy in between.
func TestP8SetFailsWhereAPeerWasToldOnce(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 4, simConfig{getter: &origin{}})
		for _, n := range nodes[:3] {
			if err := n.pool.Set(nodes[0].url, nodes[1].url, nodes[2].url); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		key := keysOwnedBy(t, nodes, 0, 1, 1)[0]
		net.SetLinkBetween(host(0), host(1), apart(100*time.Millisecond))
		time.AfterFunc(150*time.Millisecond, func() { net.Cut(host(0), host(2)) })
		began := time.Now()
		err := nodes[0].group.Set(t.Context(), key, peercache.Item{Value: []byte("v")})
		if failed, ok := errors.AsType[*peercache.InvalidationError](err); !ok || len(failed.Pending) != 1 {
			t.Errorf("a Set that one peer has heard half of: %v", err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("it took %v to say so", took)
		}
		net.HealAll()
	})
}
