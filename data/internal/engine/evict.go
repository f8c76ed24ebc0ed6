package engine

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// Eviction says which keys leave where there is no room.
type Eviction uint8

// The kinds of eviction.
const (
	NoEviction   Eviction = iota // none: commands fail
	EvictLRU                     // those that were not used for the longest time
	EvictRandom                  // any
	EvictExpires                 // of those that expire, those that expire first
)

// evictSample is among how many keys one that leaves is chosen. Redis takes 5.
const evictSample = 8

// makeRoom has keys leave until there is room.
func (e *Engine) makeRoom() error {
	for e.Used() > e.cfg.Bytes {
		if e.cfg.Evict == NoEviction || !e.evict() {
			return ErrFull
		}
	}
	return nil
}

// evict has a key leave, and returns false if there is none that may.
func (e *Engine) evict() bool {
	return e.tryShards(func(i int) bool {
		held := e.lock(1<<i, true)
		t := e.begin(held)
		done := t.evictFrom(i)
		t.finish() // an error of the log is one that the next command has
		t.free()
		e.unlock(held, true)
		return done
	})
}

// tryShards calls try with shards that have keys, from any on, until it returns true.
func (e *Engine) tryShards(try func(i int) bool) bool {
	from := rand.IntN(shardCount)
	for i := range shardCount {
		i = (from + i) % shardCount
		if e.shards[i].keys.Load().Len() > 0 && try(i) {
			return true
		}
	}
	return false
}

// evictFrom has a key of a shard leave that t holds.
func (t *txn) evictFrom(i int) bool {
	s := &t.e.shards[i]
	sample := s.sample(t.e.cfg.Evict)
	if len(sample) == 0 {
		return false
	}
	victim := slices.MinFunc(sample, func(a, b *Node) int {
		switch t.e.cfg.Evict {
		case EvictExpires:
			return cmp.Compare(a.Value.Expire, b.Value.Expire)
		case EvictLRU:
			return cmp.Compare(a.Value.used.Load(), b.Value.used.Load())
		}
		return 0
	})
	t.remove(victim.Key)
	if t.e.logs() {
		t.record = appendCommand(t.record, []string{"DEL", victim.Key})
	}
	t.notify(EventEvicted, "evicted", victim.Key)
	t.evicted++
	return true
}

// sample returns keys of which one may leave.
func (s *shard) sample(by Eviction) (sample []*Node) {
	keys := s.keys.Load()
	if by == EvictExpires {
		if s.volatile == 0 {
			return nil
		}
		s.wheel.soonest(func(key string) bool {
			if n := keys.Get(key); n != nil && n.Value.Expire != 0 {
				sample = append(sample, n)
			}
			return len(sample) < evictSample
		})
		return sample
	}
	for range evictSample {
		if n := keys.Random(); n != nil {
			sample = append(sample, n)
		}
	}
	return sample
}
