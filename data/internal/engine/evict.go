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

const (
	// evictSample is among how many keys one that leaves is chosen. Redis takes 5.
	evictSample = 8
	// evictTries is how often is looked for one before commands fail.
	evictTries = 64
)

// makeRoom has keys leave until there is room.
func (e *Engine) makeRoom() error {
	if e.cfg.Evict == NoEviction {
		return ErrFull
	}
	for tries := 0; e.Used() > e.cfg.Bytes; {
		if e.evict() {
			tries = 0
		} else if tries++; tries == evictTries {
			return ErrFull
		}
	}
	return nil
}

// evict has a key leave. It returns false if it has found none, which may be bad luck.
func (e *Engine) evict() bool {
	i := rand.IntN(shardCount)
	held := e.lock(1<<i, true)
	defer e.unlock(held, true)
	keys := e.shards[i].keys.Load()
	var sample []*Node
	for range evictSample {
		if n := keys.Random(); n != nil && (e.cfg.Evict != EvictExpires || n.Value.Expire != 0) {
			sample = append(sample, n)
		}
	}
	if len(sample) == 0 {
		return false
	}
	victim := slices.MinFunc(sample, func(a, b *Node) int {
		switch e.cfg.Evict {
		case EvictExpires:
			return cmp.Compare(a.Value.Expire, b.Value.Expire)
		case EvictLRU:
			return cmp.Compare(a.Value.used.Load(), b.Value.used.Load())
		}
		return 0
	})
	t := e.begin(held)
	t.evictNode(victim)
	t.finish()
	t.free()
	return true
}

func (t *txn) evictNode(n *Node) {
	t.remove(n.Key)
	if t.e.logs() {
		t.record = appendCommand(t.record, []string{"DEL", n.Key})
	}
	t.notify(EventEvicted, "evicted", n.Key)
	t.e.Evicted.Add(1)
}
