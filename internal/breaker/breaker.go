// Package breaker keeps callers from a peer that has failed.
package breaker

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// State says whether a process asks a peer: see peercache.PeerStats.
type State int

const (
	// Closed: the peer works, and is asked.
	Closed State = iota
	// Open: the peer has failed. Its keys go to the next peer at once.
	Open
	// HalfOpen: as Open, but an attempt to reach the peer is in progress in the background.
	HalfOpen
)

// String returns "closed", "open" or "half-open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	}
	return "BreakerState(" + strconv.Itoa(int(s)) + ")"
}

// After a failure the next attempt waits between half of FirstBackoff and all of it. The wait
// doubles with each further failure, up to longestBackoff. The attempts go on while nobody asks: a
// peer that has been back for long must not lose its next key to another one (P1). When many peers
// are away, their attempts are further apart: see Pace.
const (
	FirstBackoff   = 50 * time.Millisecond
	longestBackoff = time.Second
)

// quietFor is how long a peer that is new in the view may be away without a warning: processes that
// start together see each other like this.
const quietFor = 10 * time.Second

// A Breaker keeps callers from a peer that has failed until an attempt to reach it succeeds. The
// attempts are its own. Those of sony/gobreaker and failsafe-go are requests of callers: a peer
// that hangs would cost a caller the detection time again and again. They also take a lock for each
// request, while a request on a stream costs nothing here.
//
// The exported fields are set before the first use, and not changed.
type Breaker struct {
	Peer   string // the peer's base URL, for the log
	Log    *slog.Logger
	Probe  func()        // starts an attempt in the background, which calls Trip or Reset when it ends
	Counts func() bool   // reports whether the peer is in the view; a peer that is not may be away without a warning
	Pace   *Pace         // shared by all breakers of the pool
	Born   clock.Instant // when the peer came into the view

	mu       sync.Mutex
	state    State         // guarded by mu
	cause    error         // guarded by mu; why the breaker is not closed; nil if it is
	since    clock.Instant // guarded by mu; when it was closed last
	failures int           // guarded by mu; failures since the peer's last answer to a request
	opened   int64         // guarded by mu; how often it has left Closed
	retry    *time.Timer   // guarded by mu; starts the next attempt; nil before the first failure
	trying   bool          // guarded by mu; Pace counts it
	reached  bool          // guarded by mu; the peer has answered a request
	warned   bool          // guarded by mu; the log says that the peer is away
	late     *time.Timer   // guarded by mu; warns if the peer has not come by then; nil if it need not
	ended    bool          // guarded by mu; no more attempts are made
}

// Refusal returns why the peer is not to be asked, or nil if it is.
func (b *Breaker) Refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause
}

// Trip opens the breaker and schedules the next attempt. It does nothing if the breaker is open:
// what many callers find out together is one failure.
func (b *Breaker) Trip(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open {
		return
	}
	b.leaveClosed(err)
	b.state, b.cause = Open, err
	wait := longestBackoff
	if b.failures < 8 {
		wait = min(wait, FirstBackoff<<b.failures)
	}
	if b.failures >= atOnce { // the first attempts are not delayed: a network may be gone for a moment only
		wait = b.Pace.Wait(wait)
	}
	b.failures++
	if !b.ended {
		b.setTrying(true)
		b.retry = time.AfterFunc(clock.Jitter(wait), b.try)
	}
}

// setTrying sets whether Pace counts this breaker. The caller holds b.mu.
func (b *Breaker) setTrying(trying bool) {
	switch {
	case trying && !b.trying:
		b.Pace.trying.Add(1)
	case !trying && b.trying:
		b.Pace.trying.Add(-1)
	}
	b.trying = trying
}

// Suspect makes the breaker half-open if it is closed, because of an attempt in progress that takes
// too long for callers to wait for it.
func (b *Breaker) Suspect(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Closed {
		b.leaveClosed(err)
		b.state, b.cause = HalfOpen, err
	}
}

// leaveClosed records that the breaker is not closed any more, and logs it, if it was closed. The
// caller holds b.mu.
func (b *Breaker) leaveClosed(err error) {
	if b.state == Closed {
		b.opened++
		b.since = clock.Now()
		soon := b.Born + clock.Instant(quietFor)
		switch {
		case !b.Counts():
			b.sayOpen(slog.LevelDebug, err)
		case peer.Misconfigured(err): // another warning says that
			b.sayOpen(slog.LevelInfo, err)
		case !b.reached && b.since < soon:
			b.sayOpen(slog.LevelDebug, err)
			b.late = time.AfterFunc(time.Duration(soon-b.since), b.warnLate)
		default:
			b.warned = true
			b.sayOpen(slog.LevelWarn, err)
		}
	}
}

// warnLate warns if the peer has never answered since it came into the view.
func (b *Breaker) warnLate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != Closed && !b.reached && !b.warned && b.Counts() {
		b.warned = true
		b.sayOpen(slog.LevelWarn, b.cause)
	}
}

// sayOpen logs that the breaker has opened. The caller holds b.mu.
func (b *Breaker) sayOpen(level slog.Level, err error) {
	b.say(level, "the breaker of a peer has opened: its keys go to the next one", slog.Any("err", err))
}

// try starts the attempt that is due.
func (b *Breaker) try() {
	b.mu.Lock()
	due := b.state == Open && !b.ended
	if due {
		b.state = HalfOpen
	}
	b.mu.Unlock()
	if due {
		b.Probe()
	}
}

// Reset closes the breaker: the peer was reached. Until the peer answers a request (Answered), the
// next failure still counts as one more in a row: a peer may be reached and fail at each request.
func (b *Breaker) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Closed {
		return
	}
	b.stop()
	b.state, b.cause = Closed, nil
	level := slog.LevelDebug
	if b.warned {
		level = slog.LevelInfo
	}
	b.warned = false
	b.say(level, "the breaker of a peer has closed: it is asked again", slog.Duration("took", time.Duration(clock.Now()-b.since)))
}

// stop stops the timers. The caller holds b.mu.
func (b *Breaker) stop() {
	b.setTrying(false)
	if b.retry != nil {
		b.retry.Stop()
	}
	if b.late != nil {
		b.late.Stop()
	}
}

// Answered records that the peer has answered a request. The next failure counts as the first.
func (b *Breaker) Answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.reached = 0, true
}

// End stops the attempts: a peer that has left the view and does not answer will not come back. A
// later failure still opens the breaker.
func (b *Breaker) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.stop()
}

// Stats returns the state, and how often the breaker has opened.
func (b *Breaker) Stats() (State, int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.opened
}

// say logs in a goroutine of its own: a logger may be slow, and the locks that are held block the
// requests to the peer. The caller holds b.mu.
func (b *Breaker) say(level slog.Level, what string, attr slog.Attr) {
	if !b.ended && b.Log.Enabled(context.Background(), level) {
		go b.Log.LogAttrs(context.Background(), level, what, slog.String("peer", b.Peer), attr)
	}
}
