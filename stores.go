package peercache

import (
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/store"
	"github.com/peercache/peercache/lru"
)

// NewStore is the NewCache that a Group uses by default, of the package store:
// read without a lock, with a policy that adapts to what is asked for, and with
// entries that leave by themselves when they expire. A value of more than a
// quarter of maxBytes is not kept.
func NewStore(maxBytes int64, onLeave func(key string, e Entry, r Reason)) (Cache, error) {
	c := store.Config{MaxBytes: maxBytes, Now: func() int64 { return int64(clock.Now()) }}
	if onLeave != nil {
		c.OnLeave = func(key string, e store.Entry, r Reason) { onLeave(key, entryOf(e), r) }
	}
	s, err := store.New(c)
	if err != nil {
		return nil, err
	}
	return storeCache{s}, nil
}

// storeCache makes a Cache of a store.Store, whose clock is that of Instant.
type storeCache struct{ *store.Store }

// What an Entry has beyond a store.Entry is in the latter's Meta, which costs nothing
// as long as it is zero: the Lease, and in the two highest bits, which no Instant has,
// Missing and Former.
const (
	missingBit = 1 << 63
	formerBit  = 1 << 62
)

func metaOf(e Entry) uint64 {
	meta := uint64(e.Lease)
	if e.Missing {
		meta |= missingBit
	}
	if e.Former {
		meta |= formerBit
	}
	return meta
}

func entryOf(e store.Entry) Entry {
	return Entry{
		View:    ByteView{e.Value},
		Expires: clock.Instant(e.Expires),
		Lease:   clock.Instant(e.Meta &^ (missingBit | formerBit)),
		Former:  e.Meta&formerBit != 0,
		Missing: e.Meta&missingBit != 0,
	}
}

func (c storeCache) Get(key string) (Entry, bool) {
	e, ok := c.Store.Get(key)
	return entryOf(e), ok
}

func (c storeCache) Add(key string, e Entry, tainted func() bool) bool {
	_, kept := c.AddUnless(tainted, key, e.View.bytes(), int64(e.Expires), metaOf(e))
	return kept
}

func (c storeCache) Renew(key string, e Entry) bool {
	old, ok := c.Peek(key)
	if !ok || !e.View.Same(ByteView{old.Value}) {
		return false
	}
	return c.Store.Renew(key, old, int64(e.Expires), metaOf(e))
}

func (c storeCache) Range(f func(key string, e Entry) bool) {
	c.Store.Range(func(key string, e store.Entry) bool { return f(key, entryOf(e)) })
}

func (c storeCache) Stats() CacheStats {
	s := c.Store.Stats()
	return CacheStats{
		Items:           s.Items,
		Bytes:           s.Bytes,
		Evictions:       s.Evicted,
		Expired:         s.Expired,
		Removed:         s.Removed,
		Replaced:        s.Replaced,
		Rejected:        s.Rejected,
		EvictedEarly:    s.EvictedEarly,
		YoungestEvicted: s.YoungestEvicted,
	}
}

// NewLRU is the NewCache of the package lru: what was not used for the longest
// time leaves first. It is for those who want just that; the default is NewStore.
func NewLRU(maxBytes int64, onLeave func(key string, e Entry, r Reason)) (Cache, error) {
	c, err := lru.New(maxBytes, func(_ string, e Entry) int64 { return int64(e.View.Len()) }, onLeave)
	if err != nil {
		return nil, err
	}
	return lruCache{c}, nil
}

// lruCache makes a Cache of an lru.Cache.
type lruCache struct{ *lru.Cache[Entry] }

func (c lruCache) Add(key string, e Entry, tainted func() bool) bool {
	return c.AddUnless(tainted, key, e)
}

func (c lruCache) Renew(key string, e Entry) bool {
	return c.Update(key, func(old Entry) (Entry, bool) {
		if !old.View.Same(e.View) {
			return old, false
		}
		old.Expires, old.Lease, old.Former = e.Expires, e.Lease, e.Former
		return old, true
	})
}

func (c lruCache) Stats() CacheStats {
	s := c.Cache.Stats()
	return CacheStats{Items: s.Items, Bytes: s.Bytes, Evictions: s.Evictions, Rejected: s.Rejected}
}
