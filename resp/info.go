package resp

import (
	"fmt"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// infoSections are the parts of INFO, in order.
var infoSections = []struct {
	name  string
	lines func(s *Server) []any // names and values in turn
}{
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
			"tracking_total_keys", st.TrackedKeys, "tracking_invalidations", st.Invalidations, "clients_that_did_not_read", st.Unread}
	}},
	{"Replication", func(s *Server) []any { return []any{"role", "master", "connected_slaves", 0} }},
	{"Cluster", func(s *Server) []any { return []any{"cluster_enabled", 0} }},
	{"Keyspace", func(s *Server) []any { return nil }},
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
		lines := section.lines(c.s)
		for i := 0; i < len(lines); i += 2 {
			fmt.Fprintf(&b, "%v:%v\r\n", lines[i], lines[i+1])
		}
	}
	c.Verbatim(b.String())
}

// settings are what CONFIG GET has: what clients ask for.
func (s *Server) settings() [][2]string {
	l := s.limits
	timeout := int64(l.IdleTimeout / time.Second)
	if l.IdleTimeout > 100*365*24*time.Hour {
		timeout = 0
	}
	return [][2]string{
		{"appendonly", "no"},
		{"client-query-buffer-limit", fmt.Sprint(l.QueryBytes)},
		{"databases", "1"},
		{"maxclients", fmt.Sprint(l.Clients)},
		{"maxmemory", "0"},
		{"maxmemory-policy", "allkeys-lru"},
		{"notify-keyspace-events", ""},
		{"proto-max-bulk-len", fmt.Sprint(l.BulkBytes)},
		{"save", ""},
		{"timeout", fmt.Sprint(timeout)},
		{"tracking-table-max-keys", fmt.Sprint(l.TrackedKeys)},
	}
}

func cmdConfigGet(c *Conn, args [][]byte) {
	var found [][2]string
	for _, setting := range c.s.settings() {
		if slices.ContainsFunc(args[2:], func(pattern []byte) bool {
			if len(pattern) > 64 {
				return false
			}
			ok, err := path.Match(strings.ToLower(string(pattern)), setting[0])
			return ok && err == nil
		}) {
			found = append(found, setting)
		}
	}
	c.Map(len(found))
	for _, setting := range found {
		c.Bulk(setting[0])
		c.Bulk(setting[1])
	}
}

func cmdConfigSet(c *Conn, args [][]byte) {
	c.Error("ERR CONFIG SET is not possible: settings are those of the program that has started the server")
}

func cmdConfigResetStat(c *Conn, args [][]byte) { c.OK() }
