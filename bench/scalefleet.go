package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
)

const (
	// scaleKeys are kept by each process, of scaleValue bytes each.
	scaleKeys, scaleValue = 100, 32
	// scaleBytes is room for so many keys more than once, so that none is evicted.
	scaleBytes = 256 << 10
	// briefly is for how long a change of the view counts in the groups that settle soon, and
	// longs for how long in the others: longer than the simulation takes.
	briefly, long = time.Second, 30 * time.Minute
	// scalePatience is how long a process may take to tell all others something, or to hand
	// over what it has. One machine does the work of all of them.
	scalePatience = 5 * time.Minute
)

// fleet is a cluster of processes with real pools and groups, which all are in this one.
type fleet struct {
	net       *callNet
	processes []*process
	loads     atomic.Int64 // by the getters of the groups that keep
}

// process is one of a fleet.
type process struct {
	host string
	port *port // the same for all that come one after the other at this address
	pool *peercache.HTTPPool
	// kept is full of keys, and values are handed over in it all the time.
	kept *peercache.Group
	// soon is for changes in a settled cluster.
	soon *peercache.Group
}

func (p *process) url() string { return "http://" + p.host }

// newFleet starts n processes that know each other.
func newFleet(n int) (*fleet, error) {
	f := &fleet{net: new(callNet)}
	for range n {
		if err := f.grow(); err != nil {
			return nil, err
		}
	}
	_, err := f.costUntilQuiet(f.announcements(), func() error { return f.introduce(f.processes) })
	return f, err
}

// grow adds a process that knows nobody, nor is known.
func (f *fleet) grow() error {
	p := &process{host: fmt.Sprintf("10.%d.%d.1:8001", len(f.processes)/250, len(f.processes)%250), port: &port{net: f.net}}
	f.processes = append(f.processes, p)
	return f.start(p)
}

// start starts a process at its address, with nothing cached.
func (f *fleet) start(p *process) (err error) {
	p.pool, err = peercache.NewHTTPPool(p.url(), peercache.WithTransport(p.port), peercache.WithoutStream(),
		peercache.WithDetectionTime(scalePatience), peercache.WithPeerTimeout(scalePatience),
		peercache.WithHandover(peercache.DefaultHandoverBytes, scalePatience))
	if err != nil {
		return err
	}
	value := make([]byte, scaleValue)
	p.kept, err = peercache.NewGroup("kept", scaleBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		f.loads.Add(1)
		return value, nil
	}), peercache.WithPeers(p.pool), peercache.WithStandIn(long), peercache.WithHotShare(0))
	if err != nil {
		return err
	}
	p.soon, err = peercache.NewGroup("soon", scaleBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return value, nil
	}), peercache.WithPeers(p.pool), peercache.WithStandIn(briefly), peercache.WithLease(briefly))
	if err != nil {
		return err
	}
	f.net.pools.Store(p.host, p.pool)
	return nil
}

// stop ends a process in the order in which processes end.
func (f *fleet) stop(p *process) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*scalePatience)
	defer cancel()
	err := p.pool.Shutdown(ctx)
	f.net.pools.Delete(p.host)
	return err
}

// close ends all processes, and gives them no time for it: what each tells the others, and
// hands over, costs as much as a change of the view. The network goes first.
func (f *fleet) close() error {
	f.net.pools.Clear()
	ended, end := context.WithCancel(context.Background())
	end()
	return f.atOnce(f.processes, func(p *process) error {
		if err := p.pool.Shutdown(ended); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

// atOnce does something for each of the processes, for as many at once as there are
// processors.
func (f *fleet) atOnce(processes []*process, do func(*process) error) error {
	var all errgroup.Group
	all.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range processes {
		all.Go(func() error { return do(p) })
	}
	return all.Wait()
}

// introduce gives some of the processes a view of all.
func (f *fleet) introduce(to []*process) error {
	urls := make([]string, len(f.processes))
	for i, p := range f.processes {
		urls[i] = p.url()
	}
	return f.atOnce(to, func(p *process) error { return p.pool.Set(urls...) })
}

// announcements is how many messages it takes that all tell all of their view.
func (f *fleet) announcements() int64 { return int64(len(f.processes)) * int64(len(f.processes)-1) }

// fill has all keys loaded by those that own them, and returns the keys of each.
func (f *fleet) fill() (map[*process][]string, error) {
	byURL := make(map[string]*process)
	for _, p := range f.processes {
		byURL[p.url()] = p
	}
	keys := make(map[*process][]string)
	for i := range scaleKeys * len(f.processes) {
		key, owner := fmt.Sprintf("key-%d", i), f.processes[0]
		if peer := owner.pool.Pick(key, 0); peer != nil {
			owner = byURL[peer.Name()]
		}
		keys[owner] = append(keys[owner], key)
	}
	return keys, f.atOnce(f.processes, func(p *process) error { return ask(p, keys[p]) })
}

// ask has a process Get keys that are kept.
func ask(p *process, keys []string) error {
	for _, key := range keys {
		if _, err := p.kept.Get(context.Background(), key); err != nil {
			return err
		}
	}
	return nil
}

// stranger returns a process other than p that is no candidate of key.
func (f *fleet) stranger(key string, p *process) *process {
	for _, s := range f.processes {
		candidate := false
		for n := range candidatesOfAKey {
			candidate = candidate || s.pool.Pick(key, n) == nil
		}
		if s != p && !candidate {
			return s
		}
	}
	return nil
}

// price is what something took in a fleet.
type price struct {
	traffic
	most int64         // requests of the process that sent most of them
	cpu  time.Duration // of this process, which is all of them
	took time.Duration // until the last request was answered
}

// sent is what went through all ports so far, and by each process.
func (f *fleet) sent() (all traffic, each map[*process]traffic) {
	each = make(map[*process]traffic)
	for _, p := range f.processes {
		each[p] = p.port.sent()
		all = all.plus(each[p])
	}
	return all, each
}

// cost does something, which returns when the last of it was done, and counts meanwhile.
func (f *fleet) cost(do func() (last time.Time, err error)) (c price, err error) {
	all, each := f.sent()
	cpu, start := cpuTime(), time.Now()
	last, err := do()
	c.cpu, c.took = cpuTime()-cpu, last.Sub(start)
	now, by := f.sent()
	c.traffic = now.minus(all)
	for p, t := range by {
		c.most = max(c.most, t.minus(each[p]).requests)
	}
	return c, err
}

// costUntilQuiet is cost of something that goes on after do has returned: until there have
// been so many requests, and no more are on their way.
func (f *fleet) costUntilQuiet(least int64, do func() error) (price, error) {
	runtime.GC() // what came before is not this one's to clean up
	before, _ := f.sent()
	return f.cost(func() (last time.Time, err error) {
		if err := do(); err != nil {
			return last, err
		}
		return f.net.quiet(func() bool {
			now, _ := f.sent()
			return now.requests-before.requests >= least
		})
	})
}
