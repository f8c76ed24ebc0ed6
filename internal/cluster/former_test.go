package cluster

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/peer"
)

// A peer that leaves and comes back, again and again, is the same Peer with one link, and
// changes the view no more often than is allowed. When it has gone, nothing of it stays.
func TestPeerThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self, name := "http://self", "http://peer"
		c := newFake(t, self, new(fakeNet), func(cfg *Config) { cfg.ViewChangeRate = 5 })
		if err := c.Set([]string{self, name, "http://other"}); err != nil {
			t.Fatal(err)
		}
		m := c.view.Load().member(name)
		start, views, last := time.Now(), 0, c.view.Load().since
		for process := range uint32(2000) {
			leaving := saying(process+1, 1, 1)
			leaving.Leaving, leaving.Departure = true, uint64(process+1)
			c.observe(name, &peerState{State: leaving})
			time.Sleep(time.Millisecond)
			c.observe(name, &peerState{State: saying(process+2, 1, 1), announced: true})
			time.Sleep(4 * time.Millisecond)
			v := c.view.Load()
			if v.since != last {
				last = v.since
				views++
			}
			if now := v.member(name); now != nil && now != m {
				t.Fatal("it is another Peer")
			}
			if kept := kept(c); kept.former > 1 || kept.absent > 1 || kept.departed > 1 || kept.logs > 1+logsOfAPeer {
				t.Fatalf("of one peer there are %+v", kept)
			}
		}
		if most := 5 + int(5*time.Since(start).Seconds()); views > most {
			t.Errorf("the view has changed %d times in %v, want %d at most", views, time.Since(start), most)
		}
		time.Sleep(time.Second)
		if c.view.Load().member(name) != m {
			t.Error("it is not back")
		}
		if err := c.Set([]string{self}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(closeAfter + longestClosing)
		synctest.Wait()
		if kept := kept(c); kept.former+kept.absent+kept.questions+kept.words > 0 {
			t.Errorf("of peers that have gone there are %+v", kept)
		}
		if !m.conn.(*fakeConn).closed.Load() || m.inView() {
			t.Error("its link is not closed")
		}
		if err := shutdown(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
}

// keeping counts what a pool has of its peers.
type keeping struct{ former, absent, departed, logs, questions, words int }

func kept(c *Cluster) (k keeping) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.former, k.absent, k.questions = len(c.lingering), len(c.absent), len(c.questions)+len(c.asked)
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	k.departed, k.words = len(c.agreement.departed), len(c.agreement.observed)+len(c.agreement.tokens)
	c.logs.mu.RLock()
	defer c.logs.mu.RUnlock()
	k.logs = len(c.logs.all)
	return k
}

// As many changes as a second may have come at once. What is more than that waits.
func TestViewChangesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := changeRate{perSecond: 4}
		for i := range 4 {
			if wait := r.reserve(); wait != 0 {
				t.Errorf("change %d waits %v", i, wait)
			}
		}
		if wait := r.reserve(); wait != time.Second/4 {
			t.Errorf("the fifth waits %v, want a quarter of a second", wait)
		}
		time.Sleep(time.Second / 4)
		if wait := r.reserve(); wait != 0 {
			t.Errorf("then it waits %v", wait)
		}
		time.Sleep(time.Hour)
		for i := range 5 {
			if wait := r.reserve(); (wait != 0) != (i == 4) {
				t.Errorf("an hour later change %d waits %v", i, wait)
			}
		}
	})
}

// Departures of one peer, however many, do not push out the logs of others.
func TestChangeLogsOfOnePeer(t *testing.T) {
	l := newChangeLogs()
	l.begin(7, "http://a")
	for i := range uint64(1000) {
		l.begin(100+i, "http://b")
	}
	if _, known, _ := l.since([]uint64{7}, nil); !known {
		t.Error("the departure of another peer is forgotten")
	}
	if _, known, _ := l.since([]uint64{1099}, nil); !known {
		t.Error("its last departure is forgotten")
	}
	if len(l.all) != 2+logsOfAPeer {
		t.Errorf("%d logs, want one of the other peer, %d, and that since the start", len(l.all), logsOfAPeer)
	}
}

// Only what comes with the token that was sent to the peer's address, from the process that
// was heard there last, is believed.
func TestProof(t *testing.T) {
	cluster, self, name := unheardPair(t)
	defer shutdown(t.Context(), cluster)
	token, view := cluster.token(name), cluster.view.Load().id
	if token == 0 || token == cluster.token(self) || token != cluster.token(name) {
		t.Fatal("the token is not the peer's own")
	}
	if other, _, _ := unheardPair(t); other.token(name) == token {
		t.Fatal("another process has the same token")
	}
	for i, c := range []struct {
		from    string
		proof   uint64
		process uint32
		heard   uint32 // that was heard before; 0: none
		want    bool
	}{
		{name, token, 1, 1, true},
		{name, token, 1, 0, false},
		{name, token, 2, 1, false},
		{name, token + 1, 1, 1, false},
		{name, 0, 1, 1, false},
		{self, cluster.token(self), 1, 1, false},
		{"http://stranger", cluster.token("http://stranger"), 1, 1, false},
	} {
		clear(cluster.agreement.observed)
		if c.heard != 0 {
			cluster.observe(name, &peerState{State: saying(c.heard, 1, view)})
		}
		req := &peer.Change{State: saying(c.process, 0, 0), Proof: c.proof, Token: 9}
		if got := cluster.proven(c.from, req); got != c.want {
			t.Errorf("case %d: proven %t, want %t", i, got, c.want)
		}
	}
	if n := len(cluster.agreement.tokens); n > 1 {
		t.Errorf("tokens of %d peers are kept, of which one is in the view", n)
	}
}
