package store

import (
	"math"
	"sync/atomic"
)

// An advice is what the leader, the first shard, has found out about the load: which policy is best.
// Keys come to the shards by chance, so what is best for the leader's keys is best for all. Only the
// leader has a sample, a selection and shadows: otherwise they would take the memory and the time of
// each shard.
type advice struct {
	// word has the policy in its lower half. Its upper half has, as a float32, the part of the
	// cache that S3-FIFO's main should have (core.evictFIFO), or one if nobody knows. The leader
	// writes it with its lock held.
	word atomic.Uint64
	_    [120]byte // keeps what writers of the leader write away
}

// anyShare means that nobody knows S3-FIFO's share.
const anyShare = 1

// give records the leader's policy, and the share that main has in the shadow of S3-FIFO.
func (a *advice) give(c *core) {
	share := float32(anyShare)
	if m := c.model; m != nil {
		// To a step of 1/256, so that the other processors need not read it again and again.
		share = float32(m.held[inMain].cost*256/m.max) / 256
	}
	word := uint64(c.policy) | uint64(math.Float32bits(share))<<32
	if a.word.Load() != word {
		a.word.Store(word)
	}
}

// follow makes a core do what the leader does.
func (a *advice) follow(c *core) {
	word := a.word.Load()
	c.policy = policy(word & math.MaxUint32)
	if c.policy != fifo {
		return
	}
	if c.model == nil {
		c.model = &core{max: 256}
	}
	c.model.held[inMain].cost = int64(256 * math.Float32frombits(uint32(word>>32)))
}
