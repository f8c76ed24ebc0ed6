package cluster

import (
	"maps"
	"slices"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// refreshView replaces the view if other peers are present than before. The caller holds c.mu.
func (c *Cluster) refreshView() {
	if c.closed.Load() {
		return
	}
	by, who := byPeers, slices.Sorted(maps.Keys(c.causes))
	if clear(c.causes); len(who) == 0 {
		by, who = byShutdown, []string{c.self}
	}
	if err := c.setView(false, by, who); err != nil { // the names were checked when they were listed
		c.log.Error("a peer has left or is back, and the last view stands", "err", err)
	}
}

// gatherFrom is by how much the shortest time between two changes that are gathered is shorter than
// the longest: a process needs a while to tell all that it leaves.
const gatherFrom = 8

// viewRate bounds how often the view changes because of what peers say. A change costs each
// process some messages, or one to each of the others if they are few. The mu of the cluster guards it.
//
// Where many restart at the same time, each process hears of them in another order. In a view that
// only one process has, all the others have to be told directly. So in large views what follows a
// change is gathered as announcements are: a wave of restarts is few views, and the last of them is
// the same one everywhere.
type viewRate struct {
	perSecond int
	available float64       // changes that may happen at once
	updated   clock.Instant // when available was computed; 0: never
	waiting   bool          // a goroutine waits to make the next change
	gathered  batches
}

// reserve returns how long a change has to wait. Zero means that it may happen now, and counts.
// gather is the longest time between two changes that follow each other; 0: they are not gathered.
func (r *viewRate) reserve(gather time.Duration) time.Duration {
	if wait := r.gathered.wait(); gather > 0 && wait > 0 {
		return wait
	}
	now, most := clock.Now(), float64(r.perSecond)
	if r.updated == 0 {
		r.available = most
	} else {
		r.available = min(most, r.available+most*time.Duration(now-r.updated).Seconds())
	}
	r.updated = now
	if r.available >= 1 {
		r.available--
		r.gathered.begin(max(firstBatch, gather/gatherFrom), gather)
		return 0
	}
	return time.Duration((1 - r.available) / most * float64(time.Second))
}

// refreshViewSoon does what refreshView does: at once if there were few changes lately, else
// later, together with other changes. The caller holds c.mu.
func (c *Cluster) refreshViewSoon() {
	if c.viewRate.waiting || c.closed.Load() {
		return
	}
	gather := time.Duration(0)
	if n := len(c.view.Load().names); n >= c.relayFrom {
		gather = c.longestBatch(n)
	}
	wait := c.viewRate.reserve(gather)
	if wait == 0 {
		c.refreshView()
		return
	}
	c.viewRate.waiting = true
	c.background.Go(func() {
		clock.Pause(c.life, wait)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.viewRate.waiting = false
		c.refreshViewSoon()
	})
}
