package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/direct"
)

// hitsLease is the longest there is.
const hitsLease = time.Minute

// runHits compares hits of values that end with hits of values that do not.
func runHits(w io.Writer, m measuring) error {
	entries := 10_000
	if m.quick {
		entries = 500
	}
	fmt.Fprintf(w, `
Hits, all in this process: %d keys, %d-byte values, one after the other; median of %d turns of %v each. Each hit is counted
in the statistics. Copies have a lease of %v, so that hardly any is renewed in a turn: a renewal is a message to the owner,
in the background, once in half a lease for a copy in use.
`, entries, localValueBytes, m.repeats, m.turn, hitsLease)
	var subjects []subject
	for _, s := range []struct {
		name  string
		peers int
		rank  int // of the peer that is asked, among a key's candidates
		opts  []peercache.GroupOption
	}{
		{"no peers, no TTL", 1, 0, nil},
		{"no peers, TTL", 1, 0, []peercache.GroupOption{peercache.WithTTL(time.Hour)}},
		{"a cluster's owner, TTL", 2, 0, []peercache.GroupOption{peercache.WithTTL(time.Hour)}},
		{"a copy, lease", 2, 1, nil},
		{"a copy, lease and TTL", 2, 1, []peercache.GroupOption{peercache.WithTTL(time.Hour)}},
	} {
		do, err := hitsOf(entries, s.peers, s.rank, s.opts)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		subjects = append(subjects, subject{s.name, do})
	}
	one, two := m.sideBySide(1, subjects), m.sideBySide(2, subjects)
	t := newTable("", "1 goroutine ns/op", "× the first", "2 goroutines ns/op", "× the first", "allocs/op")
	for i, s := range subjects {
		t.add(s.name, one[i].ns, one[i].ns/one[0].ns, two[i].ns, two[i].ns/two[0].ns, two[i].allocs)
	}
	return t.print(w)
}

// hitsOf makes a cluster, or one group without peers, and has the keys cached for which the
// first peer has a rank: 0, it owns them, or 1, it has copies.
func hitsOf(entries, peers, rank int, opts []peercache.GroupOption) (func(worker, n int) int, error) {
	load := func(context.Context, string) ([]byte, error) { return make([]byte, localValueBytes), nil }
	bytes := localBytes(4 * entries) // for copies, and for what the other peers own
	var group *peercache.Group
	var mine func(key string) bool
	if peers == 1 {
		g, err := peercache.NewGroup("hits", bytes, peercache.GetterFunc(load), opts...)
		if err != nil {
			return nil, err
		}
		group, mine = g, func(string) bool { return true }
	} else {
		opts = append(opts, peercache.WithHotShare(0.5), peercache.WithLease(hitsLease))
		c, err := direct.New(peers, bytes, peercache.GetterFunc(load), opts...)
		if err != nil {
			return nil, err
		}
		group, mine = c.Group(0), func(key string) bool { return c.InTurn(key)[rank] == 0 }
	}
	ctx := context.Background()
	var keys []string
	for i := 0; len(keys) < entries; i++ {
		if key := localKey(i); mine(key) {
			keys = append(keys, key)
			for range 1 + 3*rank { // once is not worth a copy
				if _, err := group.Get(ctx, key); err != nil {
					return nil, err
				}
			}
		}
	}
	stats := group.Stats()
	if kept := []int64{stats.Main.Items, stats.Hot.Items}[rank]; kept != int64(entries) {
		return nil, fmt.Errorf("%d of %d entries are kept", kept, entries)
	}
	return func(worker, n int) (sum int) {
		at := worker * entries / 2
		for range n {
			if at++; at >= entries {
				at = 0
			}
			view, _ := group.Get(ctx, keys[at])
			sum += view.Len()
		}
		return sum
	}, nil
}
