package stream

import (
	"fmt"
	"time"
)

// detectTicks is in how many ticks a Link looks for signs of life within its
// detection time. The last byte, or the first request, falls within a tick, so
// one less without a byte is what may be had without exceeding that time.
const detectTicks = 10

// watch looks for signs of life of the peer. It reads no clock and changes no
// timer for a request: it counts its own ticks without a byte. So time in which
// this process itself stood still is not taken for the peer's.
type watch struct {
	timer *time.Timer
	// fast: the timer ticks for the detection. Else nothing is awaited, and it
	// fires when a ping is due.
	fast   bool
	seen   int64 // bytes read, at the last tick
	silent int   // ticks since a byte came
	pinged bool  // since a byte came
}

// pingGrid is the time between two moments at which the idle links of a process ping, and
// leastOnGrid how rarely a link pings that pings then. To wake a process that has nothing to do
// costs more than a ping: so those of a thousand links come some at a time, but not all.
const pingGrid, leastOnGrid = 250 * time.Millisecond, 40 * pingGrid

// watchIdle sets the timer for the next ping of an idle link. The caller holds l.mu.
func (l *Link) watchIdle() {
	l.watch.fast = false
	every := time.Hour
	if t := l.pending.limit.idleTimeout; t > 0 {
		every = max(t/3, l.cfg.Detect) // no peer has us ping all the time
	}
	if every >= leastOnGrid {
		every -= time.Duration(time.Now().Add(every).UnixNano()) % pingGrid
	}
	if l.watch.timer == nil {
		l.watch.timer = time.AfterFunc(every, l.tick)
	} else {
		l.watch.timer.Reset(every)
	}
}

// watchFast begins the detection. The caller holds l.mu.
func (l *Link) watchFast() {
	l.watch.fast, l.watch.silent, l.watch.pinged = true, 0, false
	l.watch.seen = l.r.src.count.Load()
	l.watch.timer.Reset(l.pending.every)
}

// answeredPing is called when the peer has answered a ping. If nothing else is awaited, there is
// nothing to look for until the next one.
func (l *Link) answeredPing() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.watch.fast && l.pending.open == 0 {
		l.watchIdle()
	}
}

// tick is called by the timer.
func (l *Link) tick() {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	w := &l.watch
	bytes := l.r.src.count.Load()
	ping := false
	switch {
	case !w.fast: // idle for long
		l.pending.rest()
		l.w.rest()
		l.watchFast()
		w.pinged, ping = true, true
	case bytes != w.seen:
		w.silent, w.pinged = 0, false
	default:
		w.silent++
	}
	w.seen = bytes
	if w.silent >= detectTicks-1 {
		l.mu.Unlock()
		l.fail(fmt.Errorf("stream: %w: no byte for %v, a ping unanswered", ErrSilent, l.cfg.Detect))
		return
	}
	late, broken := l.pending.tick()
	if broken {
		l.mu.Unlock()
		l.withdraw(late)
		l.fail(errUnanswered())
		return
	}
	if l.pending.open == 0 && !w.pinged {
		l.watchIdle()
	} else {
		if w.silent >= detectTicks/3 && !w.pinged {
			w.pinged, ping = true, true
		}
		w.timer.Reset(l.pending.every)
	}
	l.mu.Unlock()
	if ping {
		l.w.put(func(b []byte) []byte { return appendFrame(b, 0, bodyPing, 0) })
	}
	l.withdraw(late)
}
