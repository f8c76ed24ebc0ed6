package cluster

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/pb"
	"github.com/peercache/peercache/peer"
)

// has reports whether what a log says has a key.
func has(changed []byte, key string) bool {
	return changed != nil && bitOf(changed, "test", key)
}

func changeOf(keys ...string) *peer.Change { return &peer.Change{Group: "test", Keys: keys} }

// since returns what a process answers of the changes since departures.
func since(l *changeLogs, departures []uint64, inView map[string]bool) (changed []byte, known, unbroken bool) {
	var answer peer.Changed
	l.since(departures, inView, &answer)
	return answer.Log, answer.SinceDeparture, answer.Unbroken
}

// The bits are the same in all processes and versions: they are on the wire, and in files.
func TestChangeLogBits(t *testing.T) {
	for _, c := range []struct {
		group, key string
		bit        uint64
	}{
		{"test", "key", 20189}, {"test", "Tom", 32155}, {"scores", "Tom", 44952}, {"test", "\x00\xff", 43157},
	} {
		if got := logBit(xxhash.Sum64String(c.group), c.key); got != c.bit {
			t.Errorf("group %q, key %q: bit %d, want %d", c.group, c.key, got, c.bit)
		}
	}
	l := newChangeLogs()
	l.begin(7, "a")
	l.record(changeOf("Tom"))
	changed, _, _ := since(&l, []uint64{7}, nil)
	if n := slices.IndexFunc(changed, func(b byte) bool { return b != 0 }); !has(changed, "Tom") || has(changed, "Jack") {
		t.Errorf("byte %d is set, want only the bit of the key that was changed", n)
	}
	l.record(&peer.Change{Group: "other", All: true})
	if changed, _, _ = since(&l, []uint64{7}, nil); slices.ContainsFunc(changed, func(b byte) bool { return b != 0xff }) {
		t.Error("after a Clear there are keys that were not changed")
	}
}

// A log knows what came after it, for an hour, and there are not too many of them.
func TestChangeLogsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newChangeLogs()
		l.record(changeOf("before"))
		l.begin(7, "a")
		l.record(changeOf("after"))
		l.begin(7, "a") // it says so with each message
		changed, known, unbroken := since(&l, []uint64{7}, nil)
		if !known || !unbroken || has(changed, "before") || !has(changed, "after") {
			t.Errorf("known %t, unbroken %t, before %t, after %t", known, unbroken, has(changed, "before"), has(changed, "after"))
		}
		changed, known, unbroken = since(&l, []uint64{8}, nil)
		if known || unbroken || !has(changed, "before") || !has(changed, "after") {
			t.Errorf("of a departure that it does not know: known %t, unbroken %t; want all since the start", known, unbroken)
		}
		time.Sleep(longestLog - 1)
		if _, known, _ = since(&l, []uint64{7}, nil); !known {
			t.Error("it is forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		if _, known, _ = since(&l, []uint64{7}, nil); known {
			t.Error("it is not forgotten")
		}
		for i := range uint64(2 * mostLogs) {
			l.begin(100+i, fmt.Sprint("peer", i))
		}
		if len(l.all) != mostLogs+1 {
			t.Errorf("%d logs, want %d and one", len(l.all), mostLogs)
		}
		if _, known, _ = since(&l, []uint64{100 + mostLogs - 1}, nil); known {
			t.Error("the oldest has not gone")
		}
		if _, known, _ = since(&l, []uint64{100 + mostLogs}, nil); !known {
			t.Error("more have gone than need be")
		}
	})
}

// A log that was saved says who may have made changes meanwhile: nobody knows, if these were not
// the same each time.
func TestChangeLogsSayWhoWasThere(t *testing.T) {
	first := newChangeLogs()
	l := &first
	l.begin(7, "a")
	for _, c := range []struct{ saved, want uint64 }{{0, 0}, {3, 3}, {3, 3}, {4, 0}, {4, 0}} {
		if c.saved != 0 {
			next := newChangeLogs()
			next.adopt(l.forSnapshot(), c.saved)
			l = &next
		}
		var answer peer.Changed
		if l.since([]uint64{7}, nil, &answer); !answer.SinceDeparture || answer.Circle != c.want {
			t.Errorf("saved with %d: got %d, known %t, want %d", c.saved, answer.Circle, answer.SinceDeparture, c.want)
		}
	}
}

// With three peers gone that were there since a departure, a process may not have heard of
// all changes. It makes no difference what else is forgotten, or saved.
func TestChangeLogsCountWhoLeft(t *testing.T) {
	for name, pass := range map[string]func(*changeLogs) *changeLogs{
		"here":      func(l *changeLogs) *changeLogs { return l },
		"forgotten": func(l *changeLogs) *changeLogs { l.remove(2); return l },
		"saved":     func(l *changeLogs) *changeLogs { n := newChangeLogs(); n.adopt(l.forSnapshot(), 1); return &n },
		"saved twice": func(l *changeLogs) *changeLogs {
			n := newChangeLogs()
			n.adopt(l.forSnapshot(), 1)
			n.adopt(l.forSnapshot(), 1)
			return &n
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newChangeLogs()
			l.recordDeparted([]string{"before"})
			l.begin(7, "a")
			l.recordDeparted([]string{"b"})
			l.begin(8, "b")
			l.recordDeparted([]string{"c", "c"})
			passed := pass(&l)
			if _, known, _ := since(passed, []uint64{7}, nil); !known {
				t.Error("after two have gone it knows nothing")
			}
			passed.recordDeparted([]string{"d"})
			if _, known, _ := since(passed, []uint64{7}, nil); known {
				t.Error("after three have gone it knows what happened")
			}
			if _, known, _ := since(passed, []uint64{7}, map[string]bool{"c": true}); !known {
				t.Error("one of the three is back, and it knows nothing")
			}
		})
	}
	l := newChangeLogs()
	l.begin(7, "a")
	all := make(map[string]bool)
	for i := range mostDeparted + 1 {
		all[fmt.Sprint(i)] = true
		l.recordDeparted([]string{fmt.Sprint(i)})
	}
	if changed, known, _ := since(&l, []uint64{7}, all); changed != nil || known {
		t.Error("more have left than it can count, and it knows what happened")
	}
	if saved := l.forSnapshot(); len(saved) != 0 {
		t.Errorf("%d such logs are saved", len(saved))
	}
}

// What the process before recorded is only of use if it is in all files, and they are of one
// departure. It is broken.
func TestRegainedLogs(t *testing.T) {
	before := newChangeLogs()
	before.begin(7, "a")
	before.record(changeOf("key"))
	f := &pb.Farewell{Logs: before.forSnapshot()}
	for name, c := range map[string]struct {
		regain func(cluster *Cluster)
		known  bool
	}{
		"all files":         {func(cluster *Cluster) { cluster.Regain(9, f); cluster.Regain(9, f) }, true},
		"a file is missing": {func(cluster *Cluster) { cluster.Regain(9, f); cluster.Regain(0, nil) }, false},
		"the first one":     {func(cluster *Cluster) { cluster.Regain(0, nil); cluster.Regain(9, f) }, false},
		"two departures":    {func(cluster *Cluster) { cluster.Regain(9, f); cluster.Regain(8, f) }, false},
		"a lapse":           {func(cluster *Cluster) { cluster.Regain(9, f); cluster.logs.discard(true) }, false},
		"rubbish": {func(cluster *Cluster) {
			cluster.Regain(9, &pb.Farewell{Logs: []*pb.ChangeLog{nil, {Departure: 7}, {Changed: make([]byte, logBytes)}}})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := &Cluster{logs: newChangeLogs()}
			cluster.logs.begin(5, "b")
			c.regain(cluster)
			changed, known, unbroken := since(&cluster.logs, []uint64{7}, nil)
			if known != c.known || unbroken || has(changed, "key") != c.known {
				t.Errorf("known %t, unbroken %t, the key's bit %t", known, unbroken, has(changed, "key"))
			}
			if _, _, unbroken := since(&cluster.logs, []uint64{5}, nil); unbroken != (name != "a lapse") {
				t.Errorf("what it recorded itself is unbroken: %t", unbroken)
			}
		})
	}
}

// While a process has lapsed, others may make changes without it: then it answers with no log
// from before. The time before its first view does not count.
func TestChangeLogsOfALapse(t *testing.T) {
	self := "http://127.0.0.1:1"
	static, err := discovery.Static(self)
	if err != nil {
		t.Fatal(err)
	}
	c := newFake(t, self, new(fakeNet), func(cfg *Config) { cfg.Discovery = static })
	defer shutdown(t.Context(), c)
	c.Regain(9, &pb.Farewell{Logs: []*pb.ChangeLog{{Departure: 7, Changed: make([]byte, logBytes)}}})
	c.logs.begin(5, "b")
	for _, step := range []struct {
		view  discovery.View
		known bool
	}{
		{discovery.View{}, false},
		{discovery.View{Peers: []string{"http://127.0.0.1:2"}}, false},
		{discovery.View{Peers: []string{self}}, true},
		{discovery.View{Peers: []string{self}, Lapsed: true}, false},
		{discovery.View{Peers: []string{self}}, false},
	} {
		c.membership.receive(step.view)
		for _, departure := range []uint64{7, 5} {
			var answer peer.Changed
			c.answerLog([]uint64{departure}, &answer)
			if answer.SinceDeparture != step.known {
				t.Errorf("after the view %v: departure %d known %t, want %t", step.view, departure, answer.SinceDeparture, step.known)
			}
		}
	}
}

// Departures of one peer, however many, do not displace the logs of others.
func TestChangeLogsOfOnePeer(t *testing.T) {
	l := newChangeLogs()
	l.begin(7, "http://a")
	for i := range uint64(1000) {
		l.begin(100+i, "http://b")
	}
	if _, known, _ := since(&l, []uint64{7}, nil); !known {
		t.Error("the departure of another peer is forgotten")
	}
	if _, known, _ := since(&l, []uint64{1099}, nil); !known {
		t.Error("its last departure is forgotten")
	}
	if len(l.all) != 2+logsOfAPeer {
		t.Errorf("%d logs, want one of the other peer, %d, and that since the start", len(l.all), logsOfAPeer)
	}
}
