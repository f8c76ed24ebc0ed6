package peercache_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// onlooker is a picker of a user's own before a pool, for instance to count.
type onlooker struct {
	pool *peercache.HTTPPool
	wrap func(peercache.Peer) peercache.Peer
}

func (o onlooker) Register(g *peercache.Group) error { return o.pool.Register(g) }
func (o onlooker) Peers() []peercache.Peer           { return o.pool.Peers() }

func (o onlooker) Pick(key string, n int) peercache.Peer {
	if p := o.pool.Pick(key, n); p != nil {
		return o.wrap(p)
	}
	return nil
}

// A change of the view, and another one in the time of a stand-in, do no harm where a
// group does not know its pool, or not the peers of that.
func TestPickerBeforeAPool(t *testing.T) {
	type looker struct{ peercache.Peer }
	for name, wrap := range map[string]func(peercache.Peer) peercache.Peer{
		"of the pool's peers": func(p peercache.Peer) peercache.Peer { return p },
		"of peers of its own": func(p peercache.Peer) peercache.Peer { return looker{p} },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var groups []*peercache.Group
				nodes := newSimCluster(t, net, 3, simConfig{getter: &origin{}, wrap: func(_ int, pool *peercache.HTTPPool) http.Handler {
					g, err := peercache.NewGroup("watched", 1<<20, &origin{}, peercache.WithPeers(onlooker{pool, wrap}))
					if err != nil {
						t.Fatal(err)
					}
					groups = append(groups, g)
					return pool
				}})
				use := func(round int) {
					for i := range 100 {
						key := fmt.Sprint("key", round, i)
						if v, err := groups[0].Get(t.Context(), key); err != nil || v.String() != "value of "+key {
							t.Errorf("Get %q: %q, error %v", key, v, err)
						}
					}
					time.Sleep(time.Second)
				}
				use(-1)
				for round, view := range [][]*node{nodes[:1], nodes[:2], nodes} {
					introduce(t, nodes[:1], view...)
					use(round)
				}
				introduce(t, nodes, nodes...)
			})
		})
	}
}
