package main

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is how fetchers are used while they are measured.
type load struct {
	workers int
	timed   bool // take the time of each fetch: p50 and p99
	beside  bool // while one more worker gets huge values
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

// measure lets the workers of l fetch values of a kind for one turn.
func (b *peersBench) measure(f *fetcher, of valueKind, l load) (cost, error) {
	runtime.GC() // what came before is not this one's to clean up
	f.dials.reset()
	before, err := b.usage()
	if err != nil {
		return cost{}, err
	}
	var (
		stop    atomic.Bool
		wg      sync.WaitGroup
		counts  = make([]int, l.workers)
		times   = make([][]time.Duration, l.workers)
		errs    = make(chan error, l.workers+1)
		start   = time.Now()
		stopped = time.AfterFunc(b.m.turn, func() { stop.Store(true) })
	)
	defer stopped.Stop()
	if l.beside {
		wg.Go(func() {
			for !stop.Load() {
				if err := f.get(b.huge(), b.keys[b.huge()][0]); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for worker := range l.workers {
		wg.Go(func() {
			var err error
			counts[worker], times[worker], err = b.work(f, of, worker, l, &stop)
			if err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	select {
	case err := <-errs:
		return cost{}, err
	default:
	}
	after, err := b.usage()
	if err != nil {
		return cost{}, err
	}
	keys := 0
	for _, n := range counts {
		keys += n
	}
	c := cost{
		rate:  float64(keys) / took.Seconds(),
		cpu:   float64(after-before) / float64(keys),
		conns: float64(f.dials.most.Load()),
	}
	if all := slices.Concat(times...); len(all) > 0 {
		slices.Sort(all)
		c.p50, c.p99 = float64(all[len(all)/2]), float64(all[len(all)*99/100])
	}
	return c, nil
}

// work is one worker: it fetches until it is stopped, once at least, and returns
// how many keys it got.
func (b *peersBench) work(f *fetcher, of valueKind, worker int, l load, stop *atomic.Bool) (n int, times []time.Duration, err error) {
	keys := b.keys[of]
	if of == batch { // each caller has keys of its own, so that none shares an answer
		keys = keys[worker*batchKeys:][:batchKeys]
	}
	// Of single keys, workers seldom ask for the same at one time: each has a step
	// of its own, which is odd and so leads to all of them.
	at, step := worker*len(keys)/l.workers, 2*worker+1
	for n == 0 || !stop.Load() {
		var start time.Time
		if l.timed {
			start = time.Now()
		}
		if of == batch {
			err = f.getAll(keys)
			n += len(keys)
		} else {
			err = f.get(of, keys[at%len(keys)])
			at += step
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
