package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// A peer that leaves and comes back, again and again, is the same Peer with one link, and
// changes the view no more often than is allowed. When it has gone, nothing of it stays.
func TestPeerThatComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		self, peer := "http://self", "http://peer"
		pool := newFake(t, self, new(fakeNet), func(cfg *Config) { cfg.ViewChangeRate = 5 })
		if err := pool.Set([]string{self, peer, "http://other"}); err != nil {
			t.Fatal(err)
		}
		h := pool.view.Load().has(peer)
		start, views, last := time.Now(), 0, pool.view.Load().since
		for process := range uint32(2000) {
			leaving := saying(process+1, 1, 1)
			leaving.Leaving, leaving.Departure = true, uint64(process+1)
			pool.heard(peer, &said{State: leaving})
			time.Sleep(time.Millisecond)
			pool.heard(peer, &said{State: saying(process+2, 1, 1), anew: true})
			time.Sleep(4 * time.Millisecond)
			v := pool.view.Load()
			if v.since != last {
				last = v.since
				views++
			}
			if now := v.has(peer); now != nil && now != h {
				t.Fatal("it is another Peer")
			}
			if kept := kept(pool); kept.former > 1 || kept.absent > 1 || kept.departed > 1 || kept.logs > 1+logsOfAPeer {
				t.Fatalf("of one peer there are %+v", kept)
			}
		}
		if most := 5 + int(5*time.Since(start).Seconds()); views > most {
			t.Errorf("the view has changed %d times in %v, want %d at most", views, time.Since(start), most)
		}
		time.Sleep(time.Second)
		if pool.view.Load().has(peer) != h {
			t.Error("it is not back")
		}
		if err := pool.Set([]string{self}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(partAfter + longestParting)
		synctest.Wait()
		if kept := kept(pool); kept.former+kept.absent+kept.questions+kept.words > 0 {
			t.Errorf("of peers that have gone there are %+v", kept)
		}
		if !h.conn.(*fakeConn).closed.Load() || h.inView() {
			t.Error("its link is not closed")
		}
		if err := shutdown(t.Context(), pool); err != nil {
			t.Error(err)
		}
	})
}

// keeping counts what a pool has of its peers.
type keeping struct{ former, absent, departed, logs, questions, words int }

func kept(p *Cluster) (k keeping) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k.former, k.absent, k.questions = len(p.former), len(p.absent), len(p.questions)+len(p.asked)
	p.consent.mu.Lock()
	defer p.consent.mu.Unlock()
	k.departed, k.words = len(p.consent.departed), len(p.consent.latest)+len(p.consent.tokens)
	p.logs.mu.RLock()
	defer p.logs.mu.RUnlock()
	k.logs = len(p.logs.all)
	return k
}

// As many changes as a second may have come at once. What is more than that waits.
func TestViewChangesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := viewChanges{perSecond: 4}
		for i := range 4 {
			if wait := c.take(); wait != 0 {
				t.Errorf("change %d waits %v", i, wait)
			}
		}
		if wait := c.take(); wait != time.Second/4 {
			t.Errorf("the fifth waits %v, want a quarter of a second", wait)
		}
		time.Sleep(time.Second / 4)
		if wait := c.take(); wait != 0 {
			t.Errorf("then it waits %v", wait)
		}
		time.Sleep(time.Hour)
		for i := range 5 {
			if wait := c.take(); (wait != 0) != (i == 4) {
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
	pool, self, peer := unheardPair(t)
	defer shutdown(t.Context(), pool)
	token, view := pool.token(peer), pool.view.Load().id
	if token == 0 || token == pool.token(self) || token != pool.token(peer) {
		t.Fatal("the token is not the peer's own")
	}
	if other, _, _ := unheardPair(t); other.token(peer) == token {
		t.Fatal("another process has the same token")
	}
	for i, c := range []struct {
		from    string
		proof   uint64
		process uint32
		heard   uint32 // that was heard before; 0: none
		want    bool
	}{
		{peer, token, 1, 1, true},
		{peer, token, 1, 0, false},
		{peer, token, 2, 1, false},
		{peer, token + 1, 1, 1, false},
		{peer, 0, 1, 1, false},
		{self, pool.token(self), 1, 1, false},
		{"http://stranger", pool.token("http://stranger"), 1, 1, false},
	} {
		clear(pool.consent.latest)
		if c.heard != 0 {
			pool.heard(peer, &said{State: saying(c.heard, 1, view)})
		}
		req := &Change{State: saying(c.process, 0, 0), Proof: c.proof, Token: 9}
		if got := pool.proven(c.from, req); got != c.want {
			t.Errorf("case %d: proven %t, want %t", i, got, c.want)
		}
	}
	if n := len(pool.consent.tokens); n > 1 {
		t.Errorf("tokens of %d peers are kept, of which one is in the view", n)
	}
}
