package main

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is how fetchers are used while they are measured.
type load struct {
	workers int
	timed   bool // take the time of each fetch: p50 and p99
	beside  bool // while one more worker gets huge values
	skewed  bool // some keys are asked for much more often than others: Zipf with skew

	order []uint32 // places of keys: each worker goes through all of it, from a place of its own
}

// skew is how skewed a load is: the n-th key is asked for 1/n^skew as often as the first.
const skew = 1.1

// ordered returns l with an order of so many keys.
func (l load) ordered(keys int) load {
	r := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(r, skew, 1, uint64(keys-1))
	l.order = make([]uint32, 1<<18)
	for i := range l.order {
		if l.skewed {
			l.order[i] = uint32(zipf.Uint64())
		} else {
			l.order[i] = r.Uint32N(uint32(keys))
		}
	}
	return l
}

// cost is what fetching keys takes.
type cost struct {
	rate     float64 // keys in a second
	p50, p99 float64 // of one call, in ns
	cpu      float64 // of a key in ns, on all sides
	conns    float64 // connections at once, at most
}

func medianCost(costs []cost) cost {
	of := func(field func(cost) float64) float64 {
		values := make([]float64, len(costs))
		for i, c := range costs {
			values[i] = field(c)
		}
		return median(values)
	}
	return cost{
		rate:  of(func(c cost) float64 { return c.rate }),
		p50:   of(func(c cost) float64 { return c.p50 }),
		p99:   of(func(c cost) float64 { return c.p99 }),
		cpu:   of(func(c cost) float64 { return c.cpu }),
		conns: of(func(c cost) float64 { return c.conns }),
	}
}

// rampUp is the part of a turn that comes before it, and is not counted: connections are
// made in it.
const rampUp = 4

// measure lets the workers of l fetch values of a kind for one turn. It leaves nothing that
// those who are measured next would pay for, such as goroutines of idle connections.
func (b *peersBench) measure(f *fetcher, of valueKind, l load) (cost, error) {
	defer f.rest()
	if _, _, _, err := b.fetch(f, of, l, b.m.turn/rampUp); err != nil {
		return cost{}, err
	}
	runtime.GC() // what came before is not this one's to clean up
	f.dials.reset()
	before, err := b.usage()
	if err != nil {
		return cost{}, err
	}
	keys, times, took, err := b.fetch(f, of, l, b.m.turn)
	if err != nil {
		return cost{}, err
	}
	after, err := b.usage()
	if err != nil {
		return cost{}, err
	}
	c := cost{
		rate:  float64(keys) / took.Seconds(),
		cpu:   float64(after-before) / float64(keys),
		conns: float64(f.dials.most.Load()),
	}
	if len(times) > 0 {
		slices.Sort(times)
		c.p50, c.p99 = float64(times[len(times)/2]), float64(times[len(times)*99/100])
	}
	return c, nil
}

// fetch lets the workers of l fetch values of a kind for a time. It returns how many they
// got, how long each call took if l says so, and how long all of it.
func (b *peersBench) fetch(f *fetcher, of valueKind, l load, during time.Duration) (keys int, times []time.Duration, took time.Duration, err error) {
	var (
		stop    atomic.Bool
		all     errgroup.Group
		mu      sync.Mutex // of keys and times
		start   = time.Now()
		stopped = time.AfterFunc(during, func() { stop.Store(true) })
	)
	defer stopped.Stop()
	if l.beside {
		all.Go(func() error {
			for !stop.Load() {
				if err := f.get(b.huge(), b.keys[b.huge()][0]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for worker := range l.workers {
		all.Go(func() error {
			n, took, err := b.work(f, of, worker, l, &stop)
			mu.Lock()
			defer mu.Unlock()
			keys, times = keys+n, append(times, took...)
			return err
		})
	}
	err = all.Wait()
	return keys, times, time.Since(start), err
}

// work is one worker: it fetches until it is stopped, once at least, and returns
// how many keys it got.
func (b *peersBench) work(f *fetcher, of valueKind, worker int, l load, stop *atomic.Bool) (n int, times []time.Duration, err error) {
	keys := b.keys[of]
	at := worker * len(l.order) / l.workers
	if of == batch {
		at = worker * batchKeys
	}
	for n == 0 || !stop.Load() {
		var start time.Time
		if l.timed {
			start = time.Now()
		}
		if of == batch {
			// Each caller has keys of its own, so that none shares an answer.
			err = f.getAll(keys[at:][:batchKeys])
			at = (at + l.workers*batchKeys) % len(keys)
			n += batchKeys
		} else {
			err = f.get(of, keys[l.order[at%len(l.order)]])
			at++
			n++
		}
		if err != nil {
			return n, nil, err
		}
		if l.timed {
			times = append(times, time.Since(start))
		}
	}
	return n, times, nil
}

// usage adds up the processor time that this process and the owners have used.
func (b *peersBench) usage() (time.Duration, error) {
	all := cpuTime()
	for _, n := range b.nodes {
		r, err := n.ask()
		if err != nil {
			return 0, err
		}
		all += r.CPU
	}
	return all, nil
}

// dials counts the connections that a fetcher has open.
type dials struct{ open, most atomic.Int64 }

// reset begins to look for the most from now on.
func (d *dials) reset() { d.most.Store(d.open.Load()) }

// dial makes a connection that is counted.
func (d *dials) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	n := d.open.Add(1)
	for m := d.most.Load(); n > m && !d.most.CompareAndSwap(m, n); m = d.most.Load() {
	}
	return &counted{Conn: c, d: d}, nil
}

// counted is a connection that dials has counted.
type counted struct {
	net.Conn
	d    *dials
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.d.open.Add(-1) })
	return c.Conn.Close()
}
