package peercache

import "github.com/peercache/peercache/store"

// NewStore is the NewCache that a Group uses by default, of the package store:
// read without a lock, with a policy that adapts to what is asked for, and with
// entries that leave by themselves when they expire. A value of more than a
// quarter of maxBytes is not kept.
func NewStore(maxBytes int64, onLeave func(key string, e Entry, r Reason)) (Cache, error) {
	c := store.Config{MaxBytes: maxBytes, Now: func() int64 { return int64(Now()) }}
	if onLeave != nil {
		c.OnLeave = func(key string, e store.Entry, r store.Reason) { onLeave(key, entryOf(e), Reason(r)) }
	}
	s, err := store.New(c)
	if err != nil {
		return nil, err
	}
	return storeCache{s}, nil
}

// storeCache makes a Cache of a store.Store. The reasons of both packages have the
// same numbers, and the store's clock is that of Instant.
type storeCache struct{ *store.Store }

func entryOf(e store.Entry) Entry {
	return Entry{View: ByteView{e.Value}, Expires: Instant(e.Expires)}
}

func (c storeCache) Get(key string) (Entry, bool) {
	e, ok := c.Store.Get(key)
	return entryOf(e), ok
}

func (c storeCache) Add(key string, e Entry, tainted func() bool) bool {
	_, kept := c.AddUnless(tainted, key, e.View.bytes(), int64(e.Expires), 0)
	return kept
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
