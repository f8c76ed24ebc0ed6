package engine

import (
	"math/rand/v2"
)

// Past reports whether a time is over, at which something was to expire. While a log is replayed none is.
func (c *Call) Past(at int64) bool { return !c.t.e.replaying && at <= c.Now() }

// Usage returns how many bytes a key takes, with its value.
func (c *Call) Usage(n *Node) int64 { return bytesOf(n) }

// Keys calls visit with each key, in no order. The command has the flag All.
func (c *Call) Keys(visit func(n *Node)) {
	for i := range c.t.e.shards {
		c.t.e.shards[i].keys.Load().All(func(n *Node) bool {
			if !c.t.over(n) {
				visit(n)
			}
			return true
		})
	}
}

// Size returns the number of keys, those among them that have expired and were not looked at since. The command has the
// flag All.
func (c *Call) Size() int { return c.t.e.Len() }

// Scan calls visit for some keys from a place in the order of hashes on, and returns the place from which to go on, or 0
// if that was all. seen is how many keys there were, those among them that have expired. The command has the flag Steps.
func (c *Call) Scan(place uint64, visit func(n *Node)) (next uint64, seen int) {
	i := shardOf(place)
	defer c.step(i)()
	next = c.t.e.shards[i].keys.Load().Scan(place, func(n *Node) {
		seen++
		if !c.t.over(n) {
			visit(n)
		}
	})
	if next == 0 {
		next = uint64(i+1) << (64 - shardBits) // which is 0 after the last one
	}
	return next, seen
}

// step locks a shard for a step of a command, unless its transaction has it, and returns what unlocks it.
func (c *Call) step(i int) (unlock func()) {
	if c.t.held&(1<<i) != 0 {
		return func() {}
	}
	c.t.e.shards[i].mu.RLock()
	return c.t.e.shards[i].mu.RUnlock
}

// randomTries is how often is looked for a random key that has not expired, before all are looked at.
const randomTries = 100

// Random returns one of the keys, each with the same probability, or nil if there is none. The command has the
// flag Steps.
func (c *Call) Random() *Node {
	for range randomTries {
		at := c.t.e.Len()
		if at == 0 {
			return nil
		}
		at = rand.IntN(at)
		for i := range c.t.e.shards {
			at -= c.t.e.shards[i].keys.Load().Len()
			if at >= 0 {
				continue
			}
			if n := c.randomOf(i); n != nil {
				return n
			}
			break
		}
	}
	var any *Node
	for place := uint64(0); any == nil; {
		if place, _ = c.Scan(place, func(n *Node) { any = n }); place == 0 {
			break
		}
	}
	return any
}

// randomOf returns a key of a shard, or nil if that has expired.
func (c *Call) randomOf(i int) *Node {
	defer c.step(i)()
	if n := c.t.e.shards[i].keys.Load().Random(); n != nil && !c.t.over(n) {
		return n
	}
	return nil
}
