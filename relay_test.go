package peercache_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

// countedChanges counts the changes that are sent over a transport.
type countedChanges struct {
	peer.Transport
	changes *atomic.Int64
}

func (c countedChanges) Dial(self peer.Local, name string) peer.Conn {
	return &countedConn{c.Transport.Dial(self, name), c.changes}
}

type countedConn struct {
	peer.Conn
	changes *atomic.Int64
}

func (c *countedConn) Change(ctx context.Context, ch *peer.Change) (peer.Changed, error) {
	c.changes.Add(1)
	return c.Conn.Change(ctx, ch)
}

// A change of the view costs each of many peers a few messages, not one for each of the others, and
// afterwards all know that all have it.
func TestViewChangeIsRelayed(t *testing.T) {
	const peers = 64
	synctest.Test(t, func(t *testing.T) {
		net := peertest.New(1)
		t.Cleanup(net.Close)
		net.SetLatency(time.Millisecond, 2*time.Millisecond)
		var changes atomic.Int64
		var pools []*peercache.Pool
		var groups []*peercache.Group
		var names []string
		for i := range peers {
			name := fmt.Sprintf("http://10.0.0.%d:8001", i+1)
			pool, err := peercache.NewPool(name, countedChanges{net.Transport(), &changes})
			if err != nil {
				t.Fatal(err)
			}
			group, err := peercache.NewGroup("test", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("v"), nil }), peercache.WithPeers(pool))
			if err != nil {
				t.Fatal(err)
			}
			stop := net.Serve(name, pool)
			t.Cleanup(func() {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				pool.Shutdown(ctx)
				stop()
			})
			pools, groups, names = append(pools, pool), append(groups, group), append(names, name)
		}
		set := func(pools []*peercache.Pool, names []string) {
			for _, p := range pools {
				if err := p.Set(names...); err != nil {
					t.Fatal(err)
				}
			}
		}
		set(pools, names)
		time.Sleep(settling)
		settled := func(what string, most float64, groups []*peercache.Group, names []string, change func()) {
			before := changes.Load()
			change()
			time.Sleep(5 * time.Second)
			if n := float64(changes.Load()-before) / peers; n > most {
				t.Errorf("%s: %.1f messages a peer, want %v at most", what, n, most)
			} else {
				t.Logf("%s: %.1f messages a peer", what, n)
			}
			for i, g := range groups {
				start := time.Now()
				if err := g.Remove(inside(t), "key"); err != nil {
					t.Errorf("%s: Remove at %s: %v", what, names[i], err)
				}
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("%s: Remove at %s took %v", what, names[i], took)
				}
			}
			time.Sleep(settling)
		}
		settled("one is off the list", 6, groups[1:2], names[1:], func() { set(pools[1:], names[1:]) })
		settled("it is back", 10, groups[:2], names, func() { set(pools, names) })
		settled("one is off the list, of which the others hear one after the other", 25, groups[:2], names, func() {
			for i, p := range pools {
				if i != 5 {
					set([]*peercache.Pool{p}, slices.Delete(slices.Clone(names), 5, 6))
					time.Sleep(time.Millisecond)
				}
			}
		})
	})
}
