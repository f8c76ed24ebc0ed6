package peercache_test

import (
	"errors"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/failpoint"
)

// options makes options of what a scenario asks for.
func (f freshness) options() []peercache.GroupOption {
	var options []peercache.GroupOption
	add := func(option func(time.Duration) peercache.GroupOption, d time.Duration) {
		if d > 0 {
			options = append(options, option(d))
		}
	}
	add(peercache.WithTTL, f.ttl)
	add(peercache.WithStaleWhileRevalidate, f.staleWhileRevalidate)
	add(peercache.WithStaleIfError, f.staleIfError)
	add(peercache.WithNegativeTTL, f.negativeTTL)
	add(peercache.WithRefreshAhead, f.refreshAhead)
	add(peercache.WithLease, f.lease)
	if f.jitter > 0 {
		options = append(options, peercache.WithTTLJitter(f.jitter))
	}
	return options
}

// plantedBugs are those that the checker must find.
var plantedBugs = map[string]failpoint.Bug{
	"no taint":               failpoint.NoTaint,
	"a lease from answer on": failpoint.LeaseFromAnswer,
	"copies first":           failpoint.CopiesFirst,
	"change logs ignored":    failpoint.LogsIgnored,
	"absentees forgotten":    failpoint.AbsentForgotten,
}

// pendingOf returns the peers that err names, and until when each may serve an
// old value, and whether err is one that names such peers.
func pendingOf(err error, start time.Time) (pending map[string]time.Duration, named bool) {
	failure, named := errors.AsType[*peercache.InvalidationError](err)
	if !named {
		return nil, false
	}
	pending = make(map[string]time.Duration)
	for _, p := range failure.Pending {
		pending[p.Peer] = 0
		if !p.Until.IsZero() {
			pending[p.Peer] = p.Until.Sub(start)
		}
	}
	return pending, true
}
