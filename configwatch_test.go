package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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

// A peer that lacks a group holds up Ready for WithHandover's time only. The error names both.
func TestReadyWaitsForGroups(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		a, b := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil)
		withGroups(t, a, &o, "users")
		start := time.Now()
		setAll(t, a, b)
		for range 2 { // before the first look as well as after it
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := a.pool.Ready(ctx)
			cancel()
			if want := "peercache: not ready: peers lack groups that this process has: " + at(1) + ` has no group "users" (context deadline exceeded)`; err == nil || err.Error() != want {
				t.Errorf("Ready returns %v: want %s", err, want)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Ready returns %v: want one that wraps the error of its context", err)
			}
		}
		if err := a.pool.Ready(inside(t)); err != nil {
			t.Errorf("Ready returns %v: want nil after WithHandover's time", err)
		}
		if took := time.Since(start); took < peercache.DefaultHandoverTime || took > peercache.DefaultHandoverTime+100*time.Millisecond {
			t.Errorf("ready after %v: want WithHandover's time", took)
		}
		if err := b.pool.Ready(inside(t)); err != nil {
			t.Errorf("Ready of the peer that lacks the group returns %v", err)
		}
	})
}

// A peer that cannot be asked which groups it has is asked when it is back.
func TestP11AGroupMissingAtAPeerThatWasAway(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var o edition
		a, b := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil)
		withGroups(t, a, &o, "users")
		setAll(t, a, b)
		time.Sleep(500 * time.Millisecond) // it has said that it has others
		net.Cut(host(0), host(1))
		time.Sleep(10 * time.Second)
		net.HealAll()
		time.Sleep(10 * time.Second)
		if err := a.group.Remove(inside(t), "key"); err != nil { // in whose answers the groups are heard
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if lines := a.log.with("no group of the name", "users", "peer="+at(1)); len(lines) != 1 {
			t.Errorf("%q: want one warning: %s", lines, a.log.text.String())
		}
	})
}

// Ready does not wait where the groups of the peers show at once that none lacks any, nor for
// those who cannot say.
func TestReadyIsNotSlowedDownByGroups(t *testing.T) {
	for name, c := range map[string]struct {
		here, there []string // the groups of both, besides the one of all
		then        func(t *testing.T, net *simnet.Network, b *placed)
		within      time.Duration
	}{
		"the same groups":   {here: []string{"users"}, there: []string{"users"}, within: 100 * time.Millisecond},
		"the peer has more": {there: []string{"users"}, within: 100 * time.Millisecond},
		"the peer cannot be reached": {
			here: []string{"users"}, within: 3 * time.Second,
			then: func(t *testing.T, net *simnet.Network, _ *placed) { net.Cut(host(0), host(1)) },
		},
		"the peer that lacks it is lost": {
			here: []string{"users"}, within: 6 * time.Second,
			then: func(t *testing.T, net *simnet.Network, _ *placed) {
				time.AfterFunc(500*time.Millisecond, func() { net.Cut(host(0), host(1)) })
			},
		},
		"the peer gets the group": {
			here: []string{"users"}, within: 3 * time.Second,
			then: func(t *testing.T, _ *simnet.Network, b *placed) {
				time.AfterFunc(500*time.Millisecond, func() { withGroups(t, b, new(edition), "users") })
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o edition
				a, b := place(t, net, 0, at(0), &o, nil), place(t, net, 1, at(1), &o, nil)
				withGroups(t, a, &o, c.here...)
				withGroups(t, b, &o, c.there...)
				if c.then != nil {
					c.then(t, net, b)
				}
				setAll(t, a, b)
				start := time.Now()
				if err := a.pool.Ready(inside(t)); err != nil {
					t.Errorf("Ready returns %v", err)
				}
				if took := time.Since(start); took > c.within {
					t.Errorf("ready after %v: want %v at most", took, c.within)
				}
			})
		})
	}
}

// withGroups gives a node more groups.
func withGroups(t *testing.T, n *placed, getter peercache.Getter, names ...string) (groups []*peercache.Group) {
	t.Helper()
	for _, name := range names {
		g, err := peercache.NewGroup(name, 1<<20, getter, peercache.WithPeers(n.pool))
		if err != nil {
			t.Error(err)
			continue
		}
		groups = append(groups, g)
	}
	return groups
}

// setAll gives each node a list of all of them.
func setAll(t *testing.T, nodes ...*placed) {
	t.Helper()
	var list []string
	for _, n := range nodes {
		list = append(list, n.url)
	}
	for _, n := range nodes {
		if err := n.pool.Set(list...); err != nil {
			t.Fatal(err)
		}
	}
}

// A process that lacks a group which its peers ask for warns of it: once in ten minutes,
// however many peers, groups and keys there are.
func TestP11AGroupThatPeersAskFor(t *testing.T) {
	for way, opts := range bothWays {
		for asked, get := range map[string]func(g *peercache.Group, keys []string){
			"one by one": func(g *peercache.Group, keys []string) {
				for _, key := range keys {
					g.Get(context.Background(), key)
				}
			},
			"at once": func(g *peercache.Group, keys []string) { g.GetMulti(context.Background(), keys) },
		} {
			t.Run(way+"/"+asked, func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					var o edition
					a, b := place(t, net, 0, at(0), &o, nil, opts...), place(t, net, 1, at(1), &o, nil, opts...)
					setAll(t, a, b)
					keys := make([]string, 20)
					for i := range keys {
						keys[i] = fmt.Sprint("key", i)
					}
					ask := func(names ...string) {
						for _, g := range withGroups(t, a, &o, names...) {
							get(g, keys)
						}
						synctest.Wait()
					}
					ask("users", "orders")
					if lines := b.log.with("a group that this process does not have", at(0), `users`, "want the same groups"); len(lines) != 1 || len(b.log.with()) != 1 {
						t.Errorf("want one warning that names the peer and the group: %s", b.log.with())
					}
					time.Sleep(10 * time.Minute)
					ask("carts", "visits")
					if lines := b.log.with("a group that this process does not have"); len(lines) != 2 {
						t.Errorf("want one more warning after ten minutes: %s", b.log.with())
					}
					if lines := a.log.with("a group that this process does not have"); len(lines) != 0 {
						t.Errorf("%q: want no warning of who has the groups", lines)
					}
				})
			})
		}
	}
}

// One that is no peer has nothing logged, and one that takes a peer's name one line.
func TestP10AskingForGroupsThatAreMissing(t *testing.T) {
	for name, c := range map[string]struct {
		from string
		want int
	}{
		"a stranger":         {"http://10.0.0.99:8001", 0},
		"one without a name": {"", 0},
		"the own name":       {at(0), 0},
		"a peer's name":      {at(1), 1},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				n := place(t, net, 0, at(0), new(edition), nil)
				if err := n.pool.Set(at(0), at(1)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				before := len(n.log.with())
				for i := range 100 {
					r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("%s/_peercache/group%d%s/key", at(0), i, strings.Repeat("x", 1000)), nil)
					r.Header.Set("Peercache-Peer", c.from)
					w := httptest.NewRecorder()
					n.pool.ServeHTTP(w, r)
					if w.Code != http.StatusNotFound {
						t.Fatalf("status %d: %s", w.Code, w.Body)
					}
				}
				synctest.Wait()
				if lines := n.log.with()[before:]; len(lines) != c.want || len(strings.Join(lines, "")) > 1000 {
					t.Errorf("%d lines, want %d: %q", len(lines), c.want, lines)
				}
			})
		})
	}
}
