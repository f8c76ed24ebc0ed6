package cluster

import (
	"slices"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// Traffic is what was asked of one member, or of several.
type Traffic struct {
	peer.Stats
	Reconnects    int64 // connections after the first of each member
	Disagreements int64 // times that it was observed with another view
}

func (t *Traffic) add(o *Traffic) {
	t.Stats.Add(&o.Stats)
	t.Reconnects += o.Reconnects
	t.Disagreements += o.Disagreements
}

// Traffic returns what was asked of m.
func (m *Member) Traffic() Traffic {
	t := Traffic{Disagreements: m.disagreements.Load()}
	if conn, ok := m.conn.(interface{ Stats() peer.Stats }); ok {
		t.Stats = conn.Stats()
		t.Reconnects = max(0, t.Opened-1)
	}
	return t
}

// traffic knows what was asked of all members that have been in a view. Its counts never go back,
// or who computes rates of them would see what was counted long ago as counted now.
type traffic struct {
	mu   sync.Mutex
	live []*Member // guarded by mu; those that may still be asked
	past Traffic   // guarded by mu; the sum of the others
}

// add adds a member that has come into the view.
func (t *traffic) add(m *Member) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = append(t.live, m)
}

// retire makes sure that nothing holds a member any more that is not asked again.
func (t *traffic) retire(m *Member) {
	last := m.Traffic() // without the lock, because it is a transport that answers
	last.InFlight = 0
	t.mu.Lock()
	defer t.mu.Unlock()
	t.past.add(&last)
	t.live = slices.DeleteFunc(t.live, func(other *Member) bool { return other == m })
}

// Traffic returns what was asked of all members that have been in a view.
func (c *Cluster) Traffic() Traffic {
	c.traffic.mu.Lock()
	sum, live := c.traffic.past, slices.Clone(c.traffic.live)
	c.traffic.mu.Unlock()
	for _, m := range live {
		t := m.Traffic()
		sum.add(&t)
	}
	return sum
}

// ViewStats returns how many peers are in the view, this process among them, the age of the view,
// how often it was replaced, and how many peers have another one.
func (c *Cluster) ViewStats() (peers int, age time.Duration, changes int64, dissenters int) {
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	v := c.view.Load()
	return len(v.names), time.Duration(clock.Now() - v.since), c.agreement.views, c.agreement.dissenters
}
