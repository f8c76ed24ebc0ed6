package zsets_test

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

// quietly runs a command that may fail.
func quietly(e *engine.Engine, args ...string) {
	if cmd := e.Commands().Find(args[0]); cmd != nil && cmd.Fits(len(args)) {
		e.Run(context.Background(), cmd, args, &enginetest.Failed{})
	}
}

// dump returns what is in e: for each key what a snapshot has, and its encoding.
func dump(t *testing.T, e *engine.Engine) map[string]string {
	all := make(map[string]string)
	err := e.Snapshot(context.Background(), func() error { return nil }, func(block []byte) error {
		return e.Entries(block, func(key string, entry *engine.Entry) error {
			if entry.Object == nil {
				all[key] = "string " + entry.Str
			} else {
				all[key] = entry.Object.Encoding() + string(entry.Object.AppendTo(nil))
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// waitless returns a command that does not wait.
func (g *generator) waitless(r *rand.Rand) []string {
	for {
		if args := g.command(r); !strings.HasPrefix(args[0], "BZ") {
			return args
		}
	}
}

// TestRolledBack rolls back transactions of many commands: all is as before, the memory that is counted included.
func TestRolledBack(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewSource(int64(seed)))
		g := &generator{members: []int{10, 60, 400}[seed%3]}
		enginetest.CheckUndone(t, seed, 100, dump, func() []string { return g.waitless(r) })
	}
}

// TestScanGuarantee has members come and go during a ZSCAN, whose set becomes large on the way: who is there all the time is
// found, and nobody who was never there.
func TestScanGuarantee(t *testing.T) {
	enginetest.CheckScan(t, "ZSCAN", 2, "ZADD k 1 STAYS", "ZADD k NUMBER GOES", "ZREM k GOES", "ZINCRBY k 1 STAYS")
}

// TestRandomMembersAreEven has each member come as often, within five standard deviations.
func TestRandomMembersAreEven(t *testing.T) {
	for _, size := range []int{10, 100, 500} {
		e := newEngine(t, nil)
		for i := range size {
			run(t, e, "ZADD", "k", fmt.Sprint(i%7), fmt.Sprint(i))
		}
		for _, count := range []string{"", "3", "-3", fmt.Sprint(size - 1)} {
			w := &enginetest.Words{}
			for len(w.List) < 400*size {
				args := []string{"ZRANDMEMBER", "k"}
				if count != "" {
					args = append(args, count)
				}
				from := len(w.List)
				e.Run(context.Background(), e.Commands().Find("zrandmember"), args, w)
				if got := slices.Clone(w.List[from:]); !strings.HasPrefix(count, "-") {
					slices.Sort(got)
					if len(slices.Compact(got)) != len(w.List)-from {
						t.Fatalf("ZRANDMEMBER k %s has replied one member twice: %q", count, got)
					}
				}
			}
			times := make(map[string]int)
			for _, member := range w.List {
				times[member]++
			}
			mean := len(w.List) / size
			for i := range size {
				if got := times[fmt.Sprint(i)]; got < mean-100 || got > mean+100 { // the deviation is 20
					t.Errorf("of %d members, with the count %q, member %d came %d times, want about %d", size, count, i, got, mean)
				}
			}
		}
	}
}

// FuzzArguments has no arguments end the process, or leave memory counted that nothing takes.
func FuzzArguments(f *testing.F) {
	for _, lines := range cases {
		f.Add(strings.Join(lines, "\n"))
	}
	f.Fuzz(func(t *testing.T, script string) {
		e := newEngine(t, nil)
		for line := range strings.SplitSeq(script, "\n") {
			if args := strings.Fields(line); len(args) > 0 && harmless(e, args) {
				quietly(e, args...)
			}
		}
		for key := range dump(t, e) {
			run(t, e, "DEL", key)
		}
		if used := e.Used(); used != 0 {
			t.Fatalf("%d bytes are counted for no keys", used)
		}
	})
}

// harmless reports whether a command is one of sorted sets, or makes another value, and neither waits nor asks for more
// random members than there is memory for their reply.
func harmless(e *engine.Engine, args []string) bool {
	cmd := e.Commands().Find(args[0])
	switch {
	case cmd == nil:
		return false
	case cmd.Name == "zrandmember":
		return len(args) < 3 || len(args[2]) < 6
	}
	return cmd.Group == "sorted-set" && cmd.Flags&engine.Blocking == 0 || cmd.Name == "set" || cmd.Name == "sadd"
}
