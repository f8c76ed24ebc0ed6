package main

import (
	"context"
	"math"
	"time"
)

// restart is what one process takes that ends by Shutdown, and another one that begins at its
// address.
type restart struct {
	Ends, Begins price
	Keys         int   // that it kept
	Loads        int64 // of these, by anybody, when they were asked for after it ended and after it began
}

// restarts is what the restart of several processes takes.
type restarts struct {
	Of    int // so many; 0: it was not measured
	Price price
}

// deploys has processes restarted: one, a tenth at the same time, and one after the other.
func (f *fleet) deploys(s *scaled) (err error) {
	if s.Restart, err = f.restartOne(); err != nil {
		return err
	}
	if s.Restart.Ends.CPU+s.Restart.Begins.CPU > mostChange {
		return nil
	}
	time.Sleep(scaleSettled)
	if s.Wave, err = f.restartTenth(); err != nil {
		return err
	}
	time.Sleep(scaleSettled)
	s.Rolling, err = f.restartInOrder()
	return err
}

// restartOne has one process end and another one begin at its address. After each, the keys that
// it kept are asked for.
func (f *fleet) restartOne() (r restart, err error) {
	keys, err := f.fill()
	if err != nil {
		return r, err
	}
	p := f.processes[0]
	r.Keys = len(keys[p])
	loads := f.loads.Load()
	if r.Ends, err = f.cost(func() error { return f.stop(p) }); err != nil {
		return r, err
	}
	if err := ask(f.processes[1], keys[p]); err != nil {
		return r, err
	}
	if r.Begins, err = f.cost(func() error { return f.begin(p) }); err != nil {
		return r, err
	}
	err = ask(f.processes[2], keys[p]) // not by one that has copies
	r.Loads = f.loads.Load() - loads
	return r, err
}

// begin starts a process at its address with the list of all, and returns when it is ready.
func (f *fleet) begin(p *process) error {
	if err := f.start(p); err != nil {
		return err
	}
	if err := f.introduce([]*process{p}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), scalePatience)
	defer cancel()
	return p.pool.Ready(ctx)
}

// startingTime is how long it takes from the end of a process to the beginning of the next.
const startingTime = 2 * time.Second

// restartTenth has a tenth of the processes end, all at the same time, and others begin.
func (f *fleet) restartTenth() (r restarts, err error) {
	r.Of = len(f.processes) / 10
	tenth := f.processes[:r.Of]
	r.Price, err = f.cost(func() error {
		if err := f.atOnce(tenth, math.MaxInt, f.stop); err != nil {
			return err
		}
		time.Sleep(startingTime)
		return f.atOnce(tenth, math.MaxInt, f.begin)
	})
	return r, err
}

// mostRolling bounds the processor time of the restarts in order: the rest of them takes as much.
const mostRolling = 20 * time.Second

// restartInOrder has one process after the other restarted, each when the one before is ready.
func (f *fleet) restartInOrder() (r restarts, err error) {
	r.Price, err = f.cost(func() error {
		for began := cpuTime(); r.Of < len(f.processes) && (r.Of < 3 || cpuTime()-began < mostRolling); r.Of++ {
			p := f.processes[r.Of]
			if err := f.stop(p); err != nil {
				return err
			}
			time.Sleep(startingTime)
			if err := f.begin(p); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}

// rolling is what the restart of all in order takes each peer, and of how many of them it was
// measured. seconds are of processor time, without gc, which are the collector's.
func (s *scaled) rolling() (messages, kib, seconds, gc float64, measured int) {
	sum, cpu, collector := s.Restart.Ends.plus(s.Restart.Begins.traffic), s.Restart.Ends.CPU+s.Restart.Begins.CPU, s.Restart.Ends.GC+s.Restart.Begins.GC
	measured = 1
	if s.Rolling.Of > 0 {
		measured, sum, cpu, collector = s.Rolling.Of, s.Rolling.Price.traffic, s.Rolling.Price.CPU, s.Rolling.Price.GC
	}
	// All of n restarts is n/measured times as much, of which each peer has one n-th.
	all := float64(measured)
	return float64(sum.Requests) / all, float64(sum.Bytes) / 1024 / all, (cpu - collector).Seconds() / all, collector.Seconds() / all, measured
}
