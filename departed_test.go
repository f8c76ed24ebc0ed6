package peercache_test

import (
	"testing"
	"time"

	"github.com/peercache/peercache/internal/simnet"
)

// A peer that left the list while it hung has not heard of a Remove. What it offers when it
// is back is not taken, also if the list has changed once more.
func TestP8NothingIsTakenOverFromADepartedPeerThatMissedARemove(t *testing.T) {
	for name, again := range map[string]bool{"the list stays": false, "the list changes again": true} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				c := simConfig{getter: &editions{}}
				nodes := newSimCluster(t, net, 4, c)
				keys := keysOwnedBy(t, nodes, 0, 3, 40)
				for _, key := range keys {
					nodes[3].wants(t, key, "1")
				}
				net.Isolate(host(3))
				introduce(t, nodes[:3], nodes[:3]...)
				time.Sleep(time.Second)
				if err := nodes[0].group.Remove(inside(t), keys...); err != nil {
					t.Fatal(err)
				}
				list := nodes[:3:3]
				if again {
					list = append(list, startSimNode(t, net, 4, c))
					introduce(t, list, list...)
					time.Sleep(3 * time.Second)
				}
				for i := range list {
					net.Reset(host(i), host(3)) // what it was told is lost on the way
				}
				net.Reset(host(4), host(3))
				net.Rejoin(host(3))
				time.Sleep(3 * time.Second) // it is found to be back, and can be asked
				nodes[3].stop(t)
				for _, key := range keys {
					for _, n := range list {
						n.brings(t, key, "2")
					}
				}
			})
		})
	}
}
