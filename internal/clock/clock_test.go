package clock

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// fakeClocks are what a clock reads: how far the wall clock is from where it would be
// without being set, the monotonic clock, and for how long the machine was suspended.
type fakeClocks struct {
	wall, monotonic, suspended time.Duration
	silent                     bool            // the system does not say for how long
	waits                      []time.Duration // of the process, between reading one clock and the other
	asked                      int
}

func (f *fakeClocks) clock() *clock {
	c := new(clock)
	c.init(time.Time{}, clockSource{
		read: func(time.Time) (wall, since time.Duration, ok bool) {
			wall = f.wall + f.monotonic
			if len(f.waits) > 0 {
				f.monotonic += f.waits[0]
				f.waits = f.waits[1:]
			}
			return wall, f.monotonic, true
		},
		suspended: func() (time.Duration, bool) {
			f.asked++
			return f.suspended, !f.silent
		},
	})
	return c
}

// at is what Now does with the monotonic clock.
func (c *clock) at(now time.Duration) Instant {
	if c.due(now) {
		c.look()
	}
	return c.instant(now)
}

// suspend stops the monotonic clock for d. The system takes a little to stop and start.
func (f *fakeClocks) suspend(d time.Duration) {
	f.wall += d
	f.suspended += d
	f.monotonic += lookEvery
}

const year = 365 * 24 * time.Hour

// An Instant counts the time in which the machine was suspended, from the first one
// afterwards on, and is not moved by setting the wall clock.
func TestP7InstantsCountTimeSuspended(t *testing.T) {
	for _, c := range []struct {
		name          string
		silent        bool
		happens       func(f *fakeClocks)
		want, inexact time.Duration // by how much more than the monotonic clock, with and without the system's word
	}{
		{"nothing", false, func(f *fakeClocks) {}, 0, 0},
		{"a suspend", false, func(f *fakeClocks) { f.suspend(6 * time.Second) }, 6 * time.Second, 6 * time.Second},
		{"a long one", false, func(f *fakeClocks) { f.suspend(year) }, year, year},
		{"the wall clock is set forward", false, func(f *fakeClocks) { f.wall += year }, 0, year},
		{"the wall clock is set back", false, func(f *fakeClocks) { f.wall -= year }, 0, 0},
		{"a suspend, and the wall clock is set back", false, func(f *fakeClocks) { f.suspend(time.Hour); f.wall -= 2 * time.Hour }, time.Hour, 0},
		{"a suspend without a clock that goes on", false, func(f *fakeClocks) { f.suspend(time.Hour); f.wall -= year }, time.Hour, 0},
		{"the process waits between two readings", false, func(f *fakeClocks) { f.waits = []time.Duration{time.Second, 0, time.Second} }, 0, 0},
		{"a suspend, and it waits", false, func(f *fakeClocks) {
			f.suspend(time.Minute)
			f.waits = []time.Duration{time.Second, 0, time.Second, 0, time.Second}
		}, time.Minute, time.Minute},
	} {
		for _, silent := range []bool{false, true} {
			want := c.want
			if silent {
				want = c.inexact
			}
			f := &fakeClocks{silent: silent, suspended: 40 * time.Minute, wall: 50 * year}
			clock := f.clock()
			check := func(when string, want time.Duration) {
				t.Helper()
				now := f.monotonic
				if got := time.Duration(clock.at(now)-beforeStart) - now; got != want {
					t.Errorf("%s, the system silent %v: %v counted %s, want %v", c.name, silent, got, when, want)
				}
			}
			check("before", 0)
			for range 3 {
				f.monotonic += time.Second
				check("before", 0)
			}
			c.happens(f)
			f.monotonic += lookEvery
			check("at once", want)
			f.monotonic += time.Hour
			check("an hour later", want)
			c.happens(f)
			f.monotonic += lookEvery
			check("when it happened again", 2*want)
		}
	}
}

// While nothing happens to the clocks, the system is not asked, and between two looks they
// are not even read.
func TestClockLooksSeldom(t *testing.T) {
	f := new(fakeClocks)
	clock := f.clock()
	reads, read := 0, clock.source.read
	clock.source.read = func(start time.Time) (wall, since time.Duration, ok bool) {
		reads++
		return read(start)
	}
	for range 1_000_000 { // one second
		f.monotonic += time.Microsecond
		clock.at(f.monotonic)
	}
	if most := int(time.Second / lookEvery); reads > most || f.asked != 1 {
		t.Errorf("in a second the clocks were read %d times, and the system asked %d times: want at most %d, and 1 at the start", reads, f.asked, most)
	}
}

// On this system, the clock goes as the monotonic one.
func TestSystemClock(t *testing.T) {
	start := time.Now()
	var c clock
	c.init(start, systemClock)
	for range 1000 {
		c.looked.Store(1 << 63)
		before := time.Since(start)
		now := time.Duration(c.at(time.Since(start)) - beforeStart)
		if after := time.Since(start); now < before || now > after {
			t.Fatalf("%v between %v and %v", now, before, after)
		}
	}
	c.moved() // as after a suspend of no time
	if slept := time.Duration(c.ahead.Load() - beforeStart); slept > time.Millisecond {
		t.Errorf("%v suspended, want none", slept)
	}
}

// In a bubble of testing/synctest, Instants are positive and go as its clock.
func TestClockInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, d := range []time.Duration{1, lookEvery - 1, lookEvery, time.Hour, year} {
			before := Now()
			time.Sleep(d)
			if after := Now(); before <= 0 || time.Duration(after-before) != d {
				t.Errorf("from %d to %d in %v", before, after, d)
			}
		}
	})
}

func TestSumsSaturate(t *testing.T) {
	const most, least = math.MaxInt64, math.MinInt64
	for _, c := range []struct{ a, b, want time.Duration }{
		{1, 2, 3}, {1, -2, -1}, {most, 0, most}, {most, 1, most}, {most, most, most}, {most, least, -1},
		{least, -1, least}, {least, least, least}, {least, 1, least + 1}, {most - 5, 5, most}, {-1, 1, 0},
	} {
		if got := Sum(c.a, c.b); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := Sum(c.b, c.a); got != c.want {
			t.Errorf("%d + %d = %d, want %d", c.b, c.a, got, c.want)
		}
	}
	for _, d := range []time.Duration{least, -1, 0, 1, Endless, most} {
		now := Now()
		if at := now.Plus(d); at <= 0 || d > 0 && at <= now || d < 0 && at >= now {
			t.Errorf("%d after %d is %d", d, now, at)
		}
	}
}
