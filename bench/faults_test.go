package main

import (
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestFaults does each fault to small clusters, for a short time, and looks at what came of it
// and at the tables. Of times it knows that they are no hangs: CI is noisy.
func TestFaults(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	scale := faultScaleOf(measuring{quick: true})
	report := func(t *testing.T, do func(*faultReport) error) *faultReport {
		t.Helper()
		var out strings.Builder
		r := &faultReport{w: &out, scale: scale, removals: newRemovalTable()}
		err := do(r)
		t.Log(out.String())
		r.targets.print(t.Output(), "Targets")
		if err != nil {
			t.Fatal(err)
		}
		for _, lines := range tablesOf(out.String()) {
			checkTable(t, lines, false)
		}
		return r
	}

	t.Run("restart", func(t *testing.T) {
		r := report(t, (*faultReport).restart)
		// What the others lose shows that it would be seen.
		if r.restarted.theirs.extra < scale.keys/2 {
			t.Errorf("groupcache has loaded only %d of %d keys again: is it looked?", r.restarted.theirs.extra, scale.keys)
		}
		if ours, most := r.restarted.ours, scale.keys/20; ours.extra > most {
			t.Errorf("%d of %d keys were loaded again: want at most %d", ours.extra, ours.keys, most)
		}
	})
	t.Run("kill", func(t *testing.T) {
		r := report(t, (*faultReport).kill)
		if ours := r.killed.ours; ours.extra < ours.share/2 || ours.beyondShare() > 0.05 {
			t.Errorf("%d extra loads, the victim had loaded %d of %d keys: want each of them once, but for copies", ours.extra, ours.share, ours.keys)
		}
	})
	t.Run("stop", func(t *testing.T) {
		r := report(t, (*faultReport).stop)
		if ours := r.stopped.ours; ours.longest >= scale.patience || ours.waits >= clusterNodes {
			t.Errorf("a caller waited %v, one of them %d times: want the detection time, once at each node", ours.longest, ours.waits)
		}
		if theirs := r.stopped.theirs; theirs.longest < scale.patience {
			t.Errorf("nobody waited longer than %v for groupcache: was a node stopped?", theirs.longest)
		}
		checkRemovals(t, r.stopped.ours.meanwhile, r.removals)
	})
	t.Run("partition", func(t *testing.T) {
		r := report(t, (*faultReport).partition)
		if r.cutOff.alone.gets == 0 {
			t.Skip(errNoNamespaces) // it says so in its output
		}
		for _, side := range []hangFigures{r.cutOff.alone, r.cutOff.others} {
			if side.longest >= scale.patience {
				t.Errorf("a caller waited %v: want the detection time", side.longest)
			}
		}
		if most := scale.keys / 20; r.cutOff.late > most {
			t.Errorf("%d loads when it was over: want at most %d", r.cutOff.late, most)
		}
		checkRemovals(t, r.cutOff.meanwhile, r.removals)
	})
}

// checkRemovals checks that some Removes were seen to fail as they should; that none failed as
// it should not is checked already.
func checkRemovals(t *testing.T, meanwhile removalFigures, table *table) {
	t.Helper()
	if meanwhile.named == 0 {
		t.Errorf("%+v: want Removes that name those that cannot be reached, and nobody else", meanwhile)
	}
	var out strings.Builder
	if err := table.print(&out); err != nil {
		t.Fatal(err)
	}
	checkTable(t, strings.Split(strings.TrimSpace(out.String()), "\n"), false)
}

// TestStaleClusterIsSeen has a node that keeps the first value of a key for ever, whatever it
// says of a Remove.
func TestStaleClusterIsSeen(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	origin := &clusterOrigin{loaders: make(map[string][]string), versions: make(map[string]int64)}
	deaf := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.Write([]byte("[]"))
			return
		}
		w.Header().Set(tookHeader, "1")
		w.Write([]byte("0" + strings.Repeat(" ", clusterValueBytes-1)))
	})}
	go deaf.Serve(l)
	defer deaf.Close()
	n := &clusterNode{name: "deaf", client: unixClient(socket)}
	n.unshut()
	defer n.client.CloseIdleConnections()
	f := &cluster{origin: origin, nodes: []*clusterNode{n}, scale: faultScaleOf(measuring{quick: true})}
	w := &watch{cluster: f}
	k := &writtenKey{name: "k", owner: n.name}
	start := time.Now()
	w.read(k)
	w.write(k)
	figures := func() removalFigures {
		return w.within(split{start, time.Now(), false, func(*clusterNode) []string { return nil }})
	}
	if got := figures(); got.broken("") != nil {
		t.Fatalf("a read from before the Remove: %v", got.broken(""))
	}
	w.read(k)
	if got := figures(); got.stale != 1 || got.nils != 1 || got.broken("") == nil {
		t.Errorf("%+v: want one stale read, and an error", got)
	}
}

// TestRemovalsAreJudged has Removes of a cluster in which c and d cannot be reached.
func TestRemovalsAreJudged(t *testing.T) {
	asked := &clusterNode{name: "a"}
	for _, tt := range []struct {
		name    string
		owner   string
		lasting bool
		pending pendingPeers
		err     error
		want    removalFigures
	}{
		{"nil, the owner was told", "a", true, nil, nil, removalFigures{nils: 1}},
		{"nil, the owner was not told", "c", true, nil, nil, removalFigures{wrong: 1}},
		{"nil, the owner is back", "c", false, nil, nil, removalFigures{nils: 1}},
		{"the owner is named", "c", true, pendingPeers{"c"}, nil, removalFigures{named: 1}},
		{"all are named", "c", true, pendingPeers{"c", "d"}, nil, removalFigures{named: 1}},
		{"a holder is named", "a", true, pendingPeers{"c"}, nil, removalFigures{named: 1}},
		{"another is named in place of the owner", "c", true, pendingPeers{"d"}, nil, removalFigures{wrong: 1}},
		{"another is named besides", "c", true, pendingPeers{"b", "c"}, nil, removalFigures{tooMany: 1}},
		{"another is named", "b", false, pendingPeers{"b"}, nil, removalFigures{tooMany: 1}},
		{"no answer", "a", true, nil, errors.New("no answer"), removalFigures{wrong: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got removalFigures
			got.count(removal{node: asked, key: &writtenKey{owner: tt.owner}, pending: tt.pending, err: tt.err},
				split{lasting: tt.lasting, cut: func(*clusterNode) []string { return []string{"c", "d"} }})
			if tt.want.removes = 1; (got.wrong > 0) != (got.firstError != nil) {
				t.Errorf("%d wrong, error %v", got.wrong, got.firstError)
			}
			if got.firstError = nil; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOtherSide(t *testing.T) {
	f := &cluster{nodes: []*clusterNode{{name: "b"}, {name: "c"}, {name: "a"}}}
	for i, want := range [][]string{{"a", "c"}, {"b"}, {"b"}} {
		if got := f.otherSide(f.nodes[0], f.nodes[i]); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", f.nodes[i].name, got, want)
		}
	}
}

func TestSamples(t *testing.T) {
	start := time.Now()
	var s samples
	for i := range 200 { // 1 to 200 ms, by two callers
		s = append(s, sample{caller: i % 2, at: start.Add(time.Duration(i)), took: time.Duration(i+1) * time.Millisecond})
	}
	s[7].err = errAllShut
	if got := s.p99(); got != 199*time.Millisecond {
		t.Errorf("p99 is %v, want 199ms", got)
	}
	if got := s.slowest(0); got != 200*time.Millisecond {
		t.Errorf("the longest is %v, want 200ms", got)
	}
	if got := s.waits(190 * time.Millisecond); got != 6 {
		t.Errorf("%d waits of one caller, want 6", got)
	}
	if got := len(s.between(start.Add(10), start.Add(30))); got != 20 {
		t.Errorf("%d in between, want 20", got)
	}
	if n, err := s.failed(); n != 1 || err != errAllShut {
		t.Errorf("%d failed, error %v; want the one", n, err)
	}
}

// TestHeldPort: nobody is given a port that is held, and a process that knows it may listen.
func TestHeldPort(t *testing.T) {
	site, err := newLoopback(1)
	if err != nil {
		t.Fatal(err)
	}
	defer site.close()
	at := strings.TrimPrefix(site.url(0), "http://")
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("somebody listens at a port that is only held")
	}
	for range 2 { // one process after the other
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		l.Close()
	}
}
