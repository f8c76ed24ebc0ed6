package aof

import (
	"sync/atomic"
	"time"
)

// counters count.
type counters struct {
	syncs, stalls, late, rewrites, rewriteFailures atomic.Int64
	lastNanos, flushes                             atomic.Int64
}

func (c *counters) synced(took time.Duration) {
	c.syncs.Add(1)
	c.lastNanos.Store(int64(took))
}

func (c *counters) flushed(time.Duration) { c.flushes.Add(1) }

func (c *counters) lastSync() time.Duration { return time.Duration(c.lastNanos.Load()) }
