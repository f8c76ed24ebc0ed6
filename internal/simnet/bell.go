package simnet

import (
	"math"
	"time"
)

// bell is where one goroutine at a time waits for something to change. The
// fields below turn and rung are guarded by Network.mu.
type bell struct {
	turn chan struct{} // holds a token while somebody has the bell to himself
	rung chan struct{} // holds a token if the bell was rung and nobody has looked yet

	asleep bool
	until  instant     // while asleep: when timer fires
	timer  *time.Timer // nil before the first sleep
}

func newBell() bell {
	return bell{turn: make(chan struct{}, 1), rung: make(chan struct{}, 1)}
}

// enter waits until no other goroutine has the bell. Whoever has it returns at a
// deadline or a close, so that those who queue behind it do so, too.
func (b *bell) enter() { b.turn <- struct{}{} }

func (b *bell) leave() { <-b.turn }

// ring wakes the sleeper now.
func (b *bell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// ringAt wakes the sleeper at the given instant, if it does not wake before. A
// goroutine that is awake looks at everything before it sleeps: it needs no bell.
func (b *bell) ringAt(now, at instant) {
	switch {
	case !b.asleep || at >= b.until:
	case at <= now:
		b.ring()
	default:
		b.until = at
		b.timer.Reset(at - now)
	}
}

// sleep returns when the bell rings, the given instant has come, or done is
// closed. n.mu is held by the caller, and by nobody while it sleeps. It may
// return without a reason.
func (b *bell) sleep(n *Network, now, until instant, done <-chan struct{}) {
	if b.timer == nil {
		b.timer = time.NewTimer(math.MaxInt64)
	}
	b.asleep, b.until = true, until
	if until == never {
		b.timer.Stop()
	} else {
		b.timer.Reset(until - now)
	}
	n.mu.Unlock()
	select {
	case <-b.rung:
	case <-b.timer.C:
	case <-done:
	}
	n.mu.Lock()
	b.asleep = false
	b.timer.Stop()
}
