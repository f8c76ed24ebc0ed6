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

// State is what a process makes of a peer: see PeerStats.
type State int

const (
	// Closed: the peer is asked.
	Closed State = iota
	// Open: the peer has failed. Its keys go to the next peer at once.
	Open
	// HalfOpen: as Open, while an attempt to reach the peer is in progress
	// in the background.
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

// After a failure the next attempt waits between half of FirstBackoff and all of it,
// doubled with each further failure up to longestBackoff. The attempts go on although
// nobody asks: a peer that is back long since must not lose its next key to another
// one (P1). Where many peers are away, their attempts are further apart: see pace.
const (
	FirstBackoff   = 50 * time.Millisecond
	longestBackoff = time.Second
)

// quietFor is how long a peer that has just come into the view may not be there yet, before
// that is worth a warning: processes that start together find each other so.
const quietFor = 10 * time.Second

// A Breaker keeps callers from a peer that has failed until an attempt to reach it
// succeeds. The attempts are its own: those of sony/gobreaker and failsafe-go are
// callers' requests, so that a peer that hangs would cost a caller the detection time
// again and again, and they take a lock for each request, which on a stream costs nothing here.
type Breaker struct {
	Peer   string // its base URL, for the log
	Log    *slog.Logger
	Probe  func()        // begins an attempt in the background, at whose end trip or reset is called
	Counts func() bool   // reports whether the peer is in the view: else it may well be away
	Pace   *Pace         // of all attempts of the pool
	Born   clock.Instant // when the peer came into the view

	mu       sync.Mutex
	state    State         // guarded by mu
	cause    error         // guarded by mu; nil if closed, else why it is not
	since    clock.Instant // guarded by mu; when it was last closed no more
	failures int           // guarded by mu; since the peer's last answer to a request
	opened   int64         // guarded by mu; times it was closed, and was so no more
	retry    *time.Timer   // guarded by mu; nil, or of the last attempt that was due
	trying   bool          // guarded by mu; it is one of those that pace counts
	reached  bool          // guarded by mu; the peer has answered a request
	warned   bool          // guarded by mu; the log says that it is away
	late     *time.Timer   // guarded by mu; nil, or warns of a peer that has not come
	ended    bool          // guarded by mu; no attempts any more
}

// Refusal returns why the peer is not to be asked, or nil.
func (b *Breaker) Refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause
}

// Trip opens the breaker and sees to the next attempt. If it is open that is seen to:
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
	if b.failures >= atOnce { // a network that was gone for a moment is not waited for
		wait = b.Pace.Wait(wait)
	}
	b.failures++
	if !b.ended {
		b.setTrying(true)
		b.retry = time.AfterFunc(clock.Jitter(wait), b.try)
	}
}

// setTrying says whether attempts are made. The caller holds b.mu.
func (b *Breaker) setTrying(trying bool) {
	switch {
	case trying && !b.trying:
		b.Pace.trying.Add(1)
	case !trying && b.trying:
		b.Pace.trying.Add(-1)
	}
	b.trying = trying
}

// Doubt makes the breaker half-open, if it is closed: an attempt is in progress that
// callers should not wait for.
func (b *Breaker) Doubt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Closed {
		b.leaveClosed(err)
		b.state, b.cause = HalfOpen, err
	}
}

// leaveClosed takes note that the breaker is not closed from now on, if it was. b.mu is
// held.
func (b *Breaker) leaveClosed(err error) {
	if b.state == Closed {
		b.opened++
		b.since = clock.Now()
		soon := b.Born + clock.Instant(quietFor)
		switch {
		case !b.Counts():
			b.sayOpen(slog.LevelDebug, err)
		case peer.Misconfigured(err): // which is a warning of its own
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

// warnLate warns of a peer that has not been there since it came into the view.
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

// try makes the attempt that is due.
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

// Reset closes the breaker: the peer is there. The next failure still counts as one more
// in a row, until the peer has answered a request: it may be there, and fail at each.
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

// Answered takes note that the peer has answered a request, however long ago its
// failures are.
func (b *Breaker) Answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.reached = 0, true
}

// End makes no more attempts. The breaker stays as it is, but for a failure: a peer that
// has left the view and does not answer is not coming back.
func (b *Breaker) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.stop()
}

// Stats returns the state, and how often the breaker opened.
func (b *Breaker) Stats() (State, int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.opened
}

// say logs in a goroutine of its own: the locks that are held are of the way to the peer,
// and how long a log takes is not known. The caller holds b.mu.
func (b *Breaker) say(level slog.Level, what string, attr slog.Attr) {
	if !b.ended && b.Log.Enabled(context.Background(), level) {
		go b.Log.LogAttrs(context.Background(), level, what, slog.String("peer", b.Peer), attr)
	}
}
