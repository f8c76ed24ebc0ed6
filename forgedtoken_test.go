package peercache_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
	"github.com/peercache/peercache/pb"
)

// Forged tokens, and strangers that take all the room for requests without a proof, do not
// make what peers say to each other one of these.
func TestP10ForgedToken(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		nodes := newSimCluster(t, net, 6, simConfig{getter: &editions{}, pool: func(int) []peercache.PoolOption {
			return []peercache.PoolOption{peercache.WithMaxUnproven(1)}
		}})
		time.Sleep(time.Minute) // Removes go to the candidates again
		key := keyOwnedBy(t, nodes, 0, 1)
		candidates, others := roles(t, nodes, key)
		owner, remover, holder, cut := candidates[0], candidates[1], others[0], others[1]
		var held string // a key of the same owner, of which the node has a copy that is cut off
		for i := 0; held == ""; i++ {
			k := fmt.Sprint("held", i)
			if c, _ := roles(t, nodes, k); c[0] == owner && !slices.Contains(c, cut) {
				held = k
			}
		}
		for _, n := range nodes { // they show each other their tokens
			if err := n.group.Remove(inside(t), key); err != nil {
				t.Fatal(err)
			}
		}
		nodes[holder].brings(t, key, "1")
		nodes[cut].brings(t, held, "1")
		net.Isolate(host(cut))
		t.Cleanup(net.HealAll)
		f := newForger(t, net)
		go f.tell(nodes[owner], nodes[others[2]], &pb.ChangeRequest{
			Group: "test", Keys: [][]byte{[]byte(held)}, Holders: true, WaitNs: int64(time.Minute),
		})
		time.Sleep(100 * time.Millisecond)
		f.tell(nodes[remover], nodes[owner], &pb.ChangeRequest{Token: 7})
		start := time.Now()
		if err := nodes[remover].group.Remove(inside(t), key); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("the Remove took %v", took)
		}
	})
}
