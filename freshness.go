package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// The defaults of the options that say how long a value may be served.
const (
	DefaultLease   = 5 * time.Second
	DefaultStandIn = 30 * time.Second
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

// stale is for how long e stays in the cache after it has expired.
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
func (t *lifetimes) expire(e *Entry, now clock.Instant, ttl time.Duration) {
	if ttl == 0 {
		ttl = t.ttl
	}
	if ttl > 0 && ttl < clock.Endless && t.jitter > 0 {
		ttl -= time.Duration(rand.Float64() * t.jitter * float64(ttl))
	}
	e.Expires = t.end(*e, clock.Expiry(now, ttl))
}

// end returns when e is of no use any more, if it is fresh until an instant.
func (t *lifetimes) end(e Entry, fresh clock.Instant) clock.Instant {
	if fresh == 0 { // it never expires
		return 0
	}
	return fresh.Plus(t.stale(e))
}

// left returns what a peer is told of how long e may be served, in the form of
// Item.TTL: not longer than by this process.
func (t *lifetimes) left(e Entry) time.Duration {
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

// verdict says what a look into a cache has found.
type verdict uint8

const (
	absent verdict = iota // nothing that may be served now
	usable                // what may be served
	aging                 // the same, but it is to be loaded again, or its lease to be renewed
)

// own returns the entry that the main cache has for key, if it may be served now.
func (g *Group) own(key string) (Entry, verdict) {
	e, ok := g.main.Get(key)
	if !ok {
		return e, absent
	}
	if e.Expires|e.Lease == 0 {
		return e, usable
	}
	now := clock.Now()
	if e.Lease != 0 && now >= e.Lease {
		return Entry{}, absent
	}
	if e.Expires == 0 {
		return e, usable
	}
	switch fresh := g.times.fresh(e, now); {
	case fresh > g.times.ahead, e.Missing && fresh > 0:
		return e, usable
	case fresh > 0:
		return e, aging
	case fresh > -g.times.revalidate && !e.Missing:
		g.stats.staleHits.Add(1)
		return e, aging
	}
	return Entry{}, absent
}

// orInstead returns what a caller gets of a load: the value that has expired in place of an
// error, where the group allows it. It is called for each caller and not once for each load,
// because a load may end without its function: it hangs, or panics. A caller whose own
// context has ended gets the error of that (P3).
func (g *Group) orInstead(ctx context.Context, key string, e Entry, err error) (Entry, error) {
	if err == nil || errors.Is(err, ErrNotFound) || ctx.Err() != nil {
		return e, err
	}
	if old, ok := g.instead(key); ok {
		return old, nil
	}
	return e, err
}

// instead returns the value of key that has expired, if there is one, and it may still be
// served where there is no other.
func (g *Group) instead(key string) (Entry, bool) {
	if g.times.onError == 0 {
		return Entry{}, false
	}
	e, ok := g.main.Get(key)
	now := clock.Now()
	if !ok || e.Missing || e.Expires == 0 || e.Lease != 0 && now >= e.Lease || g.times.fresh(e, now) <= -g.times.onError {
		return Entry{}, false
	}
	g.stats.staleHits.Add(1)
	return e, true
}

// missing makes an entry of the error of a getter whose origin has no such key.
func (g *Group) missing(err error) Entry {
	text := fmt.Sprint(err) // not err.Error(), see encodeError
	return Entry{
		View:    ViewOfString(strings.Clone(text[:min(len(text), peer.MaxErrorText)])),
		Expires: clock.Expiry(clock.Now(), cmp.Or(g.times.negative, -1)),
		Missing: true,
	}
}

// remembered is the error that e stands for.
func remembered(e Entry) error { return &missingError{e.View.String()} }

// missingError is an ErrNotFound that was remembered.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }
func (e *missingError) Unwrap() error { return ErrNotFound }

// copied returns the entry that the hot cache has for key, if it may be served now.
func (g *Group) copied(key string) (Entry, verdict) {
	if g.hot == nil {
		return Entry{}, absent
	}
	e, ok := g.hot.Get(key)
	if !ok {
		return Entry{}, absent
	}
	now := clock.Now()
	if now >= e.Lease || e.Expires != 0 && now >= e.Expires {
		return Entry{}, absent
	}
	// Early, so that a copy in use is not waited for; and not so often that it
	// costs more than it gains.
	if g.leaseOf(e, now)-e.Lease > clock.Instant(g.times.lease/2) {
		return e, aging
	}
	return e, usable
}

// leaseOf returns the lease of a copy that was asked for at an instant. It ends early
// enough for the owner to hear, before the value expires there, that it is in use.
func (g *Group) leaseOf(e Entry, asked clock.Instant) clock.Instant {
	lease := asked.Plus(g.times.lease)
	if e.Expires != 0 {
		lease = min(lease, e.Expires.Plus(-g.times.ahead))
	}
	return lease
}
