package cluster

import (
	"testing"
	"testing/synctest"
	"time"
)

// A peer that leaves and comes back, again and again, is the same Member with one Conn, and
// changes the view no more often than is allowed. When it has left for good, nothing of it is
// kept.
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
				t.Fatal("it is another Member")
			}
			if kept := kept(c); kept.lingering > 1 || kept.absent > 1 || kept.departed > 1 || kept.logs > 1+logsOfAPeer {
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
		if kept := kept(c); kept.lingering+kept.absent+kept.questions+kept.states > 0 {
			t.Errorf("of peers that have gone there are %+v", kept)
		}
		if !m.conn.(*fakeConn).closed.Load() || m.inView() {
			t.Error("its Conn is not closed")
		}
		if err := shutdown(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
}

// keeping counts what a cluster keeps of its peers.
type keeping struct{ lingering, absent, departed, logs, questions, states int }

func kept(c *Cluster) (k keeping) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.lingering, k.absent, k.questions = len(c.lingering), len(c.absent), len(c.questions)+len(c.asked)
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	k.departed, k.states = len(c.agreement.departed), len(c.agreement.records)+len(c.agreement.byID)
	c.logs.mu.RLock()
	defer c.logs.mu.RUnlock()
	k.logs = len(c.logs.all)
	return k
}
