package aof

import (
	"sync/atomic"
	"time"
)

// counters count.
type counters struct {
	syncs, stalls, late, rewrites, rewriteFailures, lastSyncNanos atomic.Int64
}

func (c *counters) synced(took time.Duration) {
	c.syncs.Add(1)
	c.lastSyncNanos.Store(int64(took))
}

func (c *counters) lastSync() time.Duration { return time.Duration(c.lastSyncNanos.Load()) }

// Stats are figures of a Log.
type Stats struct {
	Appended, Durable, Buffered, Log, Snapshot int64 // bytes
	Syncs                                      int64
	LastSync                                   time.Duration
	LateSyncs, Stalls                          int64
	Rewrites, RewriteFailures                  int64
	Err                                        error
}

// Stats returns figures.
func (l *Log) Stats() Stats {
	c := &l.stats
	s := Stats{Appended: int64(l.position.Load()) - 1, Durable: int64(l.durable.Load()) - 1, Syncs: c.syncs.Load(), LateSyncs: c.late.Load(),
		Stalls: c.stalls.Load(), Rewrites: c.rewrites.Load(), RewriteFailures: c.rewriteFailures.Load(), LastSync: c.lastSync(), Err: l.Err()}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Buffered, s.Snapshot = int64(l.buffered), l.base
	for _, e := range l.tail {
		s.Log += e.size
	}
	return s
}
