package peercache_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// A key of any length that WithMaxKeyBytes allows is kept: loaded once where it is owned,
// copied by who asks for it often, removed, and handed over to a new owner.
func TestLongKeysAreKept(t *testing.T) {
	for _, newCache := range []peercache.NewCache{peercache.NewStore, peercache.NewLRU} {
		for _, stream := range []bool{true, false} {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				o := &origin{load: func(context.Context, string) ([]byte, error) { return []byte("v"), nil }}
				c := simConfig{getter: o, group: []peercache.GroupOption{peercache.WithMaxKeyBytes(1 << 20), peercache.WithCache(newCache), peercache.WithHotShare(0.5)}}
				if !stream {
					c.pool = func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutStream()} }
				}
				nodes := newSimCluster(t, net, 2, c)
				var keys []string
				for _, n := range []int{32 << 10, 65535, 65536, 1<<20 - 1, 1 << 20} {
					for i := range 4 {
						keys = append(keys, strings.Repeat(string(rune('a'+i)), n))
					}
				}
				check := func(want int) {
					t.Helper()
					for _, key := range keys {
						for _, n := range nodes {
							n.get(t, key)
						}
						if got := o.count(key); got != want {
							t.Errorf("stream %v, a key of %d bytes: %d loads, want %d", stream, len(key), got, want)
						}
					}
				}
				check(1)
				check(1)
				before := nodes[0].group.Stats().ServerRequests + nodes[1].group.Stats().ServerRequests
				check(1)
				if now := nodes[0].group.Stats().ServerRequests + nodes[1].group.Stats().ServerRequests; now != before {
					t.Errorf("%d requests for keys that are copied", now-before)
				}
				if err := nodes[0].group.Remove(inside(t), keys...); err != nil {
					t.Error(err)
				}
				check(2)

				third := startSimNode(t, net, 2, c)
				nodes = append(nodes, third)
				introduce(t, nodes, nodes...)
				time.Sleep(time.Second)
				check(2)
				if third.group.Stats().Loads != 0 {
					t.Errorf("the new node loaded %d keys", third.group.Stats().Loads)
				}
			})
		}
	}
}
