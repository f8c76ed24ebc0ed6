package engine

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache/data/internal/dict"
)

const (
	shardBits  = 6
	shardCount = 1 << shardBits
)

// shardSet is a set of shards, one bit each.
type shardSet uint64

const allShards = ^shardSet(0)

// several reports whether there is more than one shard in s.
func (s shardSet) several() bool { return s&(s-1) != 0 }

// each calls do with the shards of s, in their order.
func (s shardSet) each(do func(i int)) {
	for ; s != 0; s &= s - 1 {
		do(bits.TrailingZeros64(uint64(s)))
	}
}

// shardOf returns the shard of the keys with that hash: shards are in the order of hashes, as the segments of a
// dict.Dict are, so that one SCAN goes through all.
func shardOf(hash uint64) int { return int(hash >> (64 - shardBits)) }

// setOf returns the shards of keys.
func setOf(keys ...string) (s shardSet) {
	for _, key := range keys {
		s |= 1 << shardOf(dict.Hash(key))
	}
	return s
}

// shard is the part of the keys whose hashes begin with its number.
type shard struct {
	mu sync.RWMutex
	// keys is changed with mu held, and read without.
	keys atomic.Pointer[dict.Dict[Entry]]
	// several is odd while a change of more than one step is under way. It is changed with mu held.
	several atomic.Uint32
	// need is the shards of the commands that wait for keys of this shard, those of their other keys included. Who
	// makes a key of this shard Ready has to hold them. It is changed with mu held.
	need atomic.Uint64

	// mu guards the rest.
	waiting       map[string][]*waiter // first come, first served
	needs         map[shardSet]int     // how many entries of waiting have commands with these shards: need is all of them
	watched       map[string][]*Watch
	wheel         *wheel       // nil: nothing has expired so far
	volatileBytes int          // of the keys that expire
	volatile      atomic.Int64 // keys that expire; it is changed with mu held, and read without

	_ [64]byte // the next shard is in another cache line
}

// lock locks shards: all of set, and those that commands need that wait for keys in set, if write is true. It returns those
// that are locked.
func (e *Engine) lock(set shardSet, write bool) shardSet {
	if !write {
		if set.several() {
			e.gate.RLock()
		}
		set.each(func(i int) { e.shards[i].mu.RLock() })
		return set
	}
	for {
		held := e.needed(set)
		if held.several() {
			e.gate.RLock()
		}
		held.each(func(i int) { e.shards[i].mu.Lock() })
		more := e.needed(held)
		if more == held {
			return held
		}
		e.unlock(held, true)
		set = more
	}
}

// needed returns set, with the shards that its waiting commands need.
func (e *Engine) needed(set shardSet) shardSet {
	for {
		more := set
		set.each(func(i int) { more |= shardSet(e.shards[i].need.Load()) })
		if more == set {
			return set
		}
		set = more
	}
}

// unlock undoes lock.
func (e *Engine) unlock(held shardSet, write bool) {
	if write {
		held.each(func(i int) { e.shards[i].mu.Unlock() })
	} else {
		held.each(func(i int) { e.shards[i].mu.RUnlock() })
	}
	if held.several() {
		e.gate.RUnlock()
	}
}

// mark says that a change of several steps begins, or ends, in shards that the caller has locked.
func (e *Engine) markSeveral(held shardSet) {
	held.each(func(i int) { e.shards[i].several.Add(1) })
}
