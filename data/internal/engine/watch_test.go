package engine

import (
	"context"
	"strings"
	"testing"
)

// TestWatch has cases of WATCH as Redis has them: what happens before, what then, and whether EXEC does anything.
func TestWatch(t *testing.T) {
	const start = 1_000_000
	for _, c := range []struct {
		name, before, then string
		runs               bool
	}{
		{"nothing", "", "", true},
		{"another key", "", "set other 1", true},
		{"changed", "set key 1", "set key 1", false},
		{"made", "", "set key 1", false},
		{"made and removed", "", "set key 1; del key", false},
		{"removed", "set key 1", "del key", false},
		{"removed, but not there", "", "del key", true},
		{"read", "set key 1", "get key; mget key", true},
		{"pushed", "push key a", "push key b", false},
		{"renamed to", "set from 1", "rename from key", false},
		{"renamed from", "set key 1", "rename key to", false},
		{"expiry given", "set key 1", "expireat key 1005000", false},
		{"expired", "set key 1 1000100", "tick", false},
		{"expired and swept", "set key 1 1000100", "tick; sweep", false},
		{"expired and touched", "set key 1 1000100", "tick; incr other; del key", false},
		{"had expired", "set key 1 1000100; tick", "", true},
		{"had expired, and is swept", "set key 1 1000100; tick", "sweep", true},
		{"had expired, and is looked at by a writer", "set key 1 1000100; tick", "del key", true},
		{"had expired, and is made", "set key 1 1000100; tick", "set key 1", false},
		{"flushed", "set key 1", "flush", false},
		{"flushed, but not there", "set other 1", "flush", true},
		{"had expired, and is flushed", "set key 1 1000100; tick", "flush", true},
		{"failed", "set key x", "incr key", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now clock
			now.Store(start)
			e := newTest(t, Config{Now: now.Load})
			script := func(commands string) {
				for command := range strings.SplitSeq(commands, ";") {
					switch command = strings.TrimSpace(command); command {
					case "":
					case "tick":
						now.Add(1000)
					case "sweep":
						e.Sweep()
					default:
						do(t, e, command)
					}
				}
			}
			script(c.before)
			w := e.Watch(nil, "key")
			w = e.Watch(w, "key", "unchanged")
			script(c.then)
			reply := new(tokens)
			if err := e.Exec(context.Background(), queued(e, "set done 1"), w, reply); err != nil {
				t.Fatal(err)
			}
			e.Unwatch(w)
			if got := reply.String() == "*1 +OK"; got != c.runs || !got && reply.String() != "*_" {
				t.Errorf("EXEC replies %s, want it to run: %v", reply, c.runs)
			}
			for i := range e.shards {
				if len(e.shards[i].watched) > 0 {
					t.Error("keys are watched after Unwatch")
				}
			}
		})
	}
}
