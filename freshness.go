package peercache

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// lifetimes say how long the values of a group may be served. Zero means not at all,
// but for ttl, where it is without end. None but ttl and negative is longer than endless.
type lifetimes struct {
	ttl        time.Duration
	jitter     float64       // the part of a TTL that is left to chance
	revalidate time.Duration // a value that has expired is served while it is loaded again
	onError    time.Duration // or where it cannot be
	negative   time.Duration // that the origin has no such key is remembered
	ahead      time.Duration // before it expires, a value in use is loaded again

	lease   time.Duration // see WithLease
	standIn time.Duration // see WithStandIn
}

// check returns an error if the lifetimes contradict each other.
func (t *lifetimes) check() error {
	if t.ahead > 0 && t.ttl > 0 && t.ahead >= t.ttl {
		return fmt.Errorf("WithRefreshAhead(%v) and WithTTL(%v): want a value to be fresh for some time before it is loaded again", t.ahead, t.ttl)
	}
	return nil
}

// stale returns for how long e stays in the cache after it has expired.
func (t *lifetimes) stale(e Entry) time.Duration {
	if e.Missing {
		return 0
	}
	return max(t.revalidate, t.onError)
}

// fresh returns for how long e, which expires, may be served as fresh from now on.
func (t *lifetimes) fresh(e Entry, now clock.Instant) time.Duration {
	return time.Duration(e.Expires-now) - t.stale(e)
}

// expire sets when a value that is loaded now expires, by its TTL in the sense of
// Item.TTL.
func (t *lifetimes) expire(e *Entry, ttl time.Duration) {
	if ttl == 0 {
		ttl = t.ttl
	}
	if ttl == 0 { // never
		return
	}
	now := clock.Now()
	if ttl > 0 && ttl < clock.Endless && t.jitter > 0 {
		ttl -= time.Duration(rand.Float64() * t.jitter * float64(ttl))
	}
	e.Expires = t.end(*e, clock.Expiry(now, ttl))
}

// end returns when e leaves the cache, if it is fresh until an instant.
func (t *lifetimes) end(e Entry, fresh clock.Instant) clock.Instant {
	if fresh == 0 { // it never expires
		return 0
	}
	return fresh.Plus(t.stale(e))
}

// remaining returns what a peer is told of how long e may be served, in the form of
// Item.TTL: not longer than by this process.
func (t *lifetimes) remaining(e Entry) time.Duration {
	if e.Expires == 0 && e.Lease == 0 {
		return 0
	}
	now := clock.Now()
	left := time.Duration(e.Lease - now)
	if e.Lease == 0 || e.Expires != 0 && t.fresh(e, now) < left {
		left = t.fresh(e, now)
	}
	if left <= 0 {
		return -1
	}
	return left
}

// saved returns for how long e may be served as fresh from an instant on, in the form of
// a snapshot.Record, and reports whether it may be served at all.
func (t *lifetimes) saved(e Entry, at clock.Instant) (left time.Duration, ok bool) {
	if e.Expires == 0 {
		return 0, true
	}
	if e.Expires <= at {
		return 0, false
	}
	return cmp.Or(t.fresh(e, at), -1), true // 0 is without end
}

// resumeEntry sets when e expires. It had so much time left, and has become older by age since, which
// is not negative. resume reports whether e may be served at all.
func (t *lifetimes) resumeEntry(e *Entry, left, age time.Duration) bool {
	if left == 0 {
		return true
	}
	if left <= age-t.stale(*e) {
		return false
	}
	now := clock.Now()
	fresh := now.Plus(left - age)
	if left > age {
		fresh = clock.Expiry(now, left-age)
	}
	e.Expires = t.end(*e, fresh)
	return true
}

// remembered returns the error that an entry of a missing key stands for.
func remembered(view ByteView) error { return &missingError{view.String()} }

// missingError is an ErrNotFound that comes from a cache.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return ErrNotFound }
