package breaker

import (
	"sync/atomic"
	"time"
)

// atOnce is how many attempts after a failure do not wait for those of other peers.
const atOnce = 2

// A Pace keeps the attempts to reach peers that are away, of all of them together, below a
// rate. Else hundreds of them would cost an idle process a good part of a processor.
type Pace struct {
	Rate   int64        // attempts a second
	trying atomic.Int64 // peers that are tried
}

// Wait returns how long the next attempt to reach a peer waits, before jitter, if it would
// be d without the others.
func (p *Pace) Wait(d time.Duration) time.Duration {
	// With jitter it is three quarters of that, on the average.
	return max(d, time.Duration(p.trying.Load())*time.Second*4/3/time.Duration(p.Rate))
}

// Try counts a peer that is tried, until done is called.
func (p *Pace) Try() (done func()) {
	p.trying.Add(1)
	return func() { p.trying.Add(-1) }
}
