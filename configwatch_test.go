package peercache_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// Lists that stay different, and a group that a peer lacks, are one warning each, which names
// the difference, and stand in PeerStats; when they are mended, that is over.
func TestP11ListsAndGroupsThatDiffer(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		a, b := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil)
		more, err := peercache.NewGroup("another", 1<<20, &o, peercache.WithPeers(a.pool))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			n    *placed
			list []string
		}{{a, []string{at(0), at(1)}}, {b, []string{at(0), at(1), "http://10.9.9.9:8001"}}} {
			if err := c.n.pool.Set(c.list...); err != nil {
				t.Fatal(err)
			}
		}
		var config *peercache.ConfigError
		if err := a.unready(t); !errors.As(err, &config) || config.Problem != peercache.DifferentLists || !strings.Contains(err.Error(), "http://10.9.9.9:8001 is in its list") {
			t.Errorf("Ready returns %v: want DifferentLists, and the difference", err)
		}
		for range 3 { // an old peer must not make an error of it
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if lines := a.log.with("the lists of peers differ", "10.9.9.9", "peer="+at(1)); len(lines) != 1 {
				t.Errorf("%q: want one warning: %s", lines, a.log.text.String())
			}
			if lines := a.log.with("no group of the name", "another", "peer="+at(1)); len(lines) != 1 {
				t.Errorf("%q: want one warning: %s", lines, a.log.text.String())
			}
			if lines := b.log.with("no group of the name"); len(lines) != 0 {
				t.Errorf("%q: want no warning of who lacks nothing", lines)
			}
		}
		if s := a.statsOf(t, b.node); !strings.Contains(s.Problem, "10.9.9.9") {
			t.Errorf("problem %q", s.Problem)
		}
		if err := b.pool.Set(at(0), at(1)); err != nil {
			t.Fatal(err)
		}
		if err := a.unready(t); err != nil {
			t.Errorf("Ready returns %v: want nil, though a group is missing: it is in each deploy that brings one", err)
		}
		if s := a.statsOf(t, b.node); !strings.Contains(s.Problem, "no group of the name") {
			t.Errorf("problem %q: want the group", s.Problem)
		}
		if v, err := more.Get(t.Context(), "key"); err != nil || v.String() != "0" {
			t.Errorf("%v, %v", v, err)
		}
		if _, err := peercache.NewGroup("another", 1<<20, &o, peercache.WithPeers(b.pool)); err != nil {
			t.Fatal(err)
		}
		if err := b.group.Remove(t.Context(), "key"); err != nil { // in whose answers the groups are heard
			t.Error(err)
		}
		if err := a.group.Remove(t.Context(), "key"); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Second)
		if s := a.statsOf(t, b.node); s.Problem != "" {
			t.Errorf("problem %q: want none", s.Problem)
		}
	})
}

// A peer that lacks a group holds up Ready for a time only.
func TestReadyWaitsForGroups(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		a, b := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil)
		if _, err := peercache.NewGroup("another", 1<<20, &o, peercache.WithPeers(a.pool)); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*placed{a, b} {
			if err := n.pool.Set(at(0), at(1)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if err := a.unready(t); err != nil && !strings.Contains(err.Error(), "lack groups") {
			t.Errorf("Ready returns %v: want that a peer lacks a group", err)
		} else if err == nil {
			t.Log("ready within 10 seconds")
		}
		if err := a.unready(t); err != nil {
			t.Errorf("Ready returns %v: want nil after WithHandover's time", err)
		}
	})
}
