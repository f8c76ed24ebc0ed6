package clock

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Instant is a moment on this process's clock, in nanoseconds from an arbitrary start. It
// means nothing to another process: between peers, times travel as durations (P7). The
// zero Instant stands for never.
//
// The clock does not go back, and setting the wall clock does not move it. It counts the
// time in which the machine was suspended, in which leases run out and values expire as
// they do elsewhere. On Linux the kernel says how long that was (CLOCK_BOOTTIME), and on
// Windows Go's own clock counts it. On other systems, a wall clock that jumps forward is
// taken for a machine that was suspended: there, setting it forward ends leases and lets
// values expire. A virtual machine that is paused together with all its clocks, and a
// process that is restored from a checkpoint, cannot know how long that was.
type Instant int64

const (
	// beforeStart is the Instant at which the process started. So none is negative or zero,
	// not even in a bubble of testing/synctest, whose clock starts in the year 2000.
	beforeStart = 1 << 60
	// Endless is the least duration that is without end. It leaves room on the clock for
	// two of them in a row: a TTL, and a stale window after it.
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

// SinceStart is Now as a duration.
func SinceStart() time.Duration { return time.Duration(Now()) }

// Plus returns the Instant d after i: the last or the first one, if there is none so late
// or so early.
func (i Instant) Plus(d time.Duration) Instant {
	return max(1, Instant(Sum(time.Duration(i), d)))
}

// Sum returns a + b, or the duration that is nearest to it.
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

// A clock counts the time of Instants. Go's monotonic clock, which it goes by, stands
// still while the machine is suspended (on Windows it does not). To ask the system how
// long that was would cost more than all the rest of a hit. So the clock looks, every now
// and then, at how far the wall clock and the monotonic clock are apart: that costs
// little, and changes if the machine was suspended. Only then does it ask.
//
// No look is missed after a suspend. The monotonic clock goes on while the system stops
// and starts its processes and devices, which takes it much longer than lookEvery. So the
// first Now afterwards looks, before it returns.
type clock struct {
	start  time.Time
	source clockSource
	before time.Duration // source.suspended at the start
	exact  bool          // source.suspended says

	looked atomic.Uint64 // since the start by the monotonic clock, when there was the last look
	ahead  atomic.Int64  // what an Instant is more than that, by the time suspended; written before looked
	apart  atomic.Int64  // the wall clock less the monotonic clock, at the last look
	mu     sync.Mutex    // held while ahead is found out
}

// clockSource is what a clock reads beside Go's monotonic clock.
type clockSource struct {
	// read reads the wall clock, and then the monotonic one since the start. ok is false
	// in a bubble of testing/synctest, which has only one.
	read func(start time.Time) (wall, since time.Duration, ok bool)
	// suspended returns for how long the machine has been suspended, since some time
	// before the start. ok is false if the system does not say.
	suspended func() (d time.Duration, ok bool)
	// counted says that the monotonic clock goes on while the machine is suspended.
	counted bool
}

const (
	// lookEvery is the most that passes between two looks while the clock is in use: long
	// enough that they cost nothing, and much shorter than any suspend takes.
	lookEvery = 100 * time.Microsecond
	// clockSlack is by how much the two clocks may move apart between two looks, because
	// they are not read at the same time.
	clockSlack = 10 * time.Millisecond
	// clockReadings is how often they are read to be sure.
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

// due reports whether there is to be a look now, since the start by the monotonic clock.
func (c *clock) due(now time.Duration) bool {
	return uint64(now)-c.looked.Load() >= uint64(lookEvery) // also if it is earlier, in a bubble
}

// instant returns the Instant of now.
func (c *clock) instant(now time.Duration) Instant { return Instant(int64(now) + c.ahead.Load()) }

// look sees to it that ahead has all of the time suspended.
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

// moved finds out whether the machine was suspended, for the wall clock and the monotonic
// one have moved apart: else the wall clock was set.
func (c *clock) moved() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The wall clock is read first. If the process had to wait in between, it seems to be
	// behind: so the reading in which it is most ahead is the best.
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

// readClocks is the read of a clockSource.
func readClocks(start time.Time) (wall, since time.Duration, ok bool) {
	now := time.Now()
	return time.Duration(now.UnixNano()), now.Sub(start), now != now.Round(0) // which has no monotonic reading
}

// Jitter returns something between half of d and all of it, so that peers that
// failed together do not try again together.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Pause waits for d, or until ctx has ended.
func Pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Outlast waits until then, or until peers agree on something else, and reports whether
// ctx lasted.
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

// TimeOf returns an Instant as a time for people.
func TimeOf(i Instant) time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(i - Now()))
}

// Expiry returns the instant ttl after now, in the sense of Item.TTL: never, if
// ttl is zero or endless, and at once, if it is negative.
func Expiry(now Instant, ttl time.Duration) Instant {
	if ttl == 0 || ttl >= Endless {
		return 0
	}
	return now.Plus(max(ttl, 0))
}

// Suspend makes the clock of this process go as if the machine had been suspended for d. It is
// for tests.
func Suspend(d time.Duration) { theClock.ahead.Add(int64(d)) }

// RetryAfter is how long to wait before a peer that failed is asked again for the same.
const RetryAfter = 200 * time.Millisecond
