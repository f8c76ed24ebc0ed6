package engine

import (
	"context"
	"log/slog"
	"strings"
	"testing"
)

// panicking are commands that panic: before they change anything, half-way, within another one, and when they are called again.
var panicking = []Command{
	{Name: "panics", Arity: -1, Flags: ReadOnly, Keys: Keys{First: 0}, Run: func(c *Call) error {
		c.W.Array(3)
		panic("boom")
	}},
	{Name: "panicsunlocked", Arity: 2, Flags: ReadOnly | Unlocked, Keys: Key(1), Run: func(c *Call) error { panic("boom") }},
	{Name: "panicshalfway", Arity: 2, Flags: Write, Keys: Key(1), Run: func(c *Call) error {
		c.SetString(c.Args[1], "half", 0)
		c.Log("SET", c.Args[1], "half")
		panic("boom")
	}},
	{Name: "panicswithin", Arity: 2, Flags: Write | Compound, Keys: Key(1), Run: func(c *Call) error {
		c.Do(new(tokens), c.Engine().Commands().Find("panicshalfway"), "panicshalfway", c.Args[1])
		c.W.Simple("OK")
		return nil
	}},
	{Name: "panicslater", Arity: 2, Flags: Write | Blocking, Keys: Key(1), Run: func(c *Call) error {
		if !c.Again() {
			return c.Wait(0, func(w Writer) { w.Null() })
		}
		panic("boom")
	}},
}

func newPanicking(t *testing.T) *Engine {
	t.Helper()
	former := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	t.Cleanup(func() { slog.SetDefault(former) })
	e := newTest(t, Config{})
	table, err := NewTable(testCommands, panicking)
	if err != nil {
		t.Fatal(err)
	}
	e.cfg.Commands = table
	return e
}

// wantPanicked runs a command, which has to return its panic.
func wantPanicked(t *testing.T, e *Engine, command string) {
	t.Helper()
	args := strings.Fields(command)
	err := e.Run(context.Background(), e.Commands().Find(args[0]), args, new(tokens))
	if err == nil || !strings.Contains(err.Error(), "panicked: boom") {
		t.Errorf("%s: %v, want its panic", command, err)
	}
}

func TestPanicOfACommandLeavesNoLock(t *testing.T) {
	e := newPanicking(t)
	for range 2 {
		for _, command := range []string{"panics", "panicsunlocked key"} {
			wantPanicked(t, e, command)
		}
	}
	if got := do(t, e, "push key a"); strings.HasPrefix(got, "-") {
		t.Errorf("after a panic that changed nothing: %s", got)
	}
	err := e.Exec(context.Background(), queued(e, "push key b", "panics"), nil, new(tokens))
	if !isPanicked(err) {
		t.Errorf("a transaction with a panic: %v", err)
	}
	if got := do(t, e, "push key a"); !strings.HasPrefix(got, "-ERR nothing can be written") {
		t.Errorf("after a part of a transaction: %s", got)
	}
}

func TestPanicHalfWayHasNothingWritten(t *testing.T) {
	e := newPanicking(t)
	wantPanicked(t, e, "panicshalfway key")
	if got := do(t, e, "push other a"); !strings.HasPrefix(got, "-ERR nothing can be written") {
		t.Errorf("a command that writes, after half of another one: %s", got)
	}
	if got := do(t, e, "get other"); got != "_" {
		t.Errorf("a command that reads, after half of another one: %s", got)
	}
	if used, want := e.Used(), counted(e); used != want {
		t.Errorf("%d bytes are counted, want %d", used, want)
	}
}

func TestPanicIsUndoneWhereItCanBe(t *testing.T) {
	e := newPanicking(t)
	if got := do(t, e, "panicswithin key"); got != "-ERR the command 'panicswithin' panicked: boom" {
		t.Error(got)
	}
	tx, err := e.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Run(e.Commands().Find("panicshalfway"), []string{"panicshalfway", "key"}, new(tokens)); !isPanicked(err) {
		t.Errorf("in a Tx: %v", err)
	}
	if err := tx.Commit(context.Background()); err != nil {
		t.Error(err)
	}
	if got := do(t, e, "get key"); got != "_" {
		t.Errorf("%s is left of what panicked", got)
	}
	if got := do(t, e, "push other a"); strings.HasPrefix(got, "-") {
		t.Errorf("all was undone, and then: %s", got)
	}
}

func TestPanicOfOneThatWaitsIsItsOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *waiting) {
		w.e = newPanicking(t)
		w.start(background, "panics", "panicslater key")
		w.start(background, "waits", "bpop key 0")
		do(t, w.e, "push key a")
		w.want("waits", "$a")
		if err := w.errs["panics"]; !isPanicked(err) {
			t.Errorf("it has %v, want its panic", err)
		}
	})
}
