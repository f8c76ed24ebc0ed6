package breaker

import (
	"sync/atomic"
	"time"
)

// atOnce is how many attempts after a failure are not delayed by those of other peers.
const atOnce = 2

// A Pace bounds the rate of attempts to reach all the peers that are away together. Without it,
// hundreds of absent peers would cost an idle process a good part of a processor.
type Pace struct {
	Rate   int64        // attempts a second, at most; set before the first use
	trying atomic.Int64 // peers that this process is trying to reach
}

// Wait returns how long the next attempt to reach a peer waits, before jitter. d is the wait if no
// other peer is away.
func (p *Pace) Wait(d time.Duration) time.Duration {
	// Jitter makes the wait three quarters of this, on average: hence 4/3.
	return max(d, time.Duration(p.trying.Load())*time.Second*4/3/time.Duration(p.Rate))
}

// Try counts one more peer that this process is trying to reach, until done is called.
func (p *Pace) Try() (done func()) {
	p.trying.Add(1)
	return func() { p.trying.Add(-1) }
}
