package peercache

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// BreakerState is what a process makes of a peer: see PeerStats.
type BreakerState int

const (
	// BreakerClosed: the peer is asked.
	BreakerClosed BreakerState = iota
	// BreakerOpen: the peer has failed. Its keys go to the next peer at once.
	BreakerOpen
	// BreakerHalfOpen: as BreakerOpen, while an attempt to reach the peer is in progress
	// in the background.
	BreakerHalfOpen
)

// String returns "closed", "open" or "half-open".
func (s BreakerState) String() string {
	switch s {
	case BreakerClosed:
		return "closed"
	case BreakerOpen:
		return "open"
	case BreakerHalfOpen:
		return "half-open"
	}
	return "BreakerState(" + strconv.Itoa(int(s)) + ")"
}

// After a failure the next attempt waits between half of firstBackoff and all of it,
// doubled with each further failure up to longestBackoff. The attempts go on although
// nobody asks: a peer that is back long since must not lose its next key to another
// one (P1). Where many peers are away, their attempts are further apart: see pace.
const (
	firstBackoff   = 50 * time.Millisecond
	longestBackoff = time.Second
)

// quietFor is how long a peer that has just come into the view may not be there yet, before
// that is worth a warning: processes that start together find each other so.
const quietFor = 10 * time.Second

// breaker keeps callers from a peer that has failed until an attempt to reach it
// succeeds. The attempts are its own: those of sony/gobreaker and failsafe-go are
// callers' requests, so that a peer that hangs would cost a caller the detection time
// again and again, and they take a lock for each request, which on a stream costs nothing here.
type breaker struct {
	peer   string // its base URL, for the log
	log    *slog.Logger
	probe  func()        // begins an attempt in the background, at whose end trip or reset is called
	counts func() bool   // reports whether the peer is in the view: else it may well be away
	pace   *pace         // of all attempts of the pool
	born   clock.Instant // when the peer came into the view

	mu       sync.Mutex
	state    BreakerState  // guarded by mu
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

// refusal returns why the peer is not to be asked, or nil.
func (b *breaker) refusal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause
}

// trip opens the breaker and sees to the next attempt. If it is open that is seen to:
// what many callers find out together is one failure.
func (b *breaker) trip(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == BreakerOpen {
		return
	}
	b.leaveClosed(err)
	b.state, b.cause = BreakerOpen, err
	wait := longestBackoff
	if b.failures < 8 {
		wait = min(wait, firstBackoff<<b.failures)
	}
	if b.failures >= atOnce { // a network that was gone for a moment is not waited for
		wait = b.pace.wait(wait)
	}
	b.failures++
	if !b.ended {
		b.setTrying(true)
		b.retry = time.AfterFunc(clock.Jitter(wait), b.try)
	}
}

// setTrying says whether attempts are made. The caller holds b.mu.
func (b *breaker) setTrying(trying bool) {
	switch {
	case trying && !b.trying:
		b.pace.trying.Add(1)
	case !trying && b.trying:
		b.pace.trying.Add(-1)
	}
	b.trying = trying
}

// doubt makes the breaker half-open, if it is closed: an attempt is in progress that
// callers should not wait for.
func (b *breaker) doubt(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == BreakerClosed {
		b.leaveClosed(err)
		b.state, b.cause = BreakerHalfOpen, err
	}
}

// leaveClosed takes note that the breaker is not closed from now on, if it was. b.mu is
// held.
func (b *breaker) leaveClosed(err error) {
	if b.state == BreakerClosed {
		b.opened++
		b.since = clock.Now()
		soon := b.born + clock.Instant(quietFor)
		switch {
		case !b.counts():
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
func (b *breaker) warnLate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state != BreakerClosed && !b.reached && !b.warned && b.counts() {
		b.warned = true
		b.sayOpen(slog.LevelWarn, b.cause)
	}
}

// sayOpen logs that the breaker has opened. The caller holds b.mu.
func (b *breaker) sayOpen(level slog.Level, err error) {
	b.say(level, "the breaker of a peer has opened: its keys go to the next one", slog.Any("err", err))
}

// try makes the attempt that is due.
func (b *breaker) try() {
	b.mu.Lock()
	due := b.state == BreakerOpen && !b.ended
	if due {
		b.state = BreakerHalfOpen
	}
	b.mu.Unlock()
	if due {
		b.probe()
	}
}

// reset closes the breaker: the peer is there. The next failure still counts as one more
// in a row, until the peer has answered a request: it may be there, and fail at each.
func (b *breaker) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == BreakerClosed {
		return
	}
	b.stop()
	b.state, b.cause = BreakerClosed, nil
	level := slog.LevelDebug
	if b.warned {
		level = slog.LevelInfo
	}
	b.warned = false
	b.say(level, "the breaker of a peer has closed: it is asked again", took(b.since))
}

// stop stops the timers. The caller holds b.mu.
func (b *breaker) stop() {
	b.setTrying(false)
	if b.retry != nil {
		b.retry.Stop()
	}
	if b.late != nil {
		b.late.Stop()
	}
}

// answered takes note that the peer has answered a request, however long ago its
// failures are.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.reached = 0, true
}

// end makes no more attempts. The breaker stays as it is, but for a failure: a peer that
// has left the view and does not answer is not coming back.
func (b *breaker) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.stop()
}

// stats returns the state, and how often the breaker opened.
func (b *breaker) stats() (BreakerState, int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state, b.opened
}

// say logs in a goroutine of its own: the locks that are held are of the way to the peer,
// and how long a log takes is not known. The caller holds b.mu.
func (b *breaker) say(level slog.Level, what string, attr slog.Attr) {
	if !b.ended && b.log.Enabled(context.Background(), level) {
		go b.log.LogAttrs(context.Background(), level, what, slog.String("peer", b.peer), attr)
	}
}
