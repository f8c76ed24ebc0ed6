package singleflight

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// run is one run of a function, which ends one flight or several. It is the context of the
// function. Most functions ask that for values alone. So the rest of a context, with its channel
// and its timer, is made when a function asks for it.
type run[V any] struct {
	call[V] // its flights
	group   *Group[V]
	one     [1]*Flight[V]   // flights, if it is one
	values  context.Context // has the values of the first caller's context, and no end
	began   time.Duration   // since start; only if there is a Timeout

	// These are guarded by Group.mu. They are the run's place in Group.oldest.
	older, younger *run[V]
	listed         bool

	whole atomic.Pointer[whole] // nil: not asked for; written with mu held
	mu    sync.Mutex
	err   error // guarded by mu; why the context has ended; not set by a timeout once there is a whole
}

// whole is the context that does for a run what a run does not do itself.
type whole struct {
	context.Context
	cancel   context.CancelFunc
	deadline time.Time // zero: none
}

// begin returns a run for flights that a caller with ctx starts: the run of f, if flights is nil.
// If cancelAbandoned is true, its context ends when nobody waits for any of the flights.
func (g *Group[V]) begin(ctx context.Context, f *Flight[V], flights []*Flight[V], cancelAbandoned bool) *run[V] {
	r := &run[V]{group: g, values: ctx}
	if r.flights = flights; flights == nil {
		r.one[0] = f
		r.flights = r.one[:]
	}
	if ctx.Done() != nil {
		r.values = context.WithoutCancel(ctx)
	}
	if g.Timeout > 0 {
		r.began = time.Since(start)
	}
	g.mu.Lock()
	if g.Timeout > 0 {
		g.listRun(r)
	}
	if !cancelAbandoned {
		g.mu.Unlock()
		return r
	}
	r.always, r.cancel = true, func() { r.end(context.Canceled) }
	g.unlockWithdrawable(&r.call)
	return r
}

// do calls fn and ends the flight of r with its result.
func (r *run[V]) do(fn func(context.Context, *Flight[V]) (V, error)) {
	var v V
	err := ErrGoexit // if fn neither returns nor panics
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		r.finish([]V{v}, []error{err})
	}()
	v, err = fn(r, r.one[0])
}

// doAll calls fn and ends the flights of r with its results.
func (r *run[V]) doAll(fn func(context.Context) ([]V, []error)) {
	var vals []V
	var errs []error
	failure := ErrGoexit
	defer func() {
		if p := recover(); p != nil {
			failure = &PanicError{Value: p, Stack: debug.Stack()}
		}
		if failure != nil {
			vals, errs = make([]V, len(r.flights)), make([]error, len(r.flights))
			for i := range errs {
				errs[i] = failure
			}
		}
		r.finish(vals, errs)
	}()
	vals, errs = fn(r)
	failure = nil
}

// finish ends the flights of r, and then its context.
func (r *run[V]) finish(vals []V, errs []error) {
	defer r.end(context.Canceled)
	r.group.mu.Lock()
	defer r.group.mu.Unlock()
	r.group.unlistRun(r)
	r.group.endAll(r.flights, vals, errs)
}

// listRun makes r the youngest of the runs that may time out. The caller holds g.mu.
func (g *Group[V]) listRun(r *run[V]) {
	r.listed, r.older = true, g.youngest
	if g.youngest != nil {
		g.youngest.younger = r
	} else {
		g.oldest = r
	}
	g.youngest = r
	if g.timing {
		return
	}
	g.timing = true
	if g.timer == nil {
		g.timer = time.AfterFunc(g.Timeout, g.timeOut)
	} else {
		g.timer.Reset(g.Timeout)
	}
}

// unlistRun makes sure that r does not time out any more. The caller holds g.mu.
func (g *Group[V]) unlistRun(r *run[V]) {
	if !r.listed {
		return
	}
	if r.older != nil {
		r.older.younger = r.younger
	} else {
		g.oldest = r.younger
	}
	if r.younger != nil {
		r.younger.older = r.older
	} else {
		g.youngest = r.older
	}
	r.listed, r.older, r.younger = false, nil, nil
}

// timeOut ends the flights of the runs whose time is over. It does not end when the last run
// does: there will be others, and stopping the timer would cost each of them more than it saves.
func (g *Group[V]) timeOut() {
	now := time.Since(start)
	g.mu.Lock()
	defer g.mu.Unlock()
	for r := g.oldest; r != nil && now-r.began >= g.Timeout; r = g.oldest {
		g.unlistRun(r)
		r.timeOut()
		err := fmt.Errorf("singleflight: no result within %v: %w", g.Timeout, context.DeadlineExceeded)
		for _, f := range r.flights {
			var zero V
			g.settle(f, zero, err)
		}
	}
	if g.timing = g.oldest != nil; g.timing {
		g.timer.Reset(g.Timeout - (now - g.oldest.began))
	}
}

// timeOut ends the context, whose deadline has passed. A whole one has a timer of its own.
func (r *run[V]) timeOut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && r.whole.Load() == nil {
		r.err = context.DeadlineExceeded
	}
}

// end ends the context with err.
func (r *run[V]) end(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	w := r.whole.Load()
	r.mu.Unlock()
	if w != nil {
		w.cancel()
	}
}

// context returns the whole context.
func (r *run[V]) context() *whole {
	if w := r.whole.Load(); w != nil {
		return w
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.whole.Load(); w != nil {
		return w
	}
	w := new(whole)
	if most := r.group.Timeout; most > 0 {
		w.deadline = time.Now().Add(most - (time.Since(start) - r.began))
	}
	if w.deadline.IsZero() || r.err == context.Canceled {
		w.Context, w.cancel = context.WithCancel(r.values)
	} else {
		w.Context, w.cancel = context.WithDeadline(r.values, w.deadline)
	}
	if r.err == context.Canceled { // it may have been before a deadline that has passed by now
		w.cancel()
	}
	r.whole.Store(w)
	return w
}

// Deadline implements context.Context.
func (r *run[V]) Deadline() (time.Time, bool) {
	if r.group.Timeout == 0 {
		return time.Time{}, false
	}
	return r.context().deadline, true // always the same
}

// Done implements context.Context.
func (r *run[V]) Done() <-chan struct{} { return r.context().Done() }

// Err implements context.Context.
func (r *run[V]) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w := r.whole.Load(); w != nil {
		return w.Err()
	}
	return r.err
}

// Value implements context.Context. A whole context also says what the package context asks, so
// that a context that is made of this one ends with it.
func (r *run[V]) Value(key any) any {
	if w := r.whole.Load(); w != nil {
		return w.Value(key)
	}
	return r.values.Value(key)
}

// String keeps fmt from reading what others write.
func (r *run[V]) String() string { return "the context of a flight" }
