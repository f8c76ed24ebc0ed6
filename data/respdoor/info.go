package respdoor

import "fmt"

// info implements resp.Fallback.Info.
func (d *memoryDoor) info(section string) []any {
	switch section {
	case "clients":
		return []any{"blocked_clients", d.e.Blocked.Load()}
	case "memory":
		return []any{"used_memory_dataset", d.e.Used(), "lazyfree_pending_objects", 0, "maxmemory", d.e.Limit()}
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
