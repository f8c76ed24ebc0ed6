package peercache_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// Gets of the keys of a peer that is gone do not fill the log.
func TestLogOfAPeerThatIsGone(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var log strings.Builder // one goroutine logs at a time
		nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, group: []peercache.GroupOption{
			peercache.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))),
		}})
		net.Crash(host(1))
		for _, key := range keysOwnedBy(t, nodes, 0, 1, 500) {
			nodes[0].get(t, key)
			time.Sleep(4 * time.Millisecond)
		}
		if warned := strings.Count(log.String(), "level=WARN"); warned < 2 || warned > 4 {
			t.Errorf("%d warnings in 2 seconds, want one a second", warned)
		}
		if !strings.Contains(log.String(), fmt.Sprint("peer=", nodes[1].url)) {
			t.Errorf("the log does not name the peer:\n%s", log.String())
		}
	})
}

// The warning of a peer that gave no answer says what becomes of the key: it goes to the next
// peer, unless the first one may still load it.
func TestLogOfWhatBecomesOfAKey(t *testing.T) {
	const next, none = "a peer did not answer for a key; it goes to the next one", "a peer did not answer for a key in time; no other one is asked"
	for name, c := range map[string]struct {
		slow        bool // else it is gone
		want, wrong string
	}{
		"gone": {want: next, wrong: none},
		"slow": {slow: true, want: none, wrong: next},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var log warnings
				o, release := &origin{}, make(chan struct{})
				if c.slow {
					o.load = func(context.Context, string) ([]byte, error) {
						<-release
						return nil, nil
					}
				}
				nodes := newSimCluster(t, net, 2, simConfig{getter: o, own: func(i int) []peercache.GroupOption {
					if i == 1 { // it has more time than who asks
						return []peercache.GroupOption{peercache.WithLoadTimeout(time.Hour)}
					}
					return []peercache.GroupOption{peercache.WithLogger(log.logger())}
				}})
				key := keyOwnedBy(t, nodes, 0, 1)
				if !c.slow {
					net.Crash(host(1))
				}
				nodes[0].group.Get(t.Context(), key)
				close(release)
				if lines := log.with(c.want, "group=test", "key="+key, "peer="+nodes[1].url, "err="); len(lines) != 1 {
					t.Errorf("%q: want one warning with %q: %s", lines, c.want, log.text.String())
				}
				if lines := log.with(c.wrong); len(lines) != 0 {
					t.Errorf("%q: want no %q", lines, c.wrong)
				}
			})
		})
	}
}

// The name of a group that a peer lacks is quoted once, by whichever way it is asked.
func TestNameOfAMissingGroupIsQuotedOnce(t *testing.T) {
	for way, opts := range bothWays {
		t.Run(way, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var log warnings
				nodes := newSimCluster(t, net, 2, simConfig{getter: &origin{}, pool: func(int) []peercache.PoolOption { return opts }})
				key := keyOwnedBy(t, nodes, 0, 1)
				g, err := peercache.NewGroup("users", 1<<20, &origin{}, peercache.WithPeers(nodes[0].pool), peercache.WithLogger(log.logger()))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := g.Get(t.Context(), key); err != nil {
					t.Error(err)
				}
				_, err = nodes[0].pool.Pick(key, 0).Get(t.Context(), peercache.Query{Group: "users", Key: key})
				if err == nil || !strings.HasSuffix(err.Error(), `no such group: "users"`) {
					t.Errorf("the peer is asked: %v: want an error that has the name once in quotes", err)
				}
				if lines := log.with("no such group", `\"users\"`); len(lines) != 1 || strings.Contains(lines[0], `\\`) {
					t.Errorf("%q: want one warning that has the name once in quotes: %s", lines, log.text.String())
				}
			})
		})
	}
}
