package peercache_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// All nodes are restarted, and have their values back: whether they end at once or one
// after the other, and in whatever order they start.
func TestRestartOfAll(t *testing.T) {
	for name, stop := range map[string]func(*testing.T, *lasting){
		"at once": func(t *testing.T, f *lasting) { f.stop(t, 0, 1, 2) },
		"one after the other": func(t *testing.T, f *lasting) {
			for i := range f.nodes {
				f.stop(t, i)
				time.Sleep(3 * time.Second)
			}
		},
	} {
		for after, apart := range []time.Duration{0, 2 * time.Second} {
			t.Run(fmt.Sprint(name, after), func(t *testing.T) {
				simulate(t, func(t *testing.T, net *simnet.Network) {
					f := newLasting(t, net, 3)
					var keys []string
					for i := range f.nodes {
						keys = append(keys, f.keysOf(t, i, 100)...)
					}
					stop(t, f)
					time.Sleep(time.Minute)
					for i := range f.nodes {
						f.restart(t, i)
						time.Sleep(apart)
					}
					for i := range f.nodes {
						f.ready(t, i)
						f.restored(t, i, 100)
					}
					loads := f.origin.total()
					for k, key := range keys {
						f.nodes[k%3].brings(t, key, "old")
					}
					if more := f.origin.total() - loads; more != 0 {
						t.Errorf("%d loads after the restart", more)
					}
				})
			})
		}
	}
}

// When all are down, the first that is back may change what others have in their files:
// whether or not it is still the same process when they come.
func TestP8RestartOfAllUndoesNoChange(t *testing.T) {
	for name, next := range map[string]func(*testing.T, *lasting){
		"it is there":      func(*testing.T, *lasting) {},
		"it has restarted": func(t *testing.T, f *lasting) { f.stop(t, 0); f.lead(t, 0) },
		"it has crashed":   func(t *testing.T, f *lasting) { f.crash(t, 0); f.lead(t, 0) },
		"it is gone":       func(t *testing.T, f *lasting) { f.stop(t, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				f := newLasting(t, net, 3)
				all := f.nodes
				keys := f.keysOf(t, 1, 100)
				f.stop(t, 0, 1, 2)
				f.lead(t, 0)
				f.changes(t, 0, keys[:50]...)
				next(t, f)
				for i := 1; i < 3; i++ {
					f.nodes[i] = startSimNode(t, net, i, f.config)
				}
				view := all
				if name == "it is gone" {
					view = all[1:]
				}
				introduce(t, f.nodes[1:], view...)
				if len(view) == 3 {
					introduce(t, f.nodes[:1], view...)
				}
				f.ready(t, 1)
				for _, key := range keys[:50] {
					f.nodes[1].brings(t, key, "new")
				}
				if name == "it is there" || name == "it has restarted" {
					f.restored(t, 1, 50)
				} else {
					f.restored(t, 1, 0)
				}
			})
		})
	}
}

// When all are down, one is back with newcomers and changes what is theirs to keep. They
// crash, and are back when the others are. The one who made the changes knows of them.
func TestP8RestartOfAllWithNewcomers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 3)
		keys := f.keysOf(t, 1, 500)
		f.keysOf(t, 2, 500)
		f.stop(t, 0, 1, 2)
		f.nodes[0] = startSimNode(t, net, 0, f.config)
		for i := 3; i < 6; i++ {
			f.nodes = append(f.nodes, startSimNode(t, net, i, f.config))
		}
		there := []*node{f.nodes[0], f.nodes[3], f.nodes[4], f.nodes[5]}
		introduce(t, there, there...)
		time.Sleep(2 * settling)
		f.changes(t, 0, keys...)
		introduce(t, there, f.nodes...)
		for i := 3; i < 6; i++ {
			f.crash(t, i)
			f.restart(t, i)
		}
		f.restart(t, 1)
		f.restart(t, 2)
		f.ready(t, 1)
		for _, key := range keys {
			f.nodes[1].brings(t, key, "new")
		}
		f.ready(t, 2)
		if f.nodes[2].group.Stats().Restored == 0 {
			t.Error("nothing that was not changed was restored")
		}
	})
}

// A newcomer has changed keys while all were down, and one of these cannot reach it.
func TestP8RestartOfAllBesideOneThatIsCutOff(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 2)
		keys := f.keysOf(t, 1, 100)
		f.stop(t, 0, 1)
		f.nodes = append(f.nodes, nil)
		f.lead(t, 2)
		f.changes(t, 2, keys...)
		net.Cut(host(1), host(2))
		f.restart(t, 0)
		f.restart(t, 1)
		f.ready(t, 1)
		for _, key := range keys {
			f.nodes[1].brings(t, key, "new")
		}
		net.HealAll()
	})
}

// lead starts a node that knows of no other.
func (f *lasting) lead(t *testing.T, i int) {
	t.Helper()
	f.nodes[i] = startSimNode(t, f.net, i, f.config)
	introduce(t, f.nodes[i:i+1], f.nodes[i])
	f.ready(t, i)
}

// A node that has left still makes changes, when all others are gone: then its own file is,
// and it cannot vouch for theirs.
func TestP8ChangeByTheLastThatLeaves(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 2)
		keys := f.keysOf(t, 1, 100)
		f.stop(t, 1)
		if err := f.nodes[0].pool.Shutdown(inside(t)); err != nil {
			t.Error(err)
		}
		f.changes(t, 0, keys...)
		f.nodes[0].end()
		for i := range f.nodes {
			f.restart(t, i)
		}
		f.ready(t, 1)
		for _, key := range keys {
			f.nodes[1].brings(t, key, "new")
		}
	})
}

// A node that the others have dropped from their lists has not heard of that. They leave, and
// it makes changes: its list still has them. They are back, and do not know that there is
// somebody to ask.
func TestP8ChangeByOneThatIsNotListed(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 3)
		keys := f.keysOf(t, 1, 100)
		introduce(t, f.nodes[1:], f.nodes[1:]...)
		time.Sleep(time.Second)
		f.nodes[1].brings(t, keys[0], "old")
		f.stop(t, 2)
		f.stop(t, 1)
		f.value.Store("new")
		err := f.nodes[0].group.Remove(inside(t), keys...)
		if failure, ok := errors.AsType[*peercache.InvalidationError](err); !ok || len(failure.Pending) == 0 {
			t.Errorf("the change of a node that the others do not list: got %v, want an error that names them", err)
		}
	})
}

// All are down that one node knew when it left. A node that it did not know, because it came
// later, has made changes meanwhile, and left as well.
func TestP8ChangeByOneThatCameLater(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 3)
		keys := f.keysOf(t, 2, 100)
		f.stop(t, 2)
		f.nodes = append(f.nodes, startSimNode(t, net, 3, f.config))
		there := []*node{f.nodes[0], f.nodes[1], f.nodes[3]}
		introduce(t, there, f.nodes...)
		time.Sleep(2 * settling)
		f.stop(t, 0, 1)
		f.changes(t, 3, keys...)
		f.stop(t, 3)
		for i := range f.nodes {
			f.restart(t, i)
		}
		f.ready(t, 2)
		for _, key := range keys {
			f.nodes[2].brings(t, key, "new")
		}
	})
}
