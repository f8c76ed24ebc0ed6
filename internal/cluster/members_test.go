package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/peercache/peercache/peer"
)

// manyPeers returns n base URLs.
func manyPeers(n int) []string {
	urls := make([]string, n)
	for i := range urls {
		urls[i] = fmt.Sprintf("http://10.1.%d.%d:8001", i/250, i%250)
	}
	return urls
}

// A report of more peers than MaxPeers is refused: the last list stays, with one
// warning, and nothing is dialled. It costs no memory and no goroutines that stay.
func TestMostPeersOfAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		j.join(t, selfURL)
		synctest.Wait()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		goroutines := runtime.NumGoroutine()
		for n := range 3 {
			j.told.tell(append(manyPeers(20_000+n), selfURL)...)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if n := runtime.NumGoroutine() - goroutines; n > 2 {
			t.Errorf("%d more goroutines", n)
		}
		if n := int64(after.HeapAlloc) - int64(before.HeapAlloc); n > 8<<20 {
			t.Errorf("%d more bytes are held", n)
		}
		if got := j.members(); got != selfURL {
			t.Errorf("the view has %.100s: want the last one", got)
		}
		if names := j.net.dialled(); len(names) > 0 {
			t.Errorf("%d peers were dialled: want none", len(names))
		}
		if w := j.warnings(t); len(w) != 1 || !strings.Contains(w[0], "WithMaxPeers") || !strings.Contains(w[0], "the last one stands") {
			t.Errorf("warnings %q: want one that names WithMaxPeers", w)
		}
		j.told.tell(append(manyPeers(10), selfURL)...)
		if n := len(j.Peers()); n != 10 {
			t.Errorf("%d peers of a view that is small enough: want 10", n)
		}
	})
}

// What a filter refuses is left out before anything is dialled, however many there are, and
// not at the expense of those that it allows.
func TestPeerFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("want another one")
		j := newJoining(t, func(cfg *Config) {
			cfg.MaxPeers = 3
			cfg.Filters = []func(string) error{func(url string) error {
				if !strings.HasSuffix(url, ":8001") {
					return refused
				}
				return nil
			}, func(url string) error {
				if strings.Contains(url, "10.0.0.66") {
					panic("a filter of the user's")
				}
				if !strings.HasPrefix(url, "http://10.0.0.") {
					return refused
				}
				return nil
			}}
		})
		const good = "http://10.0.0.2:8001"
		view := append(manyPeers(1000), selfURL, good, "http://10.0.0.2:22", "http://db.internal:8001", "http://10.0.0.66:8001", "http://192.168.0.1:8001")
		j.join(t, view...)
		synctest.Wait()
		if got, want := j.members(), selfURL+" "+good; got != want {
			t.Errorf("the view has %.100s: want %s", got, want)
		}
		for name := range j.net.dialled() {
			if name != good {
				t.Errorf("%s was dialled", name)
			}
		}
		if w := j.warnings(t); len(w) != mostWarnings+1 || !strings.Contains(w[mostWarnings], fmt.Sprint("members=", 1004-mostWarnings)) {
			t.Errorf("%d warnings, the last of them %q: want %d, and one that says how many more", len(w), w[len(w)-1], mostWarnings)
		}
		j.told.tell(view...)
		if w := j.warnings(t); len(w) > 0 {
			t.Errorf("%d warnings of the same view: want none", len(w))
		}
	})
}

// Somebody else in the registry cannot make a process talk to its own machine.
func TestLocalAddressesInAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		j.join(t, selfURL, "http://127.0.0.1:6379", "http://localhost:9200", "http://169.254.169.254", "http://[::1]:8001")
		synctest.Wait()
		if got, names := j.members(), j.net.dialled(); got != selfURL || len(names) > 0 {
			t.Errorf("the view has %s, and %d peers were dialled: want this process alone", got, len(names))
		}
		if w := j.warnings(t); len(w) != 4 {
			t.Errorf("warnings %q: want 4", w)
		}
	})
}

// In a view, another spelling is left out, with a warning that has the right one.
func TestSpellingsInAView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJoining(t, nil)
		j.join(t, selfURL)
		for range 2 {
			j.told.tell(selfURL, "http://10.0.0.1:08001", "http://b.example", "http://b.example:80")
			if got, want := j.members(), selfURL+" http://b.example"; got != want {
				t.Errorf("the view has %s: want %s", got, want)
			}
		}
		warnings := j.warnings(t)
		if len(warnings) != 2 || !strings.Contains(warnings[0], "spelled "+selfURL) || !strings.Contains(warnings[1], "spelled http://b.example,") {
			t.Errorf("warnings %q: want one for each spelling, with the right one", warnings)
		}
	})
}

// A process at an address that others cannot reach is warned of, once.
func TestLoopbackAmongOthers(t *testing.T) {
	const other = "http://10.0.0.2:8001"
	for _, c := range []struct {
		self  string
		peers []string
		says  string // "": nothing
	}{
		{"http://127.0.0.1:8001", []string{"http://127.0.0.1:8002", "http://localhost:8003", "http://[::1]:8004"}, ""},
		{"http://127.0.0.1:8001", []string{other}, "cannot reach this process"},
		{"http://localhost:8001", []string{other}, "cannot reach this process"},
		{"http://10.0.0.1:8001", []string{other, "http://b.example"}, ""},
		{"http://10.0.0.1:8001", []string{other, "http://127.0.0.1:8001"}, "each machine finds itself"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			cluster := newFake(t, c.self, new(fakeNet), func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
			for n := range 2 {
				if err := cluster.Set(slices.Concat([]string{c.self}, c.peers[n*(len(c.peers)-1):])); err != nil {
					t.Error(err)
				}
			}
			shutdown(t.Context(), cluster)
			synctest.Wait() // warnings are logged in other goroutines
			warnings := 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "address of") || strings.Contains(line, "one of its machine") {
					warnings++
					if c.says == "" || !strings.Contains(line, c.says) {
						t.Errorf("%s among %q: %s", c.self, c.peers, line)
					}
				}
			}
			if want := min(len(c.says), 1); warnings != want {
				t.Errorf("%s among %q: %d warnings, want %d", c.self, c.peers, warnings, want)
			}
		})
	}
}

// anyName is a transport that takes any name.
type anyName struct{ peer.Transport }

func (anyName) Check(string) error { return nil }

// A name that is too short for what peers say to each other, or too long, is refused, whatever the
// transport says.
func TestNamesHaveBounds(t *testing.T) {
	cluster := newFake(t, selfURL, new(fakeNet), nil)
	defer shutdown(t.Context(), cluster)
	cluster.transport = anyName{cluster.transport}
	for name, ok := range map[string]bool{"node-01": false, "node-001": true, strings.Repeat("n", 512): true, strings.Repeat("n", 513): false} {
		if err := cluster.checkPeer(name); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "want") {
			t.Errorf("a name of %d bytes: %v, want none: %t", len(name), err, ok)
		}
	}
}
