package engine

import (
	"time"

	"github.com/peercache/peercache/data/internal/dict"
)

const (
	tickBits   = 7 // a tick is 128 ms
	levelBits  = 6
	levelSlots = 1 << levelBits
	levels     = 4 // 24 days; what expires later goes around
	// sweepEvery is how often is looked for what has expired. Reads look themselves.
	sweepEvery = 100 * time.Millisecond
)

// wheel has the keys of a shard by when they expire: a hierarchical timing wheel (Varghese and Lauck, 1987). A key may be in it
// more than once, and later than it expires; it is not earlier than the wheel has it.
type wheel struct {
	tick  int64 // up to which all was swept
	slots [levels][levelSlots][]string
	keys  int // in slots
	bytes int // of keys
}

// add puts a key into the slot of a tick.
func (w *wheel) add(key string, tick int64) {
	tick = max(tick, w.tick+1)
	level := 0
	for level < levels-1 && tick-w.tick >= 1<<(levelBits*(level+1)) {
		level++
	}
	tick = min(tick, w.tick+1<<(levelBits*levels)-1<<(levelBits*(levels-1)))
	slot := &w.slots[level][tick>>(levelBits*level)&(levelSlots-1)]
	*slot = append(*slot, key)
	w.keys++
	w.bytes += len(key)
}

// soonest calls do with keys, those that expire sooner about first, until it returns false.
func (w *wheel) soonest(do func(key string) bool) {
	for level := range w.slots {
		for i := range int64(levelSlots) {
			for _, key := range w.slots[level][(w.tick>>(levelBits*level)+1+i)&(levelSlots-1)] {
				if !do(key) {
					return
				}
			}
		}
	}
}

// farAhead is from how many ticks on advance does not go through each of them.
const farAhead = 1 << (levelBits * (levels - 1))

// advance calls due for each key of the ticks up to tick, and perhaps for others.
func (w *wheel) advance(tick int64, due func(key string)) {
	if tick-w.tick > farAhead {
		w.soonest(func(key string) bool { due(key); return true })
		*w = wheel{tick: tick}
		return
	}
	for w.tick < tick {
		if w.keys == 0 {
			w.tick = tick
			return
		}
		w.tick++
		level := 0
		for level < levels-1 && w.tick&(1<<(levelBits*(level+1))-1) == 0 {
			level++
		}
		for ; level >= 0; level-- {
			slot := &w.slots[level][w.tick>>(levelBits*level)&(levelSlots-1)]
			keys := *slot
			*slot = nil
			w.keys -= len(keys)
			for _, key := range keys {
				w.bytes -= len(key)
				due(key)
			}
		}
	}
}

// goneBytes is what keys may take that the wheel has, and that are gone.
const goneBytes = 256 << 10

// expires has the sweep look at a key at that time. The key has not been in the wheel for as early.
func (s *shard) expires(key string, at int64, now func() int64) {
	if s.wheel == nil {
		s.wheel = new(wheel)
	}
	if s.wheel.keys == 0 {
		s.wheel.tick = now() >> tickBits
	}
	s.wheel.add(key, at>>tickBits+1)
	// Expiries are given and taken again, and nobody counts what keys take that are gone.
	if w := s.wheel; w.keys > 2*int(s.volatile.Load())+levelSlots || w.bytes > 2*s.volatileBytes+goneBytes {
		s.rebuild(s.wheel.tick)
	}
}

// rebuild makes the wheel anew, in which then each key is once.
func (s *shard) rebuild(tick int64) {
	old := s.wheel
	s.wheel = &wheel{tick: tick}
	keys, seen := s.keys.Load(), make(map[string]bool, s.volatile.Load())
	old.soonest(func(key string) bool {
		if n := keys.Get(key); n != nil && n.Value.Expire != 0 && !seen[key] {
			seen[key] = true
			s.wheel.add(n.Key, n.Value.Expire>>tickBits+1)
		}
		return true
	})
}

// sweepUntilStopped removes what has expired, all the time.
func (e *Engine) sweepUntilStopped() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			e.Sweep()
		case <-e.stop:
			return
		}
	}
}

// Sweep removes what has expired.
func (e *Engine) Sweep() {
	now := e.cfg.Now()
	e.seconds.Store(uint32(now / 1000))
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.RLock()
		some := s.wheel != nil && s.wheel.keys > 0 && s.wheel.tick != now>>tickBits
		s.mu.RUnlock()
		if some {
			e.sweep(i, now)
		}
	}
}

// sweepMost is how many keys are removed before others may have the lock.
const sweepMost = 256

// sweep removes what has expired in a shard.
func (e *Engine) sweep(i int, now int64) {
	var due []string
	s := &e.shards[i]
	s.mu.Lock()
	switch tick := now >> tickBits; {
	case s.wheel == nil: // removed meanwhile
	case s.wheel.tick > tick: // the clock was set back
		s.rebuild(tick)
	default:
		s.wheel.advance(tick, func(key string) { due = append(due, key) })
	}
	s.mu.Unlock()
	for len(due) > 0 {
		n := min(len(due), sweepMost)
		held := e.lock(1<<i, true)
		t := e.begin(held)
		for _, key := range due[:n] {
			node := s.keys.Load().Get(key)
			switch {
			case node == nil || node.Value.Expire == 0:
			case t.over(node):
				t.expire(node)
			default:
				s.wheel.add(node.Key, node.Value.Expire>>tickBits+1)
			}
		}
		t.finish() // an error of the log is one that the next command has
		t.free()
		e.unlock(held, true)
		due = due[n:]
	}
}

// expire removes a key that has expired.
func (t *txn) expire(n *Node) {
	key, hash := n.Key, dict.Hash(n.Key)
	s := &t.e.shards[shardOf(hash)]
	if len(s.watched) > 0 {
		s.dirty(key, true)
	}
	t.swap(s, hash, n, nil)
	if t.undo {
		t.undos = append(t.undos, func() { t.swap(s, hash, nil, n) })
	}
	if t.e.logs() {
		t.record = appendCommand(t.record, []string{"DEL", key})
	}
	if t.e.changed.any() {
		t.keys = append(t.keys, key)
	}
	t.notify(EventExpired, "expired", key)
	t.expired++
}
