package peercache_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/direct"
)

// TestP8RemoveCostsWhatTheHoldersCost counts the messages of a Remove: three for the
// key's candidates, one for each peer that holds a copy, and none for the others.
func TestP8RemoveCostsWhatTheHoldersCost(t *testing.T) {
	const peers, lease = 100, peercache.DefaultLease
	for _, holders := range []int{0, 2, 50} {
		t.Run(fmt.Sprint(holders), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := direct.New(peers, 8<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
					return []byte("v"), nil
				}))
				if err != nil {
					t.Fatal(err)
				}
				inTurn := c.InTurn("k")
				remover, others := c.Group(inTurn[peers-1]), inTurn[3:]
				remove := func(when string, want direct.Messages) {
					t.Helper()
					if err := remover.Remove(t.Context(), "k"); err != nil {
						t.Fatal(err)
					}
					if got := c.Messages(); got != want {
						t.Errorf("%s: %+v, want %+v", when, got, want)
					}
				}
				get := func() {
					t.Helper()
					for _, i := range others[:holders] {
						if _, err := c.Group(i).Get(t.Context(), "k"); err != nil {
							t.Fatal(err)
						}
					}
				}
				// Who has just started does not know what a process before it at its address gave
				// away, and for the time of a lease tells everybody.
				remove("at first", direct.Messages{ToCandidates: 3, ToHolders: 3 * (peers - 2)})
				time.Sleep(lease)
				get()
				remove("copies are held", direct.Messages{ToCandidates: 3, ToHolders: int64(holders)})
				get()
				time.Sleep(lease)
				remove("the leases are over", direct.Messages{ToCandidates: 3})
			})
		})
	}
}
