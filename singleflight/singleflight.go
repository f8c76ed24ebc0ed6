// Package singleflight runs one call per key at a time and gives its result to
// everybody who asked for that key meanwhile.
//
// It differs from golang.org/x/sync/singleflight, whose idea it is, in who may
// end what. There the call runs in the goroutine, and so under the context, of
// whoever came first. Here it runs in a goroutine and under a context of its
// own: callers come and go on their own contexts, and none of them takes the
// others along. A call that was started can be forgotten: it goes on for those
// who wait for it, but what it finds is no longer to be kept.
package singleflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// ErrGoexit is the error of a flight whose function called runtime.Goexit.
var ErrGoexit = errors.New("singleflight: the function called runtime.Goexit")

// PanicError is the error of a flight whose function panicked.
type PanicError struct {
	Value any    // what the function panicked with
	Stack []byte // the stack of the panicking goroutine
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic where it was an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Group is a set of flights, at most one a key. The zero Group is ready for
// use; its exported fields must not be changed after the first Do.
type Group[V any] struct {
	// Timeout bounds a flight: when it has passed, the context of the function
	// ends and everybody who waits gets an error that is a
	// context.DeadlineExceeded, whether or not the function has returned.
	// Zero means no bound.
	Timeout time.Duration
	// CancelAbandoned ends the context of a flight when the last of its callers
	// has left. Otherwise an abandoned flight runs on to its end.
	CancelAbandoned bool
	// JoinFor is for how long after its start a flight may be joined; who comes
	// later starts another, and the first one is tainted. Zero: to its end.
	JoinFor time.Duration
	// Clock returns the time that JoinFor is measured by, since any start. nil is the
	// monotonic clock.
	Clock func() time.Duration

	mu      sync.Mutex
	flights map[string]*Flight[V]        // guarded by mu; the flights that may still be joined
	most    int                          // guarded by mu; how many flights the map has had room for
	urged   map[*Flight[V]]chan struct{} // guarded by mu; see Urge
	running int                          // guarded by mu; flights that are not over, to their very end
	idle    chan struct{}                // guarded by mu; nil, or closed as soon as running is 0
	turn    uint64                       // guarded by mu; of the flight that started last
}

// Flight is one call in progress.
type Flight[V any] struct {
	key   string
	turn  uint64        // see Turn
	began time.Duration // on the clock of now

	call *call[V] // guarded by Group.mu; nil if it cannot be withdrawn

	// val and err are written once, before ended is set, and only read after.
	val   V
	err   error
	ended atomic.Bool // set with Group.mu held

	tainted atomic.Bool // see Tainted

	// These are guarded by Group.mu.
	waiters int32         // callers that have not left
	listed  bool          // it is in Group.flights
	done    chan struct{} // closed after ended is set; nil if nobody waited for it so far
}

// call is what is withdrawn when nobody waits for its flights any more.
type call[V any] struct {
	cancel  func()
	flights []*Flight[V]
	always  bool // also without CancelAbandoned
	waited  int  // guarded by Group.mu; those of flights that somebody waits for
}

// Do returns the result of fn for key. Concurrent calls with one key share one
// run of fn.
//
// The context given to fn carries the values of the first caller's context, but
// not its end: it ends after the group's Timeout or, if CancelAbandoned is set,
// with its last caller. Do itself returns when its own ctx ends, with ctx.Err.
//
// If fn panics or calls runtime.Goexit, every caller gets a *PanicError or
// ErrGoexit, and the next Do of the key runs fn again.
func (g *Group[V]) Do(ctx context.Context, key string, fn func(context.Context, *Flight[V]) (V, error)) (v V, err error) {
	if err := ctx.Err(); err != nil {
		return v, err
	}
	f, first := g.Join(key)
	if first {
		g.Go(ctx, f, fn)
	}
	return g.Wait(ctx, f)
}

// Join returns the flight of key and makes the caller one of those who wait for
// it; the caller then calls Wait. If first is true there was none: the flight is
// new, and the caller has to see to it that it ends, by Go or by End.
func (g *Group[V]) Join(key string) (f *Flight[V], first bool) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.present(key, now); f != nil {
		f.join()
		return f, false
	}
	f = new(Flight[V])
	g.list(f, key, now)
	return f, true
}

// Start returns a new flight of key, which the caller has to see to the end of, or
// nil if there is one. The caller counts as one who waits and never leaves.
func (g *Group[V]) Start(key string) *Flight[V] {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.present(key, now) != nil {
		return nil
	}
	f := new(Flight[V])
	g.list(f, key, now)
	return f
}

// StartAll does for each of keys what Start does, and returns the places of those that had
// no flight.
func (g *Group[V]) StartAll(keys []string) (flights []*Flight[V], places []int) {
	for i, key := range keys {
		if f := g.Start(key); f != nil {
			flights, places = append(flights, f), append(places, i)
		}
	}
	return flights, places
}

// present returns the flight of key that may be joined, or nil. g.mu is held.
func (g *Group[V]) present(key string, now time.Duration) *Flight[V] {
	f := g.flights[key]
	if f != nil && g.JoinFor > 0 && now-f.began >= g.JoinFor {
		g.unlist(f)
		f.tainted.Store(true) // Forget will not find it
		return nil
	}
	return f
}

// join makes one more caller wait for f. The caller holds Group.mu.
func (f *Flight[V]) join() {
	if f.waiters == 0 && f.call != nil {
		f.call.waited++
	}
	f.waiters++
}

// JoinAll does for each of keys what Join does. A key that is given twice has one
// flight, of which the first of both is the first.
func (g *Group[V]) JoinAll(keys []string) (flights []*Flight[V], first []bool) {
	flights, first = make([]*Flight[V], len(keys)), make([]bool, len(keys))
	fresh := make([]Flight[V], len(keys)) // in one piece, for they end together
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, key := range keys {
		if f := g.present(key, now); f != nil {
			f.join()
			flights[i] = f
			continue
		}
		flights[i], first[i] = &fresh[i], true
		g.list(&fresh[i], key, now)
		if i%256 == 255 { // let others in
			g.mu.Unlock()
			g.mu.Lock()
		}
	}
	return flights, first
}

// start is when the clock of now started.
var start = time.Now()

// now returns the time, where it is of use. It is read without the lock: the clock takes
// longer than all the rest. So it may be earlier than that of a flight that is present.
func (g *Group[V]) now() time.Duration {
	switch {
	case g.JoinFor == 0:
		return 0
	case g.Clock != nil:
		return g.Clock()
	}
	return time.Since(start)
}

// list makes f, which begins now, the flight of key, with one caller. g.mu is held.
func (g *Group[V]) list(f *Flight[V], key string, now time.Duration) {
	f.key, f.began, f.waiters, f.listed = key, now, 1, true
	if g.flights == nil {
		g.flights = make(map[string]*Flight[V])
	}
	g.flights[key] = f
	g.most = max(g.most, len(g.flights))
	g.running++
	g.turn++
	f.turn = g.turn
}

// Turn returns a number that is lower than the Turn of all flights that start
// later, and not lower than that of any that has started.
func (g *Group[V]) Turn() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.turn
}

// Turn says in which order flights started: a later one has a higher Turn.
func (f *Flight[V]) Turn() uint64 { return f.turn }

// Done returns a channel that is closed when f has ended.
func (g *Group[V]) Done(f *Flight[V]) <-chan struct{} {
	if f.ended.Load() {
		return over
	}
	return g.done(f)
}

// Wait returns the result of f, or ctx.Err when ctx ends before.
func (g *Group[V]) Wait(ctx context.Context, f *Flight[V]) (v V, err error) {
	if f.ended.Load() {
		return f.val, f.err
	}
	select {
	case <-g.done(f):
		return f.val, f.err
	case <-ctx.Done():
		g.Leave(f)
		return v, ctx.Err()
	}
}

// over is the done of flights that ended before anybody waited.
var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// done does what Done does, for a flight that seems not to have ended.
func (g *Group[V]) done(f *Flight[V]) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case f.ended.Load():
		return over
	case f.done == nil:
		f.done = make(chan struct{})
	}
	return f.done
}

// Leave records that a caller who has joined f does not wait for it any more.
func (g *Group[V]) Leave(f *Flight[V]) {
	g.mu.Lock()
	f.waiters--
	if f.waiters == 0 && f.call != nil {
		f.call.waited--
	}
	g.unlockAbandoned(f.call)
}

// OnAbandon sets what withdraws the call of f when its last caller has left and
// CancelAbandoned is set, in place of what was set before. If that is the case
// already, it is called at once.
func (g *Group[V]) OnAbandon(f *Flight[V], cancel func()) {
	g.onAbandon(&call[V]{cancel: cancel, flights: []*Flight[V]{f}})
}

// onAbandon does for one call that ends many flights what OnAbandon does for one that
// ends one: it is withdrawn when nobody waits for any of them.
func (g *Group[V]) onAbandon(c *call[V]) {
	g.mu.Lock()
	for _, f := range c.flights {
		f.call = c
		if f.waiters > 0 {
			c.waited++
		}
	}
	g.unlockAbandoned(c)
}

// unlockAbandoned unlocks mu, and withdraws c if nobody waits for it.
func (g *Group[V]) unlockAbandoned(c *call[V]) {
	var cancel func()
	if c != nil && c.waited == 0 && (c.always || g.CancelAbandoned) {
		cancel, c.cancel = c.cancel, nil
		for _, f := range c.flights {
			g.unlist(f) // nobody may join what is about to be cancelled
			f.tainted.Store(true)
		}
	}
	g.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Go ends f with the result of fn, as Do describes. It does not wait.
func (g *Group[V]) Go(ctx context.Context, f *Flight[V], fn func(context.Context, *Flight[V]) (V, error)) {
	go g.Run(ctx, f, g.CancelAbandoned, fn)
}

// Run does what Go does, in the goroutine of the caller. The run is cancelled when the last
// of its callers has left, if cancelAbandoned says so.
func (g *Group[V]) Run(ctx context.Context, f *Flight[V], cancelAbandoned bool, fn func(context.Context, *Flight[V]) (V, error)) {
	ctx, cancel := g.context(ctx)
	flights := []*Flight[V]{f}
	if cancelAbandoned {
		g.onAbandon(&call[V]{cancel: cancel, flights: flights, always: true})
	}
	g.run(ctx, cancel, flights, func(ctx context.Context) ([]V, []error) {
		v, err := fn(ctx, f)
		return []V{v}, []error{err}
	})
}

// GoAll ends all flights with the results of one run of fn: a value and an error
// for each of them, in their order. It does what Go does; the run is cancelled, if
// CancelAbandoned is set, when the last of the callers of all the flights has left.
func (g *Group[V]) GoAll(ctx context.Context, flights []*Flight[V], fn func(context.Context) ([]V, []error)) {
	go g.RunAll(ctx, flights, fn)
}

// RunAll does what GoAll does, in the goroutine of the caller.
func (g *Group[V]) RunAll(ctx context.Context, flights []*Flight[V], fn func(context.Context) ([]V, []error)) {
	ctx, cancel := g.context(ctx)
	if g.CancelAbandoned {
		g.onAbandon(&call[V]{cancel: cancel, flights: flights})
	}
	g.run(ctx, cancel, flights, fn)
}

// context returns the context of a run that the caller with ctx starts.
func (g *Group[V]) context(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = context.WithoutCancel(ctx)
	if g.Timeout > 0 {
		return context.WithTimeout(ctx, g.Timeout)
	}
	return context.WithCancel(ctx)
}

// run calls fn and ends the flights with what came of it, or with the end of
// their time if that is sooner.
func (g *Group[V]) run(ctx context.Context, cancel func(), flights []*Flight[V], fn func(context.Context) ([]V, []error)) {
	stop := func() bool { return true }
	if g.Timeout > 0 {
		stop = context.AfterFunc(ctx, func() {
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			for _, f := range flights {
				var zero V
				g.settle(f, zero, fmt.Errorf("singleflight: no result within %v: %w", g.Timeout, ctx.Err()))
			}
		})
	}
	var vals []V
	var errs []error
	failure := ErrGoexit // what remains when fn neither returns nor panics
	defer func() {
		if r := recover(); r != nil {
			failure = &PanicError{Value: r, Stack: debug.Stack()}
		}
		stop()
		for i, f := range flights {
			var v V
			err := failure
			if failure == nil {
				v, err = vals[i], errs[i]
			}
			g.End(f, v, err)
		}
		cancel()
	}()
	vals, errs = fn(ctx)
	failure = nil
}

// End gives v and err to everybody who waits for f. It is called once for each
// flight that was not given to Go. It does not block.
func (g *Group[V]) End(f *Flight[V], v V, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(f, v, err)
	g.running--
	if g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// settle gives every caller of f its result. Only the first time counts: another
// is that of a function which came back after its time was over. g.mu is held.
func (g *Group[V]) settle(f *Flight[V], v V, err error) {
	if f.ended.Load() {
		return
	}
	g.unlist(f)
	g.urgeNoMore(f)
	f.tainted.Store(true)
	f.val, f.err = v, err
	f.ended.Store(true)
	if f.done != nil {
		close(f.done)
	}
}

// unlist lets nobody join f any more. g.mu is held.
func (g *Group[V]) unlist(f *Flight[V]) {
	if f.listed {
		delete(g.flights, f.key)
		f.listed = false
		if g.most > shrinkFrom && len(g.flights) <= fewFlights {
			left := make(map[string]*Flight[V], len(g.flights))
			maps.Copy(left, g.flights)
			g.flights, g.most = left, len(left)
		}
	}
}

// A map keeps the room that it once had: after many flights at once, it is replaced when
// few are left.
const (
	fewFlights = 256
	shrinkFrom = 8 * fewFlights
)

// Drain returns nil when nothing is in flight any more, or ctx.Err when ctx ends
// before. It waits for abandoned and forgotten flights too.
func (g *Group[V]) Drain(ctx context.Context) error {
	g.mu.Lock()
	if g.running == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
