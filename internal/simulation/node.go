package simulation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/cluster"
)

// node is a process that runs, or has run.
type node struct {
	*process
	scenario *scenario
	pool     pool
	group    *peercache.Group
	near     *nearCache // nil: there is no cache in front
	stop     func()     // of what serves the pool
	ended    chan struct{}
	saves    bool // it was shut down, so that there may be a snapshot when it has ended

	mu    sync.Mutex // held while the view changes
	views [][]string // guarded by mu; all so far
	news  int        // guarded by mu; the number of the last view
}

// set gives p a view, unless it has a newer one, or is not in this one: nobody
// tells a process that it is out.
func (p *node) set(h *history, view []string, news int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.news >= news || !slices.Contains(view, p.url) {
		return nil
	}
	p.news = news
	p.views = append(p.views, view)
	h.record(func(now moment) { p.viewed = append(p.viewed, now) })
	h.note("", "%v: view %v", p, view)
	err := p.pool.Set(p.scenario.listing(view)...)
	if len(p.views) == 2 { // the first is that of the process alone
		h.record(func(now moment) { p.listed = now })
	}
	if err != nil && !errors.Is(err, peercache.ErrClosed) {
		return err
	}
	return nil
}

// errNotListed is what a process says to those that are not on its list.
var errNotListed = errors.New("not listed")

// build makes the pool and the group of a process on a host, and serves them.
func (c *player) build(p *node, host int) (err error) {
	pools := []peercache.PoolOption{peercache.WithDetectionTime(c.detect)}
	if c.snapshots && c.seed%4 == 0 { // then a value is restored, or loaded
		pools = append(pools, peercache.WithHandover(0, peercache.DefaultHandoverTime))
	}
	if c.listedOnly() {
		pools = append(pools, peercache.WithAccess(func(a peercache.Access) error {
			if !a.Member {
				return errNotListed
			}
			return nil
		}))
	}
	getter := peercache.Getter(origin{c.scenario, c.history, p.process})
	if c.batches {
		getter = batchOrigin{origin{c.scenario, c.history, p.process}}
	}
	options := []peercache.GroupOption{peercache.WithLoadTimeout(loadTimeout), peercache.WithStandIn(c.standIn)}
	options = append(options, c.freshness.options()...)
	if c.leveled() {
		options = append(options, peercache.WithSecondLevel(c.level))
	}
	if c.isGateway(host) {
		pools = append(pools, peercache.WithoutOwnership())
	} else if c.dir != "" {
		options = append(options, peercache.WithSnapshot(c.path(p), time.Hour))
	}
	cluster.RelayFrom(c.relayFrom, func() {
		p.pool, p.stop, err = c.net.start(host, pools, func(pool pool) (err error) {
			p.group, err = peercache.NewGroup("test", c.cacheBytes, getter, append(options, peercache.WithPeers(pool))...)
			if err == nil && c.hasNear(host) {
				p.near = newNearCache(p.group)
			}
			return err
		})
	})
	return err
}

// inherit has p find the snapshot of the process before it on its host. They have not the
// same path: one that crashed still runs in this process, and saves.
func (c *player) inherit(p, former *node) {
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
func (c *player) path(p *node) string {
	return filepath.Join(c.dir, fmt.Sprint(strings.TrimPrefix(p.url, "http://"), "-", p.life))
}

// options makes options of what a scenario asks for.
func (f freshness) options() []peercache.GroupOption {
	var options []peercache.GroupOption
	add := func(option func(time.Duration) peercache.GroupOption, d time.Duration) {
		if d > 0 {
			options = append(options, option(d))
		}
	}
	add(peercache.WithTTL, f.ttl)
	add(peercache.WithStaleWhileRevalidate, f.staleWhileRevalidate)
	add(peercache.WithStaleIfError, f.staleIfError)
	add(peercache.WithNegativeTTL, f.negativeTTL)
	add(peercache.WithRefreshAhead, f.refreshAhead)
	add(peercache.WithLease, f.lease)
	if f.jitter > 0 {
		options = append(options, peercache.WithTTLJitter(f.jitter))
	}
	return options
}
