package peercache

import (
	"fmt"
	"sync/atomic"
	"time"
)

// DefaultReconnectRate is the default of WithReconnectRate, in attempts a second.
const DefaultReconnectRate = 64

// WithReconnectRate bounds the attempts per second to reach peers that are away, of all such
// peers together: at least 1. The default is DefaultReconnectRate. If at most three quarters
// as many peers are away, each is tried at least once a second. With more of them it takes
// longer until a peer that is back is asked again, unless it tells of its view itself, as a
// process that starts does. The first two attempts after a failure are not held back.
func WithReconnectRate(perSecond int) PoolOption {
	return func(p *HTTPPool) error {
		if perSecond < 1 {
			return fmt.Errorf("WithReconnectRate(%d): want at least 1", perSecond)
		}
		p.pace.rate = int64(perSecond)
		return nil
	}
}

// atOnce is how many attempts after a failure do not wait for those of other peers.
const atOnce = 2

// pace keeps the attempts to reach peers that are away, of all of them together, below a
// rate. Else hundreds of them would cost an idle process a good part of a processor.
type pace struct {
	rate   int64        // attempts a second
	trying atomic.Int64 // peers that are tried
}

// wait returns how long the next attempt to reach a peer waits, before jitter, if it would
// be d without the others.
func (p *pace) wait(d time.Duration) time.Duration {
	// With jitter it is three quarters of that, on the average.
	return max(d, time.Duration(p.trying.Load())*time.Second*4/3/time.Duration(p.rate))
}
