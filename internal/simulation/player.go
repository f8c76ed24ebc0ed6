package simulation

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// player is a scenario while it is played.
type player struct {
	*scenario
	t       *testing.T
	net     network
	history *history
	level   *level // of all groups, if scenario.leveled
	dir     string // of the snapshots; empty if there are none

	ctx      context.Context // of all calls
	calls    sync.WaitGroup  // that are in progress
	arrivals sync.WaitGroup  // views under way, processes that end

	mu   sync.Mutex
	live []*node // guarded by mu, written by the driver alone; by host; nil: none

	// The rest is the driver's alone.
	former []*node  // by host; the last one
	lives  []int    // by host; how many there were
	view   []string // the newest
	news   int      // its number
}

// living returns the process that runs on a host, or nil.
func (c *player) living(i int) *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[i]
}

// setLiving says what runs on a host.
func (c *player) setLiving(i int, p *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[i] = p
}

// play does what a scenario says, in a bubble of testing/synctest, and returns
// what happened.
func play(t *testing.T, s *scenario) *history {
	c := &player{
		scenario: s, t: t, level: newLevel(s.seed), net: newNetwork(s), history: newHistory(),
		live: make([]*node, s.hosts), former: make([]*node, s.hosts), lives: make([]int, s.hosts),
	}
	defer c.net.close()
	if s.snapshots {
		c.dir = t.TempDir()
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.ctx = ctx
	c.announce(s.members)
	for _, i := range s.members {
		c.startProcess(i)
	}
	time.Sleep(startTime)
	c.history.start = time.Now()
	for _, step := range s.steps {
		time.Sleep(step.at - time.Since(c.history.start))
		c.perform(step)
	}
	c.converge()
	cancel()
	c.calls.Wait()
	for i, p := range c.live {
		if p != nil {
			c.endProcess(i, func() {})
		}
	}
	c.arrivals.Wait()
	return c.history
}

// perform does one step.
func (c *player) perform(s step) {
	switch s.do {
	case doGet, doGetMulti, doNearGet, doRemove, doSet, doClear:
		if p := c.live[s.host]; p != nil {
			c.calls.Go(func() { c.call(p, s) })
		}
	case doWrite:
		c.history.write(s.keys[0], s.absent)
	case doStart:
		c.startProcess(s.host)
	case doCrash:
		c.endProcess(s.host, func() { c.net.crash(s.host) })
	case doPowerOff:
		c.endProcess(s.host, func() { c.net.powerOff(s.host) })
	case doShutdown:
		if p := c.live[s.host]; p != nil {
			p.saves = true
		}
		c.endProcess(s.host, func() {})
	case doView:
		c.announce(s.hosts)
		for i, p := range c.live {
			if p != nil {
				c.deliver(p, s.arrival[i])
			}
		}
	case doForge:
		c.calls.Go(func() { c.forge(c.ctx, s) })
	case doEndStorm:
		c.endStorm()
	default:
		c.disturb(s)
	}
}

// disturb does one thing to the network.
func (c *player) disturb(s step) {
	a, b := host(s.host), host(s.other)
	switch s.do {
	case doCut:
		c.history.note("", "cut %s and %s", a, b)
	case doCutOneWay:
		c.history.note("", "cut from %s to %s", a, b)
	case doCutAfter:
		c.history.note("", "cut from %s to %s after %d bytes", a, b, s.size)
	case doResetAfter:
		c.history.note("", "reset from %s to %s after %d bytes", a, b, s.size)
	case doHeal:
		c.history.note("", "heal %s and %s", a, b)
	case doReset:
		c.history.note("", "reset %s and %s", a, b)
	case doFreeze:
		c.history.note("", "freeze %s", a)
	case doThaw:
		c.history.note("", "thaw %s", a)
	}
	c.net.disturb(s)
}

// endStorm ends all faults, and gives all members the last view.
func (c *player) endStorm() {
	c.history.note("", "the storm is over")
	c.net.heal(c.hosts)
	c.announce(c.finally)
	for i, p := range c.live {
		switch {
		case !slices.Contains(c.finally, i):
			if p != nil {
				c.endProcess(i, func() {})
			}
		case p == nil:
			c.startProcess(i)
		default:
			c.deliver(p, 0)
		}
	}
}

// converge waits until all calls have ended, or should have, and then sees to it
// that every member reads the newest versions.
func (c *player) converge() {
	ended := make(chan struct{})
	go func() {
		c.calls.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(boundTime):
	}
	c.history.record(func(now moment) { c.history.bound = now })
	remover := c.live[c.finally[0]]
	c.invalidate(remover, &invalidation{what: "Remove", keys: c.keys, patience: boundTime, final: true}, func(ctx context.Context) error {
		return remover.group.Remove(ctx, c.keys...)
	})
	for _, i := range c.finally {
		c.getMulti(c.live[i], c.keys, boundTime, true)
		for _, key := range c.keys {
			c.nearGet(c.live[i], key, boundTime, true)
		}
	}
}

// announce makes hosts the newest view.
func (c *player) announce(hosts []int) {
	c.news++
	c.view = nil
	for _, i := range hosts {
		c.view = append(c.view, nameOf(i))
	}
}

// deliver gives p the newest view after a time.
func (c *player) deliver(p *node, after time.Duration) {
	view, news := c.view, c.news
	c.arrivals.Go(func() {
		time.Sleep(after)
		if err := p.set(c.history, view, news); err != nil {
			c.t.Error(err)
		}
	})
}

// startProcess starts a process on a host, unless one runs there. It knows the
// newest view.
func (c *player) startProcess(i int) {
	if c.live[i] != nil {
		return
	}
	if p := c.former[i]; p != nil {
		select {
		case <-p.ended:
		default: // it is told to end, and takes its time
			c.net.crash(i)
		}
	}
	c.lives[i]++
	p := &node{
		process:  &process{url: nameOf(i), life: c.lives[i]},
		scenario: c.scenario,
		ended:    make(chan struct{}),
	}
	c.inherit(p, c.former[i])
	if err := c.build(p, i); err != nil {
		c.t.Fatal(err)
	}
	c.history.note("", "%v: starts", p)
	p.views = [][]string{{p.url}}
	if err := p.set(c.history, c.view, c.news); err != nil {
		c.t.Fatal(err)
	}
	c.setLiving(i, p)
}

// endProcess ends the process on a host. What it still does is of no account.
func (c *player) endProcess(i int, kill func()) {
	p := c.live[i]
	if p == nil {
		return
	}
	c.history.record(func(now moment) {
		p.died = now
		c.history.notes = append(c.history.notes, note{now, "", p.String() + ": ends"})
	})
	kill()
	c.setLiving(i, nil)
	c.former[i] = p
	c.arrivals.Go(func() {
		defer close(p.ended)
		defer func() { c.history.happened(p) }()
		ctx, cancel := context.WithTimeout(context.Background(), boundTime)
		defer cancel()
		if err := p.pool.Shutdown(ctx); err != nil && !strings.Contains(err.Error(), "keys were changed meanwhile") {
			c.t.Errorf("%v: %v", p, err)
		}
		p.stop()
	})
}
