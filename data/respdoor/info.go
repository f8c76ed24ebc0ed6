package respdoor

import (
	"fmt"

	"github.com/peercache/peercache/data"
)

// info implements resp.Fallback.Info.
func (d *memoryDoor) info(section string) []any {
	switch section {
	case "clients":
		return []any{"blocked_clients", d.e.Blocked.Load()}
	case "memory":
		return []any{"maxmemory_policy", data.Eviction(d.e.Eviction()), "used_memory_dataset", d.e.Used(), "lazyfree_pending_objects", 0, "maxmemory", d.e.Limit()}
	case "persistence":
		if !d.e.Logged() {
			return nil
		}
		st := d.m.LogStats()
		status := "ok"
		if st.Err != nil {
			status = "err"
		}
		return []any{"aof_enabled", 1, "aof_last_write_status", status, "aof_current_size", st.Log, "aof_base_size", st.Snapshot,
			"aof_buffer_length", st.Buffered, "aof_delayed_fsync", st.LateSyncs}
	case "stats":
		return []any{"expired_keys", d.e.Expired.Load(), "evicted_keys", d.e.Evicted.Load(),
			"pubsub_channels", len(d.e.Messages.Channels(false, "*")), "pubsub_patterns", d.e.Messages.Patterns(),
			"pubsubshard_channels", len(d.e.Messages.Channels(true, "*"))}
	case "keyspace":
		if n := d.e.Len(); n > 0 {
			return []any{"db0", fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", n, d.e.Volatile())}
		}
	}
	return nil
}
