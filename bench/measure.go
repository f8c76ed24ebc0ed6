package main

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// measuring says how subjects are measured.
type measuring struct {
	turn    time.Duration // of one subject at a time
	repeats int           // turns of each
	quick   bool          // with little data: only whether it works
	peers   int           // of the only cluster, where there are several; 0: all of them
	profile string        // where to write profiles to; empty: nowhere
}

// A subject is one of those that are compared.
type subject struct {
	name string
	// do does n operations on goroutine worker, and returns something that
	// depends on all of them, so that none is optimized away.
	do func(worker, n int) int
}

// A figure is what an operation costs.
type figure struct {
	ns     float64 // time that passes, divided by the operations of all workers
	allocs float64
}

// sideBySide measures subjects with the given number of goroutines. They take
// turns, so that what else happens on the machine meets all of them; the median
// of each one's turns counts.
func (m measuring) sideBySide(workers int, subjects []subject) []figure {
	ns := make([][]float64, len(subjects))
	allocs := make([][]float64, len(subjects))
	sizes := make([]int, len(subjects))
	for i, s := range subjects {
		sizes[i] = m.size(workers, s)
	}
	for turn := range m.repeats {
		for i := range subjects {
			i := (i + turn) % len(subjects) // nobody always follows the same one
			f := measure(workers, sizes[i], subjects[i])
			ns[i] = append(ns[i], f.ns)
			allocs[i] = append(allocs[i], f.allocs)
		}
	}
	figures := make([]figure, len(subjects))
	for i := range figures {
		figures[i] = figure{median(ns[i]), median(allocs[i])}
	}
	return figures
}

// size returns how many operations of each worker take about one turn. To find
// out warms the subject up.
func (m measuring) size(workers int, s subject) int {
	for n := 100; ; n *= 4 {
		f := measure(workers, n, s)
		took := time.Duration(f.ns * float64(n*workers))
		if took >= m.turn/4 {
			return max(1, int(float64(n)*float64(m.turn)/float64(took)))
		}
	}
}

// kept is where results go that nobody wants.
var kept [64]struct {
	result int
	_      [56]byte // a cache line for each worker
}

// measure lets each worker do n operations.
func measure(workers, n int, s subject) figure {
	runtime.GC() // what came before is not this one's to clean up
	var before, after runtime.MemStats
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for worker := range workers {
		wg.Go(func() {
			<-begin
			kept[worker%len(kept)].result += s.do(worker, n)
		})
	}
	runtime.ReadMemStats(&before)
	start := time.Now()
	close(begin)
	wg.Wait()
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	ops := float64(n * workers)
	return figure{float64(took.Nanoseconds()) / ops, float64(after.Mallocs-before.Mallocs) / ops}
}

// median returns the middle of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
