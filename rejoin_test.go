package peercache_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/internal/simnet"
)

// lasting is a cluster whose nodes have snapshots, and hand nothing over: what a node has
// after a restart, it has from its file. All keys have the same value in the origin.
type lasting struct {
	*crew
	dir   string
	value atomic.Value
}

func newLasting(t *testing.T, net *simnet.Network, size int, opts ...peercache.GroupOption) *lasting {
	t.Helper()
	f := &lasting{dir: t.TempDir()}
	f.value.Store("old")
	f.crew = newCrew(t, net, size, simConfig{
		group: opts,
		pool: func(int) []peercache.PoolOption {
			return []peercache.PoolOption{peercache.WithHandover(0, 10*time.Second), peercache.WithLargeValue(1 << 10)}
		},
		own: func(i int) []peercache.GroupOption {
			return []peercache.GroupOption{peercache.WithSnapshot(f.path(i), time.Hour), peercache.WithHotShare(0)}
		},
	})
	f.origin.load = func(context.Context, string) ([]byte, error) { return []byte(f.value.Load().(string)), nil }
	return f
}

func (f *lasting) path(i int) string { return filepath.Join(f.dir, host(i)) }

// keysOf returns n keys of the i-th node that all have been loaded.
func (f *lasting) keysOf(t *testing.T, i, n int) []string {
	t.Helper()
	keys := keysOwnedBy(t, f.nodes, 0, i, n)
	for _, key := range keys {
		f.nodes[i].brings(t, key, f.value.Load().(string))
	}
	return keys
}

// stop ends nodes at the same time.
func (f *lasting) stop(t *testing.T, nodes ...int) {
	t.Helper()
	var all sync.WaitGroup
	for _, i := range nodes {
		all.Go(func() { f.nodes[i].stop(t) })
	}
	all.Wait()
}

// crash ends a node that has no time to say so, nor to save anything.
func (f *lasting) crash(t *testing.T, i int) {
	t.Helper()
	f.net.Crash(host(i))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f.nodes[i].pool.Shutdown(ctx) // nobody hears of it
	f.nodes[i].end()
	if err := os.Remove(f.path(i)); err != nil {
		t.Error(err)
	}
}

// ready waits until a node is.
func (f *lasting) ready(t *testing.T, i int) {
	t.Helper()
	if err := f.nodes[i].pool.Ready(inside(t)); err != nil {
		t.Error(err)
	}
}

// back starts a node again, and waits until it is ready.
func (f *lasting) back(t *testing.T, i int) {
	t.Helper()
	f.restart(t, i)
	f.ready(t, i)
}

// changes removes a key, of which there is a new value.
func (f *lasting) changes(t *testing.T, i int, keys ...string) {
	t.Helper()
	f.value.Store("new")
	if err := f.nodes[i].group.Remove(t.Context(), keys...); err != nil {
		t.Error(err)
	}
}

// restored checks how many values a node got from its file.
func (f *lasting) restored(t *testing.T, i, want int) {
	t.Helper()
	if got := f.nodes[i].group.Stats().Restored; got != int64(want) {
		t.Errorf("node %d restored %d values, want %d", i, got, want)
	}
}

// A node that restarts has its values back, and the origin is not asked.
func TestRestartAmongPeers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 3)
		keys := f.keysOf(t, 1, 500)
		f.stop(t, 1)
		time.Sleep(time.Minute)
		f.back(t, 1)
		for _, s := range f.nodes[1].pool.Stats() {
			if s.Reconnects != 0 || s.BreakerOpened != 0 {
				t.Errorf("the connection to %s broke", s.Peer) // by an answer that is too long for it
			}
		}
		f.restored(t, 1, len(keys))
		loads := f.origin.total()
		for _, n := range f.nodes {
			for _, key := range keys {
				n.brings(t, key, "old")
			}
		}
		if more := f.origin.total() - loads; more != 0 {
			t.Errorf("%d loads after the restart", more)
		}
		if _, err := os.Stat(f.path(1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is there: %v", err)
		}
	})
}

// What was changed while a node was away does not come back with it, whoever changed it.
func TestP8RestartAmongPeersUndoesNoChange(t *testing.T) {
	for name, change := range map[string]func(*testing.T, *peercache.Group, string) error{
		"Remove": func(t *testing.T, g *peercache.Group, key string) error { return g.Remove(t.Context(), key) },
		"Set": func(t *testing.T, g *peercache.Group, key string) error {
			return g.Set(t.Context(), key, peercache.Item{Value: []byte("new")})
		},
		"Clear": func(t *testing.T, g *peercache.Group, _ string) error { return g.Clear(t.Context()) },
	} {
		for when, after := range map[string]time.Duration{"at once": 0, "when all is settled": 2 * settling} {
			t.Run(name+"/"+when, func(t *testing.T) {
				undone := func(bug failpoint.Bug) (undone bool) {
					defer failpoint.Plant(bug)()
					simulate(t, func(t *testing.T, net *simnet.Network) {
						f := newLasting(t, net, 5)
						keys := f.keysOf(t, 1, 50)
						f.stop(t, 1)
						time.Sleep(after)
						f.value.Store("new")
						if err := change(t, f.nodes[2].group, keys[7]); err != nil {
							t.Error(err)
						}
						f.back(t, 1)
						if name != "Clear" && bug == failpoint.None {
							f.restored(t, 1, len(keys)-1)
						}
						undone = f.nodes[1].get(t, keys[7]) != "new"
					})
					return undone
				}
				if undone(failpoint.None) {
					t.Error("the old value is back")
				}
				if !undone(failpoint.LogsIgnored) {
					t.Error("a restart that asks nobody what was changed was not found")
				}
			})
		}
	}
}

// A change at the moment when a node restores its file wins.
func TestP8ChangeDuringARestart(t *testing.T) {
	if n := changeDuringARestart(t); n != 0 {
		t.Errorf("%d old values after a Remove", n)
	}
	// And the test would see it.
	defer failpoint.Plant(failpoint.OfferWins)()
	if changeDuringARestart(t) == 0 {
		t.Error("a restart that knows of no Remove meanwhile was not found")
	}
}

// changeDuringARestart returns how many old values are read after a Remove.
func changeDuringARestart(t *testing.T) (stale int) {
	opts := []peercache.GroupOption{peercache.WithCache(func(most int64, onLeave func(string, peercache.Entry, peercache.Reason)) (peercache.Cache, error) {
		c, err := peercache.NewStore(most, onLeave)
		return lateCache{c, func() { time.Sleep(300 * time.Millisecond) }}, err // longer than a Remove takes
	})}
	for after := range 20 {
		simulate(t, func(t *testing.T, net *simnet.Network) {
			f := newLasting(t, net, 3, opts...)
			keys := f.keysOf(t, 1, 10)
			f.stop(t, 1)
			// The changes come to the one that vouches, and to the one that restarts, at
			// different times.
			net.SetLinkBetween(host(1), host(0), apart(20*time.Millisecond))
			net.SetLinkBetween(host(2), host(0), apart(30*time.Millisecond))
			f.restart(t, 1)
			time.Sleep(time.Duration(after) * 50 * time.Millisecond)
			f.changes(t, 2, keys...)
			f.ready(t, 1)
			for _, key := range keys {
				if f.nodes[1].get(t, key) == "old" {
					stale++
				}
			}
		})
	}
	return stale
}

// Who was not there all the time vouches for nothing.
func TestP8RestartWhileAPeerRestarts(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 2)
		key := f.keysOf(t, 1, 1)[0]
		f.stop(t, 1)
		f.changes(t, 0, key)
		f.crash(t, 0)
		f.restart(t, 0)
		f.back(t, 1)
		f.nodes[1].brings(t, key, "new")
		f.restored(t, 1, 0)
	})
}

// All who would know of a change restart while a node is away. Those who have been there all
// the time were not told of it, and do not vouch for its key.
func TestP8RestartWhileAllCandidatesRestart(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 6)
		keys := f.keysOf(t, 1, 300)
		f.stop(t, 1)
		time.Sleep(2 * settling)
		changed := keys[:0]
		for _, key := range keys { // those that node 5 and node 0 know nothing of
			if a, b, c := f.nodes[5].successors(key); a != "" && b != "" && c != "" && a != f.nodes[0].url && b != f.nodes[0].url && c != f.nodes[0].url {
				changed = append(changed, key)
			}
		}
		f.changes(t, 2, changed...)
		for i := 2; i < 5; i++ {
			f.crash(t, i)
			f.restart(t, i)
		}
		time.Sleep(settling)
		f.back(t, 1)
		if len(changed) == 0 || f.nodes[1].group.Stats().Restored == 0 {
			t.Errorf("%d keys were changed, %d restored: want some of each", len(changed), f.nodes[1].group.Stats().Restored)
		}
		for _, key := range changed {
			f.nodes[1].brings(t, key, "new")
		}
	})
}

// successors returns the first three peers of a key, empty for the node itself.
func (n *node) successors(key string) (a, b, c string) {
	var names [3]string
	for i := range names {
		if p := n.pool.Pick(key, i); p != nil {
			names[i] = p.Name()
		}
	}
	return names[0], names[1], names[2]
}

// Peers come and go while a node is away: so many that, of a change of its keys, only
// those heard who are not there any more.
func TestP8RestartAfterOthersCameAndWent(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 6)
		for i := 3; i < 6; i++ {
			f.stop(t, i)
		}
		time.Sleep(2 * settling)
		keys := f.keysOf(t, 1, 1000)
		f.stop(t, 1)
		time.Sleep(settling)
		for i := 3; i < 6; i++ {
			f.back(t, i)
		}
		time.Sleep(2 * settling)
		f.changes(t, 4, keys...)
		for i := 3; i < 6; i++ {
			f.stop(t, i)
		}
		time.Sleep(settling)
		f.back(t, 1)
		for _, key := range keys {
			f.nodes[1].brings(t, key, "new")
		}
		f.restored(t, 1, 0)
	})
}

// A node that had no time to leave has no file.
func TestRestartAfterACrash(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 3)
		f.keysOf(t, 1, 10)
		f.stop(t, 1)
		f.back(t, 1)
		f.restored(t, 1, 10)
		f.net.Crash(host(1))
		if _, err := os.Stat(f.path(1)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is there, while the process runs: %v", err)
		}
		f.crash(t, 1)
		f.back(t, 1)
		f.restored(t, 1, 0)
	})
}

// Ready waits for those who know what was changed, though not without end.
func TestReadyWaitsForTheSnapshot(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 2)
		f.keysOf(t, 0, 10)
		f.stop(t, 0, 1)
		f.restart(t, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.nodes[0].pool.Ready(ctx); err == nil || !strings.Contains(err.Error(), "snapshot") {
			t.Errorf("Ready: %v, want one that says that the snapshot is not restored", err)
		}
		start := time.Now()
		f.ready(t, 0)
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("Ready took %v", took)
		}
		f.restored(t, 0, 0)
	})
}

// A group with peers has nothing to save before it leaves.
func TestSaveSnapshotAmongPeers(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		f := newLasting(t, net, 2)
		if err := f.nodes[0].group.SaveSnapshot(); err == nil || !strings.Contains(err.Error(), "Shutdown") {
			t.Errorf("SaveSnapshot: %v, want an error that says what to call", err)
		}
		if err := os.RemoveAll(f.dir); err != nil {
			t.Fatal(err)
		}
		if err := f.nodes[0].pool.Shutdown(inside(t)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Shutdown: %v, want that it has not saved", err)
		}
		if err := os.Mkdir(f.dir, 0o700); err != nil {
			t.Fatal(err)
		}
	})
}
