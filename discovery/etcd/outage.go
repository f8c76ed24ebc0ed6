package etcd

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

const (
	// The pause after a failure doubles from one to the other. It is never longer
	// than a quarter of the TTL, so that who was cut off is back in time.
	firstPause   = 50 * time.Millisecond
	longestPause = 5 * time.Second

	// reminder is how often it is logged that an outage goes on, or comes again.
	reminder = time.Minute
)

// outage says how long to wait after a failure, and logs when they begin and when
// they are over. One goroutine uses it.
type outage struct {
	log       *slog.Logger
	bad, good string // what is logged when it begins, and when it is over
	ttl       time.Duration

	failures int       // in a row, where a success of less than a TTL does not count
	since    time.Time // of the first failure; zero if the last attempt succeeded
	ended    time.Time // the last outage
	logged   time.Time // the last failure that was logged
	told     bool      // of this outage
}

// failed records a failure.
func (o *outage) failed(err error) {
	now := time.Now()
	if o.since.IsZero() {
		o.since = now
		if now.Sub(o.ended) > o.ttl {
			o.failures = 0
		}
	}
	o.failures++
	if o.failures > 1 && now.Sub(o.logged) < reminder {
		return
	}
	o.logged, o.told = now, true
	o.log.Warn("discovery/etcd: "+o.bad+", trying again", "since", now.Sub(o.since), "err", err)
}

// over records a success.
func (o *outage) over() {
	if o.since.IsZero() {
		return
	}
	o.ended = time.Now()
	if o.told {
		o.log.Info("discovery/etcd: "+o.good, "after", o.ended.Sub(o.since))
	}
	o.since, o.told = time.Time{}, false
}

// wait waits until the next attempt, or until ctx ends: for longer after each
// failure, and not for the same time in all processes.
func (o *outage) wait(ctx context.Context) {
	pause := min(o.ttl/4, longestPause)
	if doublings := o.failures - 1; doublings < 10 {
		pause = min(pause, firstPause<<doublings)
	}
	select {
	case <-ctx.Done():
	case <-time.After(pause/2 + rand.N(pause/2)):
	}
}
