package peercache_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/simnet"
)

// What a process cached before its first list, others may have removed meanwhile: nobody told
// it. It drops that when the list comes, and offers it to nobody.
func TestP8ValuesOfBeforeTheFirstList(t *testing.T) {
	for name, discovered := range map[string]bool{"by Set": false, "by a discovery": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := &editions{}
				nodes := newSimCluster(t, net, 3, simConfig{getter: o})
				own, list := simConfig{getter: o}, make(dictated, 1)
				if discovered {
					own.discovery = func(int) discovery.Discovery { return list }
				}
				alone := startSimNode(t, net, 3, own)
				all := append(nodes[:3:3], alone)
				last := make(map[string]int) // the edition of each key when it was removed
				for n := range 40 {
					key := fmt.Sprint("key", n)
					alone.get(t, key)
					for _, n := range nodes {
						n.get(t, key)
					}
					if err := nodes[0].group.Remove(inside(t), key); err != nil {
						t.Fatal(err)
					}
					last[key] = o.of(key)
				}
				// A load that is in progress when the list comes is not kept.
				o.takes = 10 * time.Millisecond
				const loading = "loading"
				loaded := make(chan struct{})
				go func() {
					defer close(loaded)
					alone.group.Get(t.Context(), loading)
				}()
				time.Sleep(time.Millisecond)
				if err := nodes[0].group.Remove(inside(t), loading); err != nil {
					t.Fatal(err)
				}
				last[loading] = o.of(loading)

				if discovered {
					var urls []string
					for _, n := range all {
						urls = append(urls, n.url)
					}
					list <- discovery.View{Peers: urls}
					introduce(t, nodes, all...)
					if err := alone.pool.Join(inside(t)); err != nil {
						t.Fatal(err)
					}
				} else {
					introduce(t, []*node{alone}, all...)
					introduce(t, nodes, all...)
				}
				for _, later := range []time.Duration{0, time.Second, time.Minute} { // 0: at once
					time.Sleep(later)
					for key, edition := range last {
						for _, n := range all {
							if got, err := strconv.Atoi(n.get(t, key)); err != nil || got <= edition {
								t.Errorf("%v after the list, %s answers edition %d of %s, error %v: there were %d when it was removed", later, n.url, got, key, err, edition)
							}
						}
					}
				}
				<-loaded
			})
		})
	}
}
