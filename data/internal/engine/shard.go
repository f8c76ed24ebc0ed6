package engine

import (
	"context"
	"math/bits"
	"runtime"
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
	held, _ := e.lockWithin(context.Background(), set, write)
	return held
}

// lockWithin is lock, but locks nothing and returns the error of ctx if that ends first.
func (e *Engine) lockWithin(ctx context.Context, set shardSet, write bool) (shardSet, error) {
	if !write {
		return set, e.lockAll(ctx, set, false)
	}
	for {
		held := e.needed(set)
		if err := e.lockAll(ctx, held, true); err != nil {
			return 0, err
		}
		more := e.needed(held)
		if more == held {
			return held, nil
		}
		e.unlock(held, true)
		set = more
	}
}

// lockAll locks the shards of set in their order, or none if ctx ends first.
func (e *Engine) lockAll(ctx context.Context, set shardSet, write bool) error {
	if set.several() {
		if err := within(ctx, &e.gate, false); err != nil {
			return err
		}
	}
	for left := set; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(uint64(left))
		if err := within(ctx, &e.shards[i].mu, write); err != nil {
			e.unlockShards(set&^left, write)
			if set.several() {
				e.gate.RUnlock()
			}
			return err
		}
	}
	return nil
}

// triesBeforeWait take about a microsecond: as long as it takes to begin to wait with a context.
const triesBeforeWait = 40

// within locks mu, or returns the error of ctx if that ends first.
func within(ctx context.Context, mu *sync.RWMutex, write bool) error {
	if try(mu, write) {
		return nil
	}
	return waitFor(ctx, mu, write)
}

func try(mu *sync.RWMutex, write bool) bool { return write && mu.TryLock() || !write && mu.TryRLock() }

// waitFor is within for a lock that is held.
func waitFor(ctx context.Context, mu *sync.RWMutex, write bool) error {
	lock, unlock := mu.RLock, mu.RUnlock
	if write {
		lock, unlock = mu.Lock, mu.Unlock
	}
	if ctx.Done() == nil {
		lock()
		return nil
	}
	// Most locks are held for less than a microsecond: that of a Tx is held for as long as the function of a user takes.
	for i := range triesBeforeWait {
		if try(mu, write) {
			return nil
		}
		if i%10 == 9 {
			runtime.Gosched()
		}
	}
	locked := make(chan struct{})
	go func() {
		lock()
		select {
		case locked <- struct{}{}:
		case <-ctx.Done():
			unlock()
		}
	}()
	select {
	case <-locked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
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
	e.unlockShards(held, write)
	if held.several() {
		e.gate.RUnlock()
	}
}

func (e *Engine) unlockShards(held shardSet, write bool) {
	if write {
		held.each(func(i int) { e.shards[i].mu.Unlock() })
	} else {
		held.each(func(i int) { e.shards[i].mu.RUnlock() })
	}
}

// mark says that a change of several steps begins, or ends, in shards that the caller has locked.
func (e *Engine) markSeveral(held shardSet) {
	held.each(func(i int) { e.shards[i].several.Add(1) })
}
