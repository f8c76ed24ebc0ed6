package data

import (
	"fmt"

	"github.com/peercache/peercache/data/internal/engine"
)

// Err returns why m takes no command that writes, or nil: its log has failed, which is ErrLogFailed, or a command has panicked half-way, and what it has
// done cannot be undone. A log that failed because the disk is full works again when there is room; after another failure the process has to be started
// anew. Commands that read run on, but with SyncAlways, where they may not reply what is not on the disk. That there is no room in
// memory (ErrFull) is no such error. Use Err in the check that says whether a process is healthy.
func (m *Memory) Err() error {
	switch err := m.engine.Err().(type) {
	case nil:
		return nil
	case *engine.LogError:
		return ofEngine(err)
	default:
		return fmt.Errorf("data: %w", err)
	}
}

// Stats are figures of a Memory.
type Stats struct {
	Keys     int64 // those that have expired and were not swept yet included
	Expiring int64 // of Keys: those that expire
	Bytes    int64 // what the data takes of memory, as WithBytes counts it
	Limit    int64 // that of WithBytes; 0: there is none
	Expired  int64 // keys that have expired so far
	Evicted  int64 // keys that have left because there was no room: see WithEviction
	// SlowListeners is how many of Listen were ended because they did not receive their messages.
	SlowListeners int64
}

// Stats returns the figures of m. They are of about the same moment.
func (m *Memory) Stats() Stats {
	e := m.engine
	return Stats{
		Keys: int64(e.Len()), Expiring: int64(e.Volatile()), Bytes: e.Used(), Limit: e.Limit(),
		Expired: e.Expired.Load(), Evicted: e.Evicted.Load(), SlowListeners: m.listeners.tooSlow.Load(),
	}
}
