package peercache_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// A copy in use is renewed in the background, and its value, which has not changed, does
// not travel again.
func TestP7RenewalCarriesNoValue(t *testing.T) {
	for _, stream := range []bool{true, false} {
		t.Run(fmt.Sprint("stream=", stream), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				c := simConfig{getter: &editions{size: 100 << 10}}
				if !stream {
					c.pool = func(int) []peercache.PoolOption { return []peercache.PoolOption{peercache.WithoutStream()} }
				}
				nodes := newSimCluster(t, net, 2, c)
				key := keyOwnedBy(t, nodes, 0, 1)
				value := nodes[0].get(t, key)
				nodes[0].get(t, key) // once is not worth a copy
				first := net.LinkStats(host(1), host(0)).Bytes
				if first < 100<<10 {
					t.Fatalf("%d bytes came with a value of 100 KiB", first)
				}
				for range 300 { // 30s, or 6 leases
					time.Sleep(100 * time.Millisecond)
					nodes[0].wants(t, key, value)
				}
				s := nodes[0].group.Stats()
				if s.Renewals < 6 || s.Renewals > 30 {
					t.Errorf("%d renewals: want one or a few for each lease", s.Renewals)
				}
				bytes := net.LinkStats(host(1), host(0)).Bytes - first
				if each := bytes / max(s.Renewals, 1); each >= 1<<10 {
					t.Errorf("%d bytes came with each renewal: want less than 1 KiB", each)
				}
			})
		})
	}
}

// A renewal that finds another value brings it. Who asks meanwhile does not wait.
func TestP7RenewalBringsANewValue(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		o := &editions{size: 10 << 10}
		nodes := newSimCluster(t, net, 2, simConfig{getter: o, bytes: 1 << 20, group: []peercache.GroupOption{peercache.WithCache(peercache.NewLRU)}})
		keys := keysOwnedBy(t, nodes, 0, 1, 200)
		old := nodes[0].get(t, keys[0])
		nodes[0].get(t, keys[0])                     // once is not worth a copy
		nodes[1].group.GetMulti(inside(t), keys[1:]) // there is no room for the first one any more
		o.takes = time.Second
		time.Sleep(3 * time.Second)
		nodes[0].wants(t, keys[0], old) // more than half of its lease is over
		time.Sleep(o.takes + 10*time.Millisecond)
		start := time.Now()
		if got := nodes[0].get(t, keys[0]); got[:2] != "2 " || time.Since(start) != 0 {
			t.Errorf("got %.2q after %v, want the new value that the renewal brought", got, time.Since(start))
		}
	})
}

// Remove waits for a lease as long as the group's WithLease says, and for a stand-in as
// long as WithStandIn does.
func TestP8WhatRemoveWaitsFor(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 15 * time.Second} {
		t.Run(fmt.Sprint("lease=", lease), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes, key, candidates, holder := cutOff(t, net, peercache.WithLease(lease))
				start := time.Now()
				if err := nodes[candidates[0]].group.Remove(inside(t), key); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < lease*9/10 || took > lease+time.Second {
					t.Errorf("Remove took %v: want the time of a lease, %v", took, lease)
				}
				nodes[holder].brings(t, key, "2")
			})
		})
	}
	for _, standIn := range []time.Duration{10 * time.Second, 25 * time.Second} {
		t.Run(fmt.Sprint("stand-in=", standIn), func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				nodes := newSimCluster(t, net, 5, simConfig{getter: &editions{}, group: []peercache.GroupOption{peercache.WithStandIn(standIn)}})
				key := keyOwnedBy(t, nodes, 0, 1)
				candidates, others := roles(t, nodes, key)
				net.Isolate(host(candidates[2]))
				t.Cleanup(net.HealAll)
				start := time.Now()
				if err := nodes[others[0]].group.Remove(inside(t), key); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < standIn*9/10 || took > standIn+time.Second {
					t.Errorf("Remove took %v: want the time of a stand-in, %v", took, standIn)
				}
			})
		})
	}
}

// Where an owner has given more leases than it has memory for, holders are told all the
// same.
func TestP8MoreLeasesThanTheOwnerHasRoomFor(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		const size, keys = 1 << 20, 1000 // an owner of 1 MiB has room for 682 leases
		nodes := newSimCluster(t, net, 6, simConfig{getter: &editions{}, bytes: size})
		var copied []string
		for _, key := range keysOwnedBy(t, nodes, 0, 1, 4*keys) {
			if _, others := roles(t, nodes, key); slices.Contains(others, 0) && len(copied) < keys {
				copied = append(copied, key)
			}
		}
		if len(copied) < keys {
			t.Fatalf("%d keys", len(copied))
		}
		all := func(want string) {
			for i, r := range nodes[0].group.GetMulti(inside(t), copied) {
				if r.Err != nil || r.View.String() != want {
					t.Errorf("%s: %q, error %v, want %q", copied[i], r.View, r.Err, want)
				}
			}
		}
		all("1")
		for range 4 { // once is not worth a copy
			all("1")
		}
		if copies := nodes[0].group.Stats().Hot.Items; copies != keys {
			t.Fatalf("there are %d copies", copies)
		}
		if err := nodes[1].group.Remove(inside(t), copied...); err != nil {
			t.Fatal(err)
		}
		all("2")
	})
}
