package peercache_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// setLists gives the i-th node a list of the hosts in lists[i], or of the hosts of all nodes if
// lists is nil.
func setLists(t *testing.T, nodes []*placed, lists [][]int) {
	t.Helper()
	var all []int
	for i := range nodes {
		all = append(all, i)
	}
	for i, n := range nodes {
		hosts := all
		if lists != nil {
			hosts = lists[i]
		}
		var list []string
		for _, j := range hosts {
			list = append(list, at(j))
		}
		if err := n.pool.Set(list...); err != nil {
			t.Fatal(err)
		}
	}
}

// What a process says of a wrong self names the repair that is right where it is said: at the
// process that has it, and at each of its peers.
func TestP8TextsOfAWrongSelf(t *testing.T) {
	const another = "another process answers there, and has the same self as this one: give this one its own address, by which its peers reach it"
	itself := func(self, found string) string {
		return "this process itself answers there, but its self is " + self + ": if " + found + " is its address, give that to NewHTTPPool, else take one of the two off the list"
	}
	has := func(whose, right string) string {
		return "the process that answers there has the self of " + whose + " (a copied setting?): start it with the self " + right
	}
	misplaced := func(other string) string {
		return `another process answers at the address that this one has as its self, and calls itself "` + other + `": want the address of this process`
	}
	own := func(i int) string { return "this one, " + at(i) }
	others := func(i int) string { return `another peer, "` + at(i) + `"` }
	type text struct {
		peer int    // the host that it is said of
		want string // what it says, after the name of the peer
	}
	for name, c := range map[string]struct {
		selves   []int // of the node on each host
		lists    [][]int
		clusters []string
		ready    [][]text // by node: all that Ready says
		warned   [][]text // by node; nil: what Ready says
	}{
		"copied": {
			selves: []int{0, 0, 2},
			ready: [][]text{
				{{1, has(own(0), at(1))}},
				{{0, another}},
				{{1, has(others(0), at(1))}},
			},
			warned: [][]text{1: {{0, another}, {1, itself(at(0), at(1))}}},
		},
		"two are swapped": {
			selves: []int{1, 0, 2},
			ready: [][]text{
				{{1, misplaced(at(0))}},
				{{0, misplaced(at(1))}},
				{{0, has(others(1), at(0))}, {1, has(others(0), at(1))}},
			},
			warned: [][]text{
				{{0, itself(at(1), at(0))}, {1, misplaced(at(0))}},
				{{1, itself(at(0), at(1))}, {0, misplaced(at(1))}},
			},
		},
		"a self that nobody lists": {
			selves: []int{0, 7}, lists: [][]int{{0, 1}, {7}},
			ready: [][]text{
				{{1, `the process that answers there calls itself "` + at(7) + `", which is not in the list: want that there in place of ` + at(1) + ", or " + at(1) + " as its self"}},
				nil,
			},
		},
		"another cluster": {
			selves: []int{0, 1}, clusters: []string{"blue", "green"},
			ready: [][]text{
				{{1, `it belongs to the cluster "green", and this process to the cluster "blue"`}},
				{{0, `it belongs to the cluster "blue", and this process to the cluster "green"`}},
			},
		},
		"no named cluster": {
			selves: []int{0, 1}, clusters: []string{"blue", ""},
			ready: [][]text{
				{{1, `it belongs to no named cluster, and this process to the cluster "blue"`}},
				{{0, `it belongs to the cluster "blue", and this process to no named cluster`}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var o edition
				var nodes []*placed
				for i, self := range c.selves {
					var opts []peercache.PoolOption
					if c.clusters != nil && c.clusters[i] != "" {
						opts = append(opts, peercache.WithCluster(c.clusters[i]))
					}
					nodes = append(nodes, place(t, net, i, at(self), &o, nil, opts...))
				}
				setLists(t, nodes, c.lists)
				for i, n := range nodes {
					err := n.unready(t)
					var said string
					if err != nil {
						said = err.Error()
					}
					for _, x := range c.ready[i] {
						if !strings.Contains(said, at(x.peer)+": not the peer that was asked for: "+x.want) {
							t.Errorf("node %d: Ready says %q\nwant of %s %q", i, said, at(x.peer), x.want)
						}
					}
					if n := strings.Count(said, "not the peer"); n != len(c.ready[i]) {
						t.Errorf("node %d: Ready says %d things, %q: want %d", i, n, said, len(c.ready[i]))
					}
				}
				synctest.Wait()
				for i, n := range nodes {
					warned := c.ready[i]
					if i < len(c.warned) && c.warned[i] != nil {
						warned = c.warned[i]
					}
					for _, x := range warned {
						want := strings.ReplaceAll(x.want, `"`, `\"`)
						if lines := n.log.with("the configuration is wrong", "peer="+at(x.peer), want); len(lines) != 1 {
							t.Errorf("node %d: %q: want one warning of %s with %q: %s", i, lines, at(x.peer), want, n.log.text.String())
						}
					}
					if lines := n.log.with("not the peer"); len(lines) != len(warned) {
						t.Errorf("node %d: %d warnings, want %d: %q", i, len(lines), len(warned), lines)
					}
				}
			})
		})
	}
}
