package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/simnet"
)

// simProcess is a process that runs, or has run.
type simProcess struct {
	*process
	pool  *peercache.HTTPPool
	group *peercache.Group
	stop  func() // of what serves the pool
	ended chan struct{}
	saves bool // it was shut down, so that there may be a snapshot when it has ended

	mu    sync.Mutex // held while the view changes
	views [][]string // guarded by mu; all so far
	news  int        // guarded by mu; the number of the last view
}

// simulation is a scenario while it is played.
type simulation struct {
	*scenario
	t       *testing.T
	net     *simnet.Network
	history *history
	dir     string // of the snapshots; empty if there are none
	forger  *simForger

	ctx      context.Context // of all calls
	calls    sync.WaitGroup  // that are in progress
	arrivals sync.WaitGroup  // views under way, processes that end

	mu   sync.Mutex
	live []*simProcess // guarded by mu, written by the driver alone; by host; nil: none

	// The rest is the driver's alone.
	former []*simProcess // by host; the last one
	lives  []int         // by host; how many there were
	view   []string      // the newest
	news   int           // its number
}

// living returns the process that runs on a host, or nil.
func (c *simulation) living(i int) *simProcess {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.live[i]
}

// setLiving says what runs on a host.
func (c *simulation) setLiving(i int, p *simProcess) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[i] = p
}

// simURL returns the base URL of what runs on the i-th host.
func simURL(i int) string { return "http://" + host(i) + ":8001" }

// play does what a scenario says, in a bubble of testing/synctest, and returns
// what happened.
func play(t *testing.T, s *scenario) *history {
	c := &simulation{
		scenario: s, t: t, net: simnet.New(s.seed), history: newHistory(),
		live: make([]*simProcess, s.hosts), former: make([]*simProcess, s.hosts), lives: make([]int, s.hosts),
	}
	defer c.net.Close()
	c.forger = newSimForger(c.net, s.hosts)
	defer c.forger.http.CloseIdleConnections()
	if s.snapshots {
		c.dir = t.TempDir()
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.ctx = ctx
	c.net.SetLink(s.link)
	c.announce(s.members)
	for _, i := range s.members {
		c.startProcess(i)
	}
	time.Sleep(simStart)
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
func (c *simulation) perform(s step) {
	switch s.do {
	case doGet, doGetMulti, doRemove, doSet, doClear:
		if p := c.live[s.host]; p != nil {
			c.calls.Go(func() { c.call(p, s) })
		}
	case doWrite:
		c.history.write(s.keys[0], s.absent)
	case doStart:
		c.startProcess(s.host)
	case doCrash:
		c.endProcess(s.host, func() { c.net.Crash(host(s.host)) })
	case doPowerOff:
		c.endProcess(s.host, func() { c.net.PowerOff(host(s.host)) })
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
		c.calls.Go(func() { c.forger.forge(c.ctx, s) })
	case doEndStorm:
		c.endStorm()
	default:
		c.disturb(s)
	}
}

// disturb does one thing to the network.
func (c *simulation) disturb(s step) {
	a, b := host(s.host), host(s.other)
	switch s.do {
	case doCut:
		c.history.note("", "cut %s and %s", a, b)
		c.net.Cut(a, b)
	case doCutOneWay:
		c.history.note("", "cut from %s to %s", a, b)
		c.net.CutOneWay(a, b)
	case doCutAfter:
		c.history.note("", "cut from %s to %s after %d bytes", a, b, s.size)
		c.net.CutAfter(a, b, s.size)
	case doResetAfter:
		c.history.note("", "reset from %s to %s after %d bytes", a, b, s.size)
		c.net.ResetAfter(a, b, s.size)
	case doHeal:
		c.history.note("", "heal %s and %s", a, b)
		c.net.Heal(a, b)
	case doReset:
		c.history.note("", "reset %s and %s", a, b)
		c.net.Reset(a, b)
	case doFreeze:
		c.history.note("", "freeze %s", a)
		c.net.Freeze(a)
	case doThaw:
		c.history.note("", "thaw %s", a)
		c.net.Thaw(a)
	}
}

// endStorm ends all faults, and gives all members the last view.
func (c *simulation) endStorm() {
	c.history.note("", "the storm is over")
	c.net.HealAll()
	c.announce(c.finally)
	for i, p := range c.live {
		c.net.Thaw(host(i))
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
func (c *simulation) converge() {
	ended := make(chan struct{})
	go func() {
		c.calls.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(simBound):
	}
	c.history.record(func(now moment) { c.history.bound = now })
	remover := c.live[c.finally[0]]
	c.invalidate(remover, &invalidation{what: "Remove", keys: c.keys, patience: simBound, final: true}, func(ctx context.Context) error {
		return remover.group.Remove(ctx, c.keys...)
	})
	for _, i := range c.finally {
		c.getMulti(c.live[i], c.keys, simBound, true)
	}
}

// announce makes hosts the newest view.
func (c *simulation) announce(hosts []int) {
	c.news++
	c.view = nil
	for _, i := range hosts {
		c.view = append(c.view, simURL(i))
	}
}

// deliver gives p the newest view after a time.
func (c *simulation) deliver(p *simProcess, after time.Duration) {
	view, news := c.view, c.news
	c.arrivals.Go(func() {
		time.Sleep(after)
		if err := p.set(c.history, view, news); err != nil {
			c.t.Error(err)
		}
	})
}

// set gives p a view, unless it has a newer one, or is not in this one: nobody
// tells a process that it is out.
func (p *simProcess) set(h *history, view []string, news int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.news >= news || !slices.Contains(view, p.url) {
		return nil
	}
	p.news = news
	p.views = append(p.views, view)
	h.note("", "%v: view %v", p, view)
	err := p.pool.Set(view...)
	if len(p.views) == 2 { // the first is that of the process alone
		h.record(func(now moment) { p.listed = now })
	}
	if err != nil && !errors.Is(err, peercache.ErrClosed) {
		return err
	}
	return nil
}

// startProcess starts a process on a host, unless one runs there. It knows the
// newest view.
func (c *simulation) startProcess(i int) {
	if c.live[i] != nil {
		return
	}
	if p := c.former[i]; p != nil {
		select {
		case <-p.ended:
		default: // it is told to end, and takes its time
			c.net.Crash(host(i))
		}
	}
	c.lives[i]++
	p := &simProcess{
		process: &process{url: simURL(i), life: c.lives[i]},
		ended:   make(chan struct{}),
	}
	c.inherit(p, c.former[i])
	h := c.net.Host(host(i))
	if err := c.build(p, h); err != nil {
		c.t.Fatal(err)
	}
	c.history.note("", "%v: starts", p)
	p.views = [][]string{{p.url}}
	if err := p.set(c.history, c.view, c.news); err != nil {
		c.t.Fatal(err)
	}
	c.setLiving(i, p)
}

// inherit has p find the snapshot of the process before it on its host. They have not the
// same path: one that crashed still runs in this process, and saves.
func (c *simulation) inherit(p, former *simProcess) {
	if c.dir == "" || former == nil || !former.saves {
		return
	}
	select {
	case <-former.ended:
		if err := os.Rename(c.path(former), c.path(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Error(err)
		}
	default:
	}
}

// path returns where a process has its snapshot.
func (c *simulation) path(p *simProcess) string {
	return filepath.Join(c.dir, fmt.Sprint(strings.TrimPrefix(p.url, "http://"), "-", p.life))
}

// build makes the pool and the group of a process, and serves them.
func (c *simulation) build(p *simProcess, h *simnet.Host) (err error) {
	pool := []peercache.PoolOption{
		peercache.WithTransport(h.Transport()), peercache.WithDetectionTime(c.detect),
		peercache.WithPeerTimeout(simPeerTimeout),
	}
	if c.snapshots && c.seed%4 == 0 { // then a value is restored, or loaded
		pool = append(pool, peercache.WithHandover(0, peercache.DefaultHandoverTime))
	}
	if c.plain {
		pool = append(pool, peercache.WithoutStream())
	} else {
		pool = append(pool, peercache.WithLargeValue(2<<10))
	}
	if p.pool, err = peercache.NewHTTPPool(p.url, pool...); err != nil {
		return err
	}
	getter := peercache.Getter(simOrigin{c.scenario, c.history, p.process})
	if c.batches {
		getter = simBatchOrigin{simOrigin{c.scenario, c.history, p.process}}
	}
	options := []peercache.GroupOption{peercache.WithPeers(p.pool), peercache.WithLoadTimeout(simLoadTimeout), peercache.WithStandIn(simStandIn)}
	options = append(options, c.freshness.options()...)
	if c.dir != "" {
		options = append(options, peercache.WithSnapshot(c.path(p), time.Hour))
	}
	if p.group, err = peercache.NewGroup("test", c.cacheBytes, getter, options...); err != nil {
		return err
	}
	p.stop, err = simnet.Serve(h, strings.TrimPrefix(p.url, "http://"), p.pool)
	return err
}

// endProcess ends the process on a host. What it still does is of no account.
func (c *simulation) endProcess(i int, kill func()) {
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
		ctx, cancel := context.WithTimeout(context.Background(), simBound)
		defer cancel()
		if err := p.pool.Shutdown(ctx); err != nil && !strings.Contains(err.Error(), "keys were changed meanwhile") {
			c.t.Errorf("%v: %v", p, err)
		}
		p.stop()
	})
}
