package redistest

import (
	"slices"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
)

// A user who may only read may run what is read-only, so a command that Redis takes for one that writes must not be.
func TestWhatWritesIsWhatWritesInRedis(t *testing.T) {
	p := New(t)
	// Of MEMORY, OBJECT and PUBSUB Redis has flags for each subcommand alone, and TIME reads nothing of the data.
	known := map[string]string{"memory": "readonly", "object": "readonly", "pubsub": "pubsub", "time": "readonly"}
	flagsOf := map[string]engine.Flags{"write": engine.Write, "readonly": engine.ReadOnly, "denyoom": engine.Grows, "blocking": engine.Blocking,
		"pubsub": engine.PubSub, "fast": engine.Fast}
	for _, cmd := range p.ours.engine.Commands().All() {
		if cmd.Since == "" {
			if cmd.Flags&(engine.Write|engine.ReadOnly) == 0 {
				t.Errorf("%s neither writes nor is read-only", cmd.Name)
			}
			continue
		}
		info := p.redis.do("COMMAND", "INFO", cmd.Name)
		if len(info.List) != 1 || len(info.List[0].List) < 3 {
			t.Errorf("redis-server does not know %s, of which the table says that it is one of Redis'", cmd.Name)
			continue
		}
		var flags []string
		for _, f := range info.List[0].List[2].List {
			flags = append(flags, f.Text)
		}
		for name, flag := range flagsOf {
			if want, got := slices.Contains(flags, name), cmd.Flags&flag != 0; want != got && known[cmd.Name] != name {
				t.Errorf("%s: %s is %v, want %v", cmd.Name, name, got, want)
			}
		}
	}
}
