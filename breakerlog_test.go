package peercache_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// poolLog is what the pools of a cluster say at level info and above.
type poolLog struct {
	mu    sync.Mutex
	lines bytes.Buffer // guarded by mu
}

func (l *poolLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(b)
}

func (l *poolLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

// options are for a simConfig.
func (l *poolLog) options(int) []peercache.PoolOption {
	return []peercache.PoolOption{peercache.WithPoolLogger(slog.New(slog.NewTextHandler(l, nil)))}
}

// Processes that start together, or are stopped in order, are no failure of peers: the log
// has nothing of them.
func TestStartAndStopInOrderAreNotLogged(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var log poolLog
		var nodes []*node
		c := simConfig{getter: &editions{}, pool: log.options}
		urls := []string{"http://" + host(0) + ":8001", "http://" + host(1) + ":8001", "http://" + host(2) + ":8001"}
		for i := range 3 {
			net.Host(host(i)) // it runs, and nothing listens yet
		}
		for i := range 3 { // the first ones know the others before these listen
			n := startSimNode(t, net, i, c)
			if err := n.pool.Set(urls...); err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, n)
			time.Sleep(2 * time.Second)
		}
		for _, n := range nodes {
			n.brings(t, keyOwnedBy(t, nodes, 0, 1), "1")
		}
		for _, n := range nodes {
			n.stop(t)
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "breaker") || strings.Contains(line, "WARN") {
				t.Error(line)
			}
		}
	})
}

// A peer that does not come at all is worth one warning, ten seconds later, and its coming
// one line.
func TestPeerThatDoesNotComeIsLoggedOnce(t *testing.T) {
	simulate(t, func(t *testing.T, net *simnet.Network) {
		var log poolLog
		c := simConfig{getter: &editions{}, pool: log.options}
		n := startSimNode(t, net, 0, c)
		net.Host(host(1))
		if err := n.pool.Set(n.url, "http://"+host(1)+":8001"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * time.Second)
		if text := withoutEvents(log.String()); text != "" {
			t.Errorf("after nine seconds: %s", text)
		}
		time.Sleep(20 * time.Second)
		if text := withoutEvents(log.String()); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "has opened") || !strings.Contains(text, host(1)) {
			t.Errorf("after half a minute: %q, want one warning", text)
		}
		late := startSimNode(t, net, 1, c)
		introduce(t, []*node{late}, n, late)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if text := withoutEvents(log.String()); strings.Count(text, "\n") != 2 || !strings.Contains(text, "has closed") {
			t.Errorf("when it has come: %q, want one line more", text)
		}
	})
}

// Success and failure of a handover have different words, and nothing is said of nothing.
func TestHandoverIsLogged(t *testing.T) {
	const all, some = "values were handed over to their new owners", "not all values could be handed over to their new owners"
	for name, c := range map[string]struct {
		before func(*simnet.Network, []*node)
		pool   []peercache.PoolOption
		want   string // empty: nothing
	}{
		"all":      {want: all},
		"some":     {before: func(net *simnet.Network, _ []*node) { net.Isolate(host(1)) }, want: some},
		"no bytes": {pool: []peercache.PoolOption{peercache.WithHandover(0, time.Second)}},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T, net *simnet.Network) {
				var log poolLog
				crew := newCrew(t, net, 3, simConfig{pool: func(i int) []peercache.PoolOption {
					if i > 0 {
						return c.pool
					}
					return append(log.options(i), c.pool...)
				}})
				crew.warm(t, 300)
				if c.before != nil {
					c.before(net, crew.nodes)
					defer net.HealAll()
				}
				crew.nodes[0].stop(t)
				synctest.Wait()
				said := ""
				for line := range strings.Lines(log.String()) {
					if strings.Contains(line, "handed over") {
						said += line
					}
				}
				if c.want == "" && said != "" || !strings.Contains(said, c.want) || strings.Count(said, "\n") > 1 || strings.Contains(said, "offered=0") {
					t.Errorf("%q, want %q", said, c.want)
				}
				if c.want == some && (!strings.Contains(said, "peers=http://"+host(1)) || !strings.Contains(said, "err=")) {
					t.Errorf("%q: want the peer that could not be told, and why", said)
				}
			})
		})
	}
}
