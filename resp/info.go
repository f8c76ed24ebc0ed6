package resp

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

type infoSection struct {
	name  string
	lines func(s *Server) []any // names and values in turn
}

// infoSections are the parts of INFO, in order.
var infoSections = []infoSection{
	{"Server", func(s *Server) []any {
		return []any{"redis_version", version, "peercache_version", ownVersion(), "redis_mode", "standalone", "os", runtime.GOOS, "arch_bits", 32 << (^uint(0) >> 63),
			"process_id", os.Getpid(), "uptime_in_seconds", int(time.Since(s.started).Seconds()), "uptime_in_days", int(time.Since(s.started).Hours() / 24)}
	}},
	{"Clients", func(s *Server) []any {
		st := s.Stats()
		return []any{"connected_clients", st.Clients, "maxclients", s.limits.Clients, "blocked_clients", 0, "tracking_clients", st.TrackingClients}
	}},
	{"Memory", func(s *Server) []any {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return []any{"used_memory", m.HeapAlloc, "mem_clients_normal", s.memory.Load(), "maxmemory", 0, "maxmemory_policy", "allkeys-lru"}
	}},
	{"Persistence", func(s *Server) []any {
		return []any{"loading", 0, "rdb_changes_since_last_save", 0, "aof_enabled", 0}
	}},
	{"Stats", func(s *Server) []any {
		st := s.Stats()
		return []any{"total_connections_received", st.Connections, "total_commands_processed", st.Commands, "rejected_connections", st.Refused,
			"tracking_total_keys", st.TrackedKeys, "tracking_total_items", s.tracking.items.Load(),
			"tracking_total_prefixes", s.tracking.prefixes(), "tracking_invalidations", st.Invalidations, "clients_that_did_not_read", st.Unread}
	}},
	{"Replication", func(s *Server) []any { return []any{"role", "master", "connected_slaves", 0} }},
	{"Cluster", func(s *Server) []any { return []any{"cluster_enabled", 0} }},
	{"Keyspace", func(s *Server) []any { return nil }},
}

// infoOf returns the names and values, in turn, of a section of INFO: those of the fallback are in the place of the server's.
func (s *Server) infoOf(section infoSection) []any {
	lines := section.lines(s)
	if s.opts.fallback == nil || s.opts.fallback.Info == nil {
		return lines
	}
	other := s.opts.fallback.Info(strings.ToLower(section.name))
	for i := 0; i < len(other); i += 2 {
		at := -1
		for n := 0; n < len(lines); n += 2 {
			if lines[n] == other[i] {
				at = n
			}
		}
		if at >= 0 {
			lines[at+1] = other[i+1]
		} else {
			lines = append(lines, other[i], other[i+1])
		}
	}
	return lines
}

func ownVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
			if m.Path == "github.com/peercache/peercache" {
				return firstOf(m.Version, "unknown")
			}
		}
	}
	return "unknown"
}

func cmdInfo(c *Conn, args [][]byte) {
	all := len(args) == 1
	for _, a := range args[1:] {
		all = all || isWord(a, "all") || isWord(a, "default") || isWord(a, "everything")
	}
	var b strings.Builder
	for _, section := range infoSections {
		if !all && !slices.ContainsFunc(args[1:], func(a []byte) bool { return isWord(a, section.name) }) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "# %s\r\n", section.name)
		lines := c.s.infoOf(section)
		for i := 0; i < len(lines); i += 2 {
			fmt.Fprintf(&b, "%v:%v\r\n", lines[i], lines[i+1])
		}
	}
	c.Verbatim(b.String())
}

// settings are what CONFIG GET has: what clients ask for.
func (s *Server) settings() map[string]string {
	l := s.limits
	timeout := int64(l.IdleTimeout / time.Second)
	if l.IdleTimeout > 100*365*24*time.Hour {
		timeout = 0
	}
	all := map[string]string{
		"appendonly":                "no",
		"client-query-buffer-limit": fmt.Sprint(l.QueryBytes),
		"databases":                 "1",
		"maxclients":                fmt.Sprint(l.Clients),
		"maxmemory":                 "0",
		"maxmemory-policy":          "allkeys-lru",
		"notify-keyspace-events":    "",
		"proto-max-bulk-len":        fmt.Sprint(l.BulkBytes),
		"save":                      "",
		"timeout":                   fmt.Sprint(timeout),
		"tracking-table-max-keys":   fmt.Sprint(s.tracking.most.Load()),
	}
	if f := s.opts.fallback; f != nil && f.Settings != nil {
		maps.Copy(all, f.Settings.Get())
	}
	return all
}
