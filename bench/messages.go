package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/direct"
)

const (
	// candidatesOfAKey are its owner, and those that stand in for it.
	candidatesOfAKey = 3
	// messagesBytes is room for the leases of all holders that are counted.
	messagesBytes = 8 << 20
	messagesLease = 2 * time.Second
)

// runMessages counts the messages of a Remove, by how many peers there are and how many of
// them hold the key.
func runMessages(w io.Writer, m measuring) error {
	sizes := []int{3, 10, 100, 1000}
	if m.quick {
		sizes = sizes[:2]
	}
	fmt.Fprintf(w, `
Messages of a Remove, counted in clusters in one process: requests, each of which has one answer. The key's owner and
the two peers that stand in for it are told, and they tell those to whom they gave copies. A peer that is none of these
calls Remove where there is one; else it needs no message itself. "To all" would be one message for each other peer.
`)
	t := newTable("", "holders", "to candidates", "to holders", "messages", "to all", "% of all")
	for _, peers := range sizes {
		load := func(context.Context, string) ([]byte, error) { return []byte("v"), nil }
		c, err := direct.New(peers, messagesBytes, peercache.GetterFunc(load), peercache.WithLease(messagesLease))
		if err != nil {
			return err
		}
		// For the time of a lease, peers that have just started count each other as
		// holders of everything.
		time.Sleep(messagesLease)
		for _, holders := range slices.Compact([]int{0, 2, min(50, peers-1)}) {
			n, err := messagesOf(c, fmt.Sprintf("key with %d holders", holders), peers, holders)
			if err != nil {
				return fmt.Errorf("%d peers, %d holders: %w", peers, holders, err)
			}
			all := n.ToCandidates + n.ToHolders
			t.add(fmt.Sprintf("%d peers", peers), holders, n.ToCandidates, n.ToHolders, all, peers-1, 100*float64(all)/float64(peers-1))
		}
	}
	return t.print(w)
}

// messagesOf gets key at so many peers, removes it, and returns what that took.
func messagesOf(c *direct.Cluster, key string, peers, holders int) (direct.Messages, error) {
	ctx := context.Background()
	inTurn := c.InTurn(key)
	remover := inTurn[peers-1]
	// Who removes is the last that holds, and who stands in the last but one.
	order := slices.Concat(inTurn[min(candidatesOfAKey, peers-1):peers-1], inTurn[1:min(candidatesOfAKey, peers-1)], []int{remover})
	for _, i := range order[:holders] {
		for range 2 { // once is not worth a copy
			if _, err := c.Group(i).Get(ctx, key); err != nil {
				return direct.Messages{}, err
			}
		}
		if copies := c.Group(i).Stats().Hot.Items; copies == 0 {
			return direct.Messages{}, fmt.Errorf("peer %d holds no copy", i)
		}
	}
	if err := c.Group(remover).Remove(ctx, key); err != nil {
		return direct.Messages{}, err
	}
	n := c.Messages()
	if most := int64(candidatesOfAKey + holders); n.ToCandidates+n.ToHolders > most {
		return n, fmt.Errorf("a Remove took %+v, want at most %d messages", n, most)
	}
	return n, nil
}
