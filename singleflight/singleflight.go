// Package singleflight runs one call per key at a time, and gives its result to all callers who
// asked for that key meanwhile.
//
// The idea is that of golang.org/x/sync/singleflight. There, the call runs in the goroutine of the
// first caller, and so under its context. Here, it runs in a goroutine and under a context of its
// own: a caller whose context ends leaves without effect on the others. A call can also be
// forgotten (Group.Forget): it goes on for the callers who wait for it, but its result must not be
// cached.
package singleflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// Unwrap returns the value of the panic if it is an error, otherwise nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Group is a set of flights, at most one per key. The zero Group is ready for use. Its exported
// fields must not be changed after the first Do.
type Group[V any] struct {
	// Timeout bounds a flight, from when it was given to Go, Run, GoAll or RunAll. When it has
	// passed, the context of the function ends, and all
	// callers get an error that is a context.DeadlineExceeded, whether or not the function has
	// returned. Zero means no bound.
	Timeout time.Duration
	// CancelAbandoned ends the context of a flight when the last of its callers has left. If it
	// is false, the flight runs on to its end.
	CancelAbandoned bool
	// JoinFor is how long after its start a flight may be joined. A later caller starts another
	// flight, and the first one is tainted. Zero means to its end.
	JoinFor time.Duration
	// Clock returns the time by which JoinFor is measured, since any start. Nil means the
	// monotonic clock.
	Clock func() time.Duration

	mu      sync.Mutex
	flights map[string]*Flight[V]        // guarded by mu; the flights that may still be joined
	most    int                          // guarded by mu; the most flights that this map has had
	urged   map[*Flight[V]]chan struct{} // guarded by mu; see Urge
	running int                          // guarded by mu; flights whose function has not returned
	idle    chan struct{}                // guarded by mu; closed when running becomes 0; nil if nobody waits for that
	turn    uint64                       // guarded by mu; the Turn of the flight that started last
	joined  int64                        // guarded by mu; see Joined

	// These are guarded by mu. All runs have the same Timeout, so one timer does for all of them.
	oldest, youngest *run[V] // a list of the runs that may time out, in the order of their deadlines
	timer            *time.Timer
	timing           bool // timer runs; it fires when oldest times out, or before
}

// Flight is one call in progress.
type Flight[V any] struct {
	key   string
	turn  uint64        // see Turn
	began time.Duration // as Group.now returns it

	call *call[V] // guarded by Group.mu; nil if it cannot be withdrawn

	// val and err are written once, before ended is set, and only read after.
	val   V
	err   error
	ended atomic.Bool // set with Group.mu held

	tainted atomic.Bool // see Tainted

	// These are guarded by Group.mu.
	waiters int32         // callers that have not left
	listed  bool          // whether it is in Group.flights
	done    chan struct{} // closed after ended is set; nil if nobody has waited for it
}

// call is a call that is withdrawn when nobody waits for its flights any more.
type call[V any] struct {
	cancel  func()
	flights []*Flight[V]
	always  bool // withdraw it even without CancelAbandoned
	waited  int  // guarded by Group.mu; how many of the flights somebody waits for
}

// Do returns the result of fn for key. Concurrent calls with the same key share one run of fn.
//
// The context of fn has the values of the first caller's context, but not its end. It ends after
// the group's Timeout or, if CancelAbandoned is set, when the last caller has left. Do returns
// ctx.Err when its own ctx ends.
//
// If fn panics or calls runtime.Goexit, every caller gets a *PanicError or ErrGoexit, and the next
// Do of the key runs fn again.
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

// Join returns the flight of key, and counts the caller as one who waits for it. The caller then
// calls Wait. If first is true, the flight is new, and the caller has to end it, by Go, by Run or
// by End.
func (g *Group[V]) Join(key string) (f *Flight[V], first bool) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.present(key, now); f != nil {
		f.join()
		g.joined++
		return f, false
	}
	f = new(Flight[V])
	g.list(f, key, now)
	return f, true
}

// Start returns a new flight of key, which the caller has to end, or nil if key has a flight
// already. The caller counts as one who waits and never leaves.
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

// StartAll does for each of keys what Start does. It returns the new flights, and the places of
// their keys.
func (g *Group[V]) StartAll(keys []string) (flights []*Flight[V], places []int) {
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, key := range keys {
		if g.present(key, now) != nil {
			continue
		}
		f := new(Flight[V])
		g.list(f, key, now)
		flights, places = append(flights, f), append(places, i)
	}
	return flights, places
}

// present returns the flight of key if it may be joined, otherwise nil. The caller holds g.mu.
func (g *Group[V]) present(key string, now time.Duration) *Flight[V] {
	f := g.flights[key]
	if f != nil && g.JoinFor > 0 && now-f.began >= g.JoinFor {
		g.unlist(f)
		f.tainted.Store(true) // Forget will not find it
		return nil
	}
	return f
}

// join counts one more caller who waits for f. The caller holds Group.mu.
func (f *Flight[V]) join() {
	if f.waiters == 0 && f.call != nil {
		f.call.waited++
	}
	f.waiters++
}

// JoinAll does for each of keys what Join does. A key that is given twice has one flight, which is
// new, if at all, at the first of the two places.
func (g *Group[V]) JoinAll(keys []string) (flights []*Flight[V], first []bool) {
	flights, first = make([]*Flight[V], len(keys)), make([]bool, len(keys))
	fresh := make([]Flight[V], len(keys)) // one allocation: they end together
	now := g.now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, key := range keys {
		if f := g.present(key, now); f != nil {
			f.join()
			g.joined++
			flights[i] = f
			continue
		}
		flights[i], first[i] = &fresh[i], true
		g.list(&fresh[i], key, now)
		if i%256 == 255 { // let other goroutines lock it
			g.mu.Unlock()
			g.mu.Lock()
		}
	}
	return flights, first
}

// start is the start of the monotonic clock that Group.now reads.
var start = time.Now()

// now returns the time, or zero if JoinFor needs none. It is called without the lock, because the
// clock takes longer than all the rest. So the time may be earlier than the start of a present
// flight.
func (g *Group[V]) now() time.Duration {
	switch {
	case g.JoinFor == 0:
		return 0
	case g.Clock != nil:
		return g.Clock()
	}
	return time.Since(start)
}

// list makes f the flight of key, with one caller. The caller holds g.mu.
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

// Turn returns a number that is lower than the Turn of all later flights, and not lower than that
// of any flight so far.
func (g *Group[V]) Turn() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.turn
}

// Joined returns how often Join and JoinAll have returned a flight that somebody else had started.
func (g *Group[V]) Joined() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.joined
}

// Turn returns a number that is higher for flights that started later.
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
	left := ctx.Done()
	if left == nil {
		<-g.done(f) // which takes less than a select
		return f.val, f.err
	}
	select {
	case <-g.done(f):
		return f.val, f.err
	case <-left:
		g.Leave(f)
		return v, ctx.Err()
	}
}

// over is Flight.done of all flights that ended before anybody waited for them.
var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// done does what Done does, for a flight that had not ended a moment ago.
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

// Leave records that a caller stopped waiting for f, which it had joined.
func (g *Group[V]) Leave(f *Flight[V]) {
	g.mu.Lock()
	f.waiters--
	if f.waiters == 0 && f.call != nil {
		f.call.waited--
	}
	g.unlockAbandoned(f.call)
}

// OnAbandon sets the func that is called when the last caller of f has left, if CancelAbandoned is
// set. It replaces an earlier one. If the last caller has left already, cancel is called at once.
func (g *Group[V]) OnAbandon(f *Flight[V], cancel func()) {
	c := &call[V]{cancel: cancel, flights: []*Flight[V]{f}}
	g.mu.Lock()
	g.unlockWithdrawable(c)
}

// unlockWithdrawable makes c the call of its flights, and unlocks g.mu. If nobody waits for any of
// them, c is withdrawn at once. The caller holds g.mu.
func (g *Group[V]) unlockWithdrawable(c *call[V]) {
	for _, f := range c.flights {
		f.call = c
		if f.waiters > 0 {
			c.waited++
		}
	}
	g.unlockAbandoned(c)
}

// unlockAbandoned unlocks g.mu, and withdraws c if nobody waits for it. The caller holds g.mu.
func (g *Group[V]) unlockAbandoned(c *call[V]) {
	var cancel func()
	if c != nil && c.waited == 0 && (c.always || g.CancelAbandoned) {
		cancel, c.cancel = c.cancel, nil
		for _, f := range c.flights {
			g.unlist(f) // nobody may join a flight that is about to be cancelled
			f.tainted.Store(true)
		}
	}
	g.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// Go runs fn in a goroutine and ends f with its result, as Do describes. It does not wait.
func (g *Group[V]) Go(ctx context.Context, f *Flight[V], fn func(context.Context, *Flight[V]) (V, error)) {
	r := g.begin(ctx, f, nil, g.CancelAbandoned)
	go r.do(fn)
}

// Run does what Go does in the goroutine of the caller. If cancelAbandoned is true, the context of
// fn ends when the last caller of f has left.
func (g *Group[V]) Run(ctx context.Context, f *Flight[V], cancelAbandoned bool, fn func(context.Context, *Flight[V]) (V, error)) {
	g.begin(ctx, f, nil, cancelAbandoned).do(fn)
}

// GoAll does what Go does for several flights, which end with the results of one run of fn: a value
// and an error for each, in their order. If CancelAbandoned is set, the context of fn ends when the
// last caller of all the flights has left.
func (g *Group[V]) GoAll(ctx context.Context, flights []*Flight[V], fn func(context.Context) ([]V, []error)) {
	go g.begin(ctx, nil, flights, g.CancelAbandoned).doAll(fn)
}

// RunAll does what GoAll does in the goroutine of the caller.
func (g *Group[V]) RunAll(ctx context.Context, flights []*Flight[V], fn func(context.Context) ([]V, []error)) {
	g.begin(ctx, nil, flights, g.CancelAbandoned).doAll(fn)
}

// End gives v and err to all callers who wait for f. It is called once for each flight that was not
// given to Go, Run, GoAll or RunAll. It does not block.
func (g *Group[V]) End(f *Flight[V], v V, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(f, v, err)
	g.over(1)
}

// EndAll does what End does for many flights at once: the i-th ends with vals[i] and errs[i].
// Whoever waits for several of them is woken once, as a rule.
func (g *Group[V]) EndAll(flights []*Flight[V], vals []V, errs []error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.endAll(flights, vals, errs)
}

// endAll does what EndAll does. The caller holds g.mu.
func (g *Group[V]) endAll(flights []*Flight[V], vals []V, errs []error) {
	for i, f := range flights {
		g.settle(f, vals[i], errs[i])
	}
	g.over(len(flights))
}

// over counts n flights that are not in progress any more. The caller holds g.mu.
func (g *Group[V]) over(n int) {
	g.running -= n
	if g.running == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// settle gives every caller of f its result. Only the first call counts: the second one comes from
// a function that returned after its time was over. The caller holds g.mu.
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

// unlist makes sure that nobody joins f any more. The caller holds g.mu.
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

// A map keeps its memory when it shrinks. If it has had more than shrinkFrom flights, it is
// replaced when at most fewFlights are left.
const (
	fewFlights = 256
	shrinkFrom = 8 * fewFlights
)

// Drain returns nil when no flight is in progress any more, or ctx.Err if ctx ends first. It also
// waits for abandoned and forgotten flights.
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
