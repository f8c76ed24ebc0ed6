package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
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
	// scalePatience is how long a process may take to end, or to be ready.
	scalePatience = 5 * time.Minute
	// scaleSettled is longer than a change of the view counts, and than a lease.
	scaleSettled = 2 * time.Minute
)

// fleet is a cluster of processes with real pools and groups, as they are by default, which all
// are in this one. They are connected by calls. Time is meant to be virtual.
type fleet struct {
	net       *callNet
	processes []*process
	loads     atomic.Int64 // by the getters of the groups
}

// process is one of a fleet.
type process struct {
	host  string
	port  *port // the same for all that come one after the other at this address
	pool  *peercache.HTTPPool
	group *peercache.Group
}

func (p *process) url() string { return "http://" + p.host }

// newFleet starts n processes that know each other. cold is what that took.
func newFleet(n int) (f *fleet, cold price, err error) {
	f = &fleet{net: new(callNet)}
	for range n {
		if err := f.grow(); err != nil {
			return nil, cold, err
		}
	}
	cold, err = f.cost(func() error { return f.introduce(f.processes) })
	return f, cold, err
}

// grow adds a process that knows nobody, nor is known.
func (f *fleet) grow() error {
	p := &process{host: fmt.Sprintf("10.%d.%d.1:8001", len(f.processes)/250, len(f.processes)%250), port: &port{net: f.net}}
	f.processes = append(f.processes, p)
	return f.start(p)
}

// start starts a process at its address, with nothing cached.
func (f *fleet) start(p *process) (err error) {
	p.pool, err = peercache.NewHTTPPool(p.url(), peercache.WithInsecure(), peercache.WithTransport(p.port), peercache.WithoutStream())
	if err != nil {
		return err
	}
	value := make([]byte, scaleValue)
	p.group, err = peercache.NewGroup("scale", scaleBytes, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		f.loads.Add(1)
		return value, nil
	}), peercache.WithPeers(p.pool))
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
	return f.atOnce(f.processes, runtime.GOMAXPROCS(0), func(p *process) error {
		if err := p.pool.Shutdown(ended); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

// atOnce does something for each of the processes, for so many at once.
func (f *fleet) atOnce(processes []*process, limit int, do func(*process) error) error {
	var all errgroup.Group
	all.SetLimit(limit)
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
	return f.atOnce(to, runtime.GOMAXPROCS(0), func(p *process) error { return p.pool.Set(urls...) })
}

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
	return keys, f.atOnce(f.processes, runtime.GOMAXPROCS(0), func(p *process) error { return ask(p, keys[p]) })
}

// ask has a process Get keys.
func ask(p *process, keys []string) error {
	for _, key := range keys {
		if _, err := p.group.Get(context.Background(), key); err != nil {
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
	Most int64         // requests of the process that sent most of them
	CPU  time.Duration // of this process, which is all of them
	GC   time.Duration // of CPU: the collector's
	Took time.Duration // until all was said
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

// count does something, which returns when the last of it was done, and counts meanwhile.
func (f *fleet) count(do func() error) (c price, err error) {
	all, each := f.sent()
	cpu, gc, start := cpuTime(), gcTime(), time.Now()
	err = do()
	c.CPU, c.GC, c.Took = cpuTime()-cpu, gcTime()-gc, time.Since(start)
	now, by := f.sent()
	c.traffic = now.minus(all)
	for p, t := range by {
		c.Most = max(c.Most, t.minus(each[p]).Requests)
	}
	return c, err
}

// gcTime returns the processor time that the collector has taken, up to the end of its last cycle.
func gcTime() time.Duration {
	s := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return time.Duration(s[0].Value.Float64() * float64(time.Second))
}

// cost is count of something that goes on after do has returned, until the fleet is quiet.
func (f *fleet) cost(do func() error) (price, error) {
	runtime.GC() // what came before is not this one's to clean up
	var quiet time.Duration
	c, err := f.count(func() (err error) {
		if err := do(); err != nil {
			return err
		}
		quiet, err = f.quiet()
		return err
	})
	c.Took -= quiet
	return c, err
}

const (
	// quietFor is for how long a fleet sends no more than one message a process when all that was
	// to be said has been.
	quietFor  = 3 * time.Second
	quietLook = quietFor / 12
)

// quiet waits until all processes have all others in their views, and have been quiet. It returns
// for how long they have been.
func (f *fleet) quiet() (time.Duration, error) {
	sent := []int64{} // up to each of the last looks
	for began := time.Now(); time.Since(began) < scalePatience; time.Sleep(quietLook) {
		all, _ := f.sent()
		sent = append(sent, all.Requests)
		before := len(sent) - 1 - int(quietFor/quietLook)
		if before >= 0 && sent[len(sent)-1]-sent[before] <= int64(len(f.processes)) && f.whole() {
			return quietFor, nil
		}
	}
	return 0, fmt.Errorf("the peers do not agree after %v", scalePatience)
}

// whole reports whether each process that answers has all others in its view.
func (f *fleet) whole() bool {
	alive := 0
	f.net.pools.Range(func(_, _ any) bool {
		alive++
		return true
	})
	for _, p := range f.processes {
		if _, ok := f.net.pools.Load(p.host); ok && len(p.pool.Peers()) != alive-1 {
			return false
		}
	}
	return true
}
