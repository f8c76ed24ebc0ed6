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
}

// advance calls due for each key of the ticks up to tick.
func (w *wheel) advance(tick int64, due func(key string)) {
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
				due(key) // which may add it again
			}
		}
	}
}

// expires has the sweep look at a key at that time. The key has not been in the wheel for as early.
func (s *shard) expires(key string, at int64, now func() int64) {
	if s.wheel.keys == 0 {
		s.wheel.tick = now() >> tickBits
	}
	if s.wheel.keys > 2*s.volatile+levelSlots { // expiries were given and taken again
		w := wheel{tick: s.wheel.tick}
		s.keys.Load().All(func(n *Node) bool {
			if n.Value.Expire != 0 {
				w.add(n.Key, n.Value.Expire>>tickBits+1)
			}
			return true
		})
		s.wheel = w
		return
	}
	s.wheel.add(key, at>>tickBits+1)
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
	tables := int64(0)
	for i := range e.shards {
		s := &e.shards[i]
		s.mu.RLock()
		some := s.wheel.keys > 0 && s.wheel.tick < now>>tickBits
		tables += s.keys.Load().Bytes()
		s.mu.RUnlock()
		if some {
			e.sweep(i, now)
		}
	}
	e.tables.Store(tables)
}

// sweepMost is how many keys are removed before others may have the lock.
const sweepMost = 256

// sweep removes what has expired in a shard.
func (e *Engine) sweep(i int, now int64) {
	var due []string
	s := &e.shards[i]
	s.mu.Lock()
	s.wheel.advance(now>>tickBits, func(key string) { due = append(due, key) })
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
				s.wheel.add(key, node.Value.Expire>>tickBits+1)
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
	if t.e.cfg.Changed != nil {
		t.keys = append(t.keys, key)
	}
	t.notify(EventExpired, "expired", key)
	t.e.Expired.Add(1)
}
