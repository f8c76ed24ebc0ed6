package peercache

import (
	"time"

	"github.com/peercache/peercache/lru"
)

// A Cache keeps the values of a group in this process, within a number of
// bytes. Its methods are called concurrently.
type Cache interface {
	// Get returns the entry of key. It may return one that has expired: the
	// Group looks.
	Get(key string) (Entry, bool)
	// Add keeps e under key in place of what was there, and reports whether it
	// is kept. The cache must not hold on to the memory of key or e beyond what
	// it counts against its bytes.
	Add(key string, e Entry) bool
	// Remove drops key and reports whether it was there.
	Remove(key string) bool
	// Stats returns the cache's figures.
	Stats() CacheStats
}

// Entry is what a Cache keeps for a key.
type Entry struct {
	View    ByteView
	Expires Instant // from then on it is not to be served; zero: never
}

// Instant is a moment on this process's monotonic clock, in nanoseconds from an
// arbitrary start. It means nothing to another process: between peers, times
// travel as durations (P7). The zero Instant stands for never.
type Instant int64

// clockStart is the start of every Instant.
var clockStart = time.Now()

// Now returns the present Instant.
func Now() Instant { return Instant(time.Since(clockStart)) }

// expiry returns the instant ttl after now, where a ttl of zero is without end.
func expiry(now Instant, ttl time.Duration) Instant {
	if ttl == 0 {
		return 0
	}
	at := now + Instant(ttl)
	if ttl > 0 && at < now { // more than the clock can count
		return 0
	}
	if at == 0 { // the one instant that would read as never
		return 1
	}
	return at
}

// expired reports whether e may no longer be served.
func (e Entry) expired() bool { return e.Expires != 0 && Now() >= e.Expires }

// ttl returns how long e may still be served, in the form of Item.TTL.
func (e Entry) ttl() time.Duration {
	if e.Expires == 0 {
		return 0
	}
	left := time.Duration(e.Expires - Now())
	if left <= 0 {
		return -1
	}
	return left
}

// lruCache is the Cache of the package lru.
type lruCache struct{ *lru.Cache[Entry] }

func newLRU(maxBytes int64) (Cache, error) {
	size := func(_ string, e Entry) int64 { return int64(e.View.Len()) }
	c, err := lru.New(maxBytes, size, nil)
	return lruCache{c}, err
}

func (c lruCache) Stats() CacheStats {
	s := c.Cache.Stats()
	return CacheStats{Items: s.Items, Bytes: s.Bytes, Evictions: s.Evictions, Rejected: s.Rejected}
}
