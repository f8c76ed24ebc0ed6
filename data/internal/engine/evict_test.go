package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache/data/internal/heaptest"
)

const big = "0123456789012345678901234567890123456789012345678901234567890123456789"

// TestD1FullIsAnError fills an engine that must not have keys leave: what would add something fails, what is there stays, and there is
// room where something was removed.
func TestD1FullIsAnError(t *testing.T) {
	e := newTest(t, Config{Bytes: 100_000})
	n := 0
	for ; do(t, e, fmt.Sprintf("set key%d %s", n, big)) == "+OK"; n++ {
		if n > 10_000 {
			t.Fatal("there is no bound")
		}
	}
	full := "-" + string(ErrFull)
	for _, command := range []string{"set other 1", "push stack a", "incr n", "compound stack a"} {
		if got := do(t, e, command); got != full {
			t.Errorf("%s replies %s, want %s", command, got, full)
		}
	}
	w := new(tokens)
	e.Exec(context.Background(), queued(e, "set other 1", "get key0"), nil, w)
	if want := "*2 " + full + " $" + big; w.String() != want {
		t.Errorf("in EXEC they reply %s, want %s", w, want)
	}
	for i := range n {
		if got := do(t, e, fmt.Sprintf("get key%d", i)); got != "$"+big {
			t.Fatalf("key%d has %s", i, got)
		}
	}
	if used := e.Used(); used < 100_000 || used > 100_000+1000 {
		t.Errorf("Used = %d, want about 100 000", used)
	}
	for i := range 5 {
		do(t, e, fmt.Sprintf("del key%d", i))
	}
	if got := do(t, e, "set other 1"); got != "+OK" {
		t.Errorf("where there is room, set replies %s", got)
	}
}

// TestD1FullInATx counts what a Tx has added before anybody else may see it.
func TestD1FullInATx(t *testing.T) {
	e := newTest(t, Config{Bytes: 100_000})
	x, _ := e.Begin(context.Background())
	w := new(tokens)
	for i := 0; w.String() != "-"+string(ErrFull); i++ {
		if i > 10_000 {
			t.Fatal("there is no bound")
		}
		w = new(tokens)
		x.Run(e.Commands().Find("set"), []string{"set", "key" + strconv.Itoa(i), big}, w)
	}
	x.Rollback()
	if used := e.Used(); used != 0 {
		t.Errorf("Used = %d after Rollback", used)
	}
}

// TestEviction fills engines that may have keys leave.
func TestEviction(t *testing.T) {
	for _, c := range []struct {
		name   string
		policy Eviction
		stays  func(i int) bool // which keys of 1000 should stay, for the most part
	}{
		{"LRU", EvictLRU, func(i int) bool { return i%10 == 0 }},
		{"random", EvictRandom, nil},
		{"expires", EvictExpires, func(i int) bool { return i%2 == 0 || i > 900 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var now clock
			now.Store(1_700_000_000_000)
			e := newTest(t, Config{Bytes: 400_000, Evict: c.policy, Now: now.Load})
			log := &memoryLog{}
			e.cfg.Log = log
			told := 0
			e.OnEvent(EventEvicted, func(Class, string, string) { told++ })
			var at int64
			for i := range 1000 {
				if at = 0; i%2 == 1 {
					at = now.Load() + day + int64(i)*100_000
				}
				do(t, e, fmt.Sprintf("set key%d %s %d", i, big, at))
			}
			now.Add(10_000)
			e.Sweep()
			for i := 0; i < 1000; i += 10 {
				do(t, e, fmt.Sprintf("get key%d", i))
			}
			for i := range 1200 {
				if got := do(t, e, fmt.Sprintf("set new%d %s %d", i, big, at)); got != "+OK" {
					t.Fatalf("set replies %s", got)
				}
				if used := e.Used(); used > 400_000+1000 {
					t.Fatalf("Used = %d", used)
				}
			}
			stay, left := 0, 0
			for i := range 1000 {
				if c.stays != nil && c.stays(i) {
					stay++
					if do(t, e, fmt.Sprintf("get key%d", i)) == "_" {
						left++
					}
				}
			}
			if left*10 > stay {
				t.Errorf("of %d keys that should stay %d have left", stay, left)
			}
			if n := e.Evicted.Load(); n == 0 || told != int(n) {
				t.Errorf("%d keys have left, and %d were told of", n, told)
			}
			if got, want := len(contents(replayed(t, &now, log.records))), len(contents(e)); got != want {
				t.Errorf("the log has %d keys, want %d", got, want)
			}
		})
	}
}

// TestEvictionFindsNothing has only keys that must stay.
func TestEvictionFindsNothing(t *testing.T) {
	e := newTest(t, Config{Bytes: 10_000, Evict: EvictExpires})
	got := ""
	for i := 0; i < 1000 && got != "-"+string(ErrFull); i++ {
		got = do(t, e, fmt.Sprintf("set key%d %s", i, big))
	}
	if got != "-"+string(ErrFull) {
		t.Errorf("set replies %s, want %s", got, ErrFull)
	}
}

// TestEvictionInATx has keys leave for a Tx, and come back when it is undone.
func TestEvictionInATx(t *testing.T) {
	e := newTest(t, Config{Bytes: 100_000, Evict: EvictRandom})
	for i := range 1000 {
		do(t, e, fmt.Sprintf("set key%d %s", i, big))
	}
	before := contents(e)
	x, _ := e.Begin(context.Background())
	for i := range 100 {
		w := new(tokens)
		if x.Run(e.Commands().Find("set"), strings.Fields(fmt.Sprintf("set new%d %s", i, big)), w); w.String() != "+OK" {
			t.Fatalf("set replies %s", w)
		}
	}
	x.Rollback()
	if got := contents(e); len(got) != len(before) {
		t.Errorf("after Rollback there are %d keys, want %d", len(got), len(before))
	}
}

// TestD1UsedIsTheHeap compares what is counted with what the heap has.
func TestD1UsedIsTheHeap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has the heap take more")
	}
	in := time.Now().UnixMilli() + 100*day
	for name, set := range map[string]func(i int) []string{
		"small strings": func(i int) []string { return []string{"set", fmt.Sprint("key:", i), "value"} },
		"large strings": func(i int) []string { return []string{"set", fmt.Sprint("key:", i), big + big + big} },
		"that expire": func(i int) []string {
			return []string{"set", fmt.Sprint("key:", i), "value", fmt.Sprint(in + int64(i)*10_000)}
		},
		"that expire now": func(i int) []string { return []string{"set", fmt.Sprint("key:", i), "value", fmt.Sprint(in)} },
		"stacks":          func(i int) []string { return []string{"push", fmt.Sprint("key:", i/10), big} },
	} {
		t.Run(name, func(t *testing.T) {
			before := heaptest.Used()
			e := newTest(t, Config{})
			for i := range 100_000 {
				args := set(i)
				e.Run(context.Background(), e.Commands().Find(args[0]), args, new(tokens))
			}
			heaptest.Check(t, before, 10, []*Engine{e}, (*Engine).Used)
		})
	}
}

// TestCommandsAreChecked has tables of commands that cannot be.
func TestCommandsAreChecked(t *testing.T) {
	run := func(*Call) error { return nil }
	good := Command{Name: "good", Arity: 2, Run: run}
	for name, c := range map[string]Command{
		"no name":       {Arity: 1, Run: run},
		"capitals":      {Name: "Name", Arity: 1, Run: run},
		"long":          {Name: strings.Repeat("x", longestName+1), Arity: 1, Run: run},
		"no arity":      {Name: "name", Run: run},
		"no function":   {Name: "name", Arity: 1},
		"both":          {Name: "name", Arity: 1, Run: run, Flags: Write | ReadOnly},
		"blocks":        {Name: "name", Arity: 1, Run: run, Flags: Blocking | ReadOnly},
		"unlocked":      {Name: "name", Arity: 2, Run: run, Flags: Write | Unlocked, Keys: Key(1)},
		"unlocked keys": {Name: "name", Arity: -3, Run: run, Flags: ReadOnly | Unlocked, Keys: KeysFrom(1)},
		"no such key":   {Name: "name", Arity: -1, Run: run, Keys: Key(1)},
		"twice":         good,
	} {
		if _, err := NewTable([]Command{good}, []Command{c}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	table, err := NewTable([]Command{good})
	if err != nil || table.Find("GOOD") == nil || table.Find("other") != nil || table.Find(strings.Repeat("x", 100)) != nil || len(table.All()) != 1 {
		t.Errorf("the table is %v, %v", table, err)
	}
	if _, err := New(Config{Kinds: []*Kind{stackKind, stackKind}}); err == nil {
		t.Error("two kinds of one number are no error")
	}
}
