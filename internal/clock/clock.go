// Package clock has the time of this process: a clock that counts the time in which the machine is
// suspended, and what waits by it.
package clock

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Instant is a moment on this process's clock, in nanoseconds from an arbitrary start. It means
// nothing to another process: between peers, times travel as durations (P7). The zero Instant means
// never.
//
// The clock does not go back, and setting the wall clock does not move it. It counts the time in
// which the machine is suspended, because leases end and values expire elsewhere meanwhile. On
// Linux the kernel says how long that was (CLOCK_BOOTTIME). On Windows Go's own clock counts it. On
// other systems the clock assumes that the machine was suspended when the wall clock jumps forward:
// there, setting the wall clock forward ends leases and lets values expire. A virtual machine that
// is paused with all its clocks, and a process that is restored from a checkpoint, cannot know how
// long that was.
type Instant int64

const (
	// beforeStart is the Instant at which the process started. It is so large that no Instant
	// is negative or zero, not even in a bubble of testing/synctest, whose clock starts in the
	// year 2000.
	beforeStart = 1 << 60
	// Endless is the shortest duration that counts as endless. The clock has room for two of
	// them in a row: a TTL, and a stale window after it.
	Endless = 100 * 365 * 24 * time.Hour
)

// Now returns the present Instant.
func Now() Instant {
	now := time.Since(clockStart)
	if theClock.due(now) {
		theClock.look()
	}
	return theClock.instant(now)
}

// SinceStart returns Now as a duration.
func SinceStart() time.Duration { return time.Duration(Now()) }

// Plus returns the Instant d after i. If that is too late or too early for an Instant, it returns
// the last or the first one.
func (i Instant) Plus(d time.Duration) Instant {
	return max(1, Instant(Sum(time.Duration(i), d)))
}

// Sum returns a + b, or the longest or shortest duration if the sum overflows.
func Sum(a, b time.Duration) time.Duration {
	switch s := a + b; {
	case b > 0 && s < a:
		return math.MaxInt64
	case b < 0 && s > a:
		return math.MinInt64
	default:
		return s
	}
}

// A clock counts the time of Instants. It uses Go's monotonic clock, which stands still while the
// machine is suspended, except on Windows. To ask the system how long the machine was suspended
// would cost more than all the rest of a hit. So the clock looks now and then at the difference
// between the wall clock and the monotonic clock, which costs little. The difference changes if the
// machine was suspended, and only then does the clock ask.
//
// The clock never misses a suspend. The monotonic clock goes on while the system stops and starts
// its processes and devices, which takes much longer than lookEvery. So the first Now afterwards
// looks before it returns.
type clock struct {
	start  time.Time
	source clockSource
	before time.Duration // what source.suspended returned at the start
	exact  bool          // source.suspended works on this system

	looked atomic.Uint64 // when the last look was, since the start, on the monotonic clock
	ahead  atomic.Int64  // an Instant minus the time since the start on the monotonic clock; written before looked
	apart  atomic.Int64  // the wall clock minus the monotonic clock, at the last look
	mu     sync.Mutex    // held while moved runs
}

// clockSource is what a clock reads beside Go's monotonic clock.
type clockSource struct {
	// read returns the wall clock, and then the time since the start on the monotonic clock. ok
	// is false in a bubble of testing/synctest, which has only one clock.
	read func(start time.Time) (wall, since time.Duration, ok bool)
	// suspended returns how long the machine has been suspended in all, since some time before
	// the start. ok is false if the system does not say.
	suspended func() (d time.Duration, ok bool)
	// counted says that the monotonic clock goes on while the machine is suspended.
	counted bool
}

const (
	// lookEvery is the longest time between two looks while the clock is in use. It is so long
	// that the looks cost nothing, and much shorter than any suspend takes.
	lookEvery = 100 * time.Microsecond
	// clockSlack is by how much the two clocks may seem to move apart between two looks,
	// because they are not read at the same time.
	clockSlack = 10 * time.Millisecond
	// clockReadings is how many times they are read to be sure.
	clockReadings = 5
)

var (
	clockStart = time.Now()
	theClock   clock
)

func init() { theClock.init(clockStart, systemClock) }

func (c *clock) init(start time.Time, s clockSource) {
	c.start, c.source = start, s
	wall, since, _ := s.read(start)
	c.apart.Store(int64(wall - since))
	c.before, c.exact = s.suspended()
	c.ahead.Store(beforeStart)
}

// due reports whether it is time for a look. now is the time since the start on the monotonic
// clock.
func (c *clock) due(now time.Duration) bool {
	return uint64(now)-c.looked.Load() >= uint64(lookEvery) // also if it is earlier, in a bubble
}

// instant returns the Instant at the time now since the start on the monotonic clock.
func (c *clock) instant(now time.Duration) Instant { return Instant(int64(now) + c.ahead.Load()) }

// look checks whether the machine was suspended, and corrects ahead if it was.
func (c *clock) look() {
	before := c.apart.Load()
	wall, since, ok := c.source.read(c.start)
	apart := int64(wall - since)
	if moved := time.Duration(apart - before); moved.Abs() > clockSlack && ok && !c.source.counted {
		c.moved()
		return
	}
	if ok {
		c.apart.CompareAndSwap(before, apart)
	}
	c.looked.Store(uint64(since))
}

// moved is called when the wall clock and the monotonic clock have moved apart. It finds out
// whether the machine was suspended or the wall clock was set, and corrects ahead.
func (c *clock) moved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The wall clock is read first. If the process has to wait between the two, it seems to be
	// behind. So the reading in which it is most ahead is the best.
	wall, since, _ := c.source.read(c.start)
	apart := wall - since
	for range clockReadings {
		wall, since, _ = c.source.read(c.start)
		apart = max(apart, wall-since)
	}
	by := apart - time.Duration(c.apart.Load())
	switch slept, ok := c.source.suspended(); {
	case ok && c.exact:
		c.ahead.Store(max(c.ahead.Load(), beforeStart+int64(slept-c.before)))
	case by > clockSlack:
		c.ahead.Add(int64(by))
	}
	c.apart.Store(int64(apart))
	c.looked.Store(uint64(since))
}

// readClocks implements clockSource.read.
func readClocks(start time.Time) (wall, since time.Duration, ok bool) {
	now := time.Now()
	return time.Duration(now.UnixNano()), now.Sub(start), now != now.Round(0) // which has no monotonic reading
}

// Jitter returns a random duration between half of d and d, so that those that failed together do
// not try again together.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Pause waits for d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Outlast waits until then, or until next is closed, or until ctx ends. It returns false if ctx
// ended first.
func Outlast(ctx context.Context, next <-chan struct{}, then time.Time) bool {
	timer := time.NewTimer(time.Until(then))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true // also if ctx has just ended
	case <-next:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// TimeOf returns an Instant as a time of the wall clock. It returns the zero Time for never.
func TimeOf(i Instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(i - Now()))
}

// Expiry returns the Instant ttl after now, as Item.TTL means it: never if ttl is zero or endless,
// and now if it is negative.
func Expiry(now Instant, ttl time.Duration) Instant {
	if ttl == 0 || ttl >= Endless {
		return 0
	}
	return now.Plus(max(ttl, 0))
}

// Suspend moves the clock of this process as if the machine had been suspended for d. It is for
// tests.
func Suspend(d time.Duration) { theClock.ahead.Add(int64(d)) }

// RetryAfter is how long to wait before a peer that failed is asked the same again.
const RetryAfter = 200 * time.Millisecond
