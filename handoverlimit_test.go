package peercache_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// A new owner takes no value over from the owner before that is larger than its group allows.
func TestP10NothingLargerThanAllowedIsTakenOver(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		const most = 1000
		c := simConfig{
			getter: peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
				return []byte(strings.Repeat("v", 2*most)), nil
			}),
			own: func(i int) []peercache.GroupOption {
				if i == 0 {
					return nil
				}
				return []peercache.GroupOption{peercache.WithMaxValueBytes(most)}
			},
		}
		nodes := newSimCluster(t, net, 2, c)
		key := keyOwnedBy(t, nodes, 0, 1)
		introduce(t, nodes[:1], nodes[0])
		introduce(t, nodes[1:], nodes[1])
		time.Sleep(settling)
		nodes[0].get(t, key)
		introduce(t, nodes, nodes...)
		time.Sleep(2 * time.Second) // it may be offered
		if n := len(nodes[1].group.Cached()[key]); n > most {
			t.Errorf("a value of %d bytes is taken over, and the group allows %d", n, most)
		}
		if v, err := nodes[1].group.Get(t.Context(), key); !errors.Is(err, peercache.ErrValueSize) {
			t.Errorf("Get: %d bytes, error %v: want ErrValueSize", v.Len(), err)
		}
	})
}
