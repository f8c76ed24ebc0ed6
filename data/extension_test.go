package data_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/peercache/peercache/data"
)

// A command of one's own is one function, and one line where the Memory is made.
func ExampleWithCommands() {
	// transfer from to n moves n from one counter to another, if there is as much.
	transfer := func(c *data.Call) error {
		left, err := c.Do("decrby", c.Args[1], c.Args[3])
		if err != nil {
			return err
		}
		if left.Int < 0 {
			return errors.New("there is not as much")
		}
		_, err = c.Do("incrby", c.Args[2], c.Args[3])
		return err
	}
	memory, err := data.NewMemory(data.WithCommands(
		data.CommandSpec{Name: "transfer", Arity: 4, Keys: data.KeySpec{First: 1, Last: 2}, Args: "from to n", Run: transfer}))
	if err != nil {
		panic(err)
	}
	client := data.New(memory)
	defer client.Close()
	ctx := context.Background()
	client.Do(ctx, "SET", "alice", "10")
	for range 2 {
		_, err := client.Do(ctx, "TRANSFER", "alice", "bob", "7")
		fmt.Println(err)
	}
	fmt.Println(client.Strings().MGet(ctx, "alice", "bob"))
	// Output:
	// <nil>
	// data: ERR there is not as much
	// [{3 true} {7 true}] <nil>
}

// ownCommands are some that go wrong in some way.
var ownCommands = []data.CommandSpec{
	{Name: "both", Arity: 4, Keys: data.KeySpec{First: 1, Last: 2}, Run: func(c *data.Call) error {
		for _, key := range c.Args[1:3] {
			if _, err := c.Do("set", key, c.Args[3]); err != nil {
				return err
			}
		}
		switch c.Args[3] {
		case "fail":
			return errors.New("two\r\nlines")
		case "wrong":
			return data.ErrWrongType
		case "panic":
			panic("boom")
		case "nil":
			return fmt.Errorf("nothing: %w", data.ErrNil)
		}
		c.ReplyList(c.Args[1:]...)
		return nil
	}},
	{Name: "pair", Arity: 3, ReadOnly: true, Keys: data.KeySpec{First: 1, Last: 2}, Run: func(c *data.Call) error {
		first, err := c.Do("get", c.Args[1])
		if err != nil {
			return err
		}
		second, err := c.Do("get", c.Args[2])
		if err != nil {
			return err
		}
		c.Reply(data.Reply{Kind: data.MapReply, List: []data.Reply{first, second}})
		return nil
	}},
	{Name: "stray", Arity: 2, Keys: data.KeySpec{First: 1, Last: 1}, Run: func(c *data.Call) error {
		for i := range 100 { // one of them is in the same shard
			if _, err := c.Do("set", "another"+strconv.Itoa(i), "1"); err == nil || i == 99 {
				return err
			}
		}
		return nil
	}},
	{Name: "liar", Arity: 2, ReadOnly: true, Keys: data.KeySpec{First: 1, Last: 1}, Run: func(c *data.Call) error {
		_, err := c.Do("set", c.Args[1], "1")
		return err
	}},
	{Name: "unknown", Arity: 1, Run: func(c *data.Call) error {
		_, err := c.Do("nosuchcommand")
		return err
	}},
	{Name: "drop", Arity: 2, NoGrowth: true, Keys: data.KeySpec{First: 1, Last: 1}, Run: func(c *data.Call) error {
		r, err := c.Do("del", c.Args[1])
		c.ReplyInt(r.Int)
		return err
	}},
	{Name: "nothing", Arity: -1, Run: func(c *data.Call) error { return nil }},
}

func newMemory(t *testing.T, opts ...data.MemoryOption) *data.Memory {
	t.Helper()
	m, err := data.NewMemory(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// reply runs a command, in words, and returns its reply as text.
func reply(t *testing.T, d data.Driver, command string) string {
	t.Helper()
	args := strings.Fields(command)
	replies, err := d.Do(context.Background(), data.Cmd{Name: args[0], Args: args[1:]})
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return replyText(replies[0])
}

func replyText(r data.Reply) string {
	switch r.Kind {
	case data.ListReply, data.MapReply, data.SetReply:
		var list []string
		for _, element := range r.List {
			list = append(list, replyText(element))
		}
		return "[" + strings.Join(list, " ") + "]"
	case data.ErrorReply:
		return "-" + r.Str
	case data.NullReply:
		return "nil"
	case data.IntReply:
		return strconv.FormatInt(r.Int, 10)
	}
	return r.Str
}

func TestD2OwnCommands(t *testing.T) {
	m := newMemory(t, data.WithCommands(ownCommands...))
	reply(t, m, "MSET a before b before")
	for _, c := range []struct{ command, want string }{
		{"NOTHING", "OK"},
		{"nothing at all", "OK"},
		{"both a b", "-ERR wrong number of arguments for 'both' command"},
		{"both a b fail", "-ERR two  lines"},
		{"both a b wrong", "-" + strings.TrimPrefix(data.ErrWrongType.Error(), "data: ")},
		{"both a b panic", "-ERR the command 'both' panicked: boom"},
		{"stray c", "-ERR the command 'stray' uses a key that is not among its own keys: 'set'"},
		{"liar a", "-ERR the command 'liar' is not one that writes, and runs 'set'"},
		{"unknown", "-ERR unknown command 'nosuchcommand'"},
		{"pair a b", "[before before]"},
	} {
		if got := reply(t, m, c.command); got != c.want {
			t.Errorf("%s replies %s, want %s", c.command, got, c.want)
		}
		if got := reply(t, m, "MGET a b"); got != "[before before]" {
			t.Errorf("after %s there is %s", c.command, got)
		}
	}
	if got := reply(t, m, "both a b nil") + reply(t, m, "both a b good"); got != "nil[a b good]" {
		t.Errorf("they reply %s", got)
	}
	err := m.Tx(context.Background(), func(tx data.Transaction) error {
		if r, err := tx.Do(data.Command("both", "a", "b", "undone")); err != nil || r.Err() != nil {
			t.Errorf("in a Tx it replies %v, %v", r, err)
		}
		return tx.UndoLast()
	})
	if got := reply(t, m, "pair a b"); err != nil || got != "[good good]" {
		t.Errorf("after a Tx that has undone it there is %s, %v", got, err)
	}
}

// TestD2OwnCommandsAreSeenWhole has others read without a lock what a command of the user's own changes in several steps, in
// one key.
func TestD2OwnCommandsAreSeenWhole(t *testing.T) {
	m := newMemory(t, data.WithCommands(data.CommandSpec{Name: "twice", Arity: 2, Keys: data.KeySpec{First: 1, Last: 1}, Run: func(c *data.Call) error {
		for range 2 {
			if _, err := c.Do("incr", c.Args[1]); err != nil {
				return err
			}
		}
		return nil
	}}))
	var group sync.WaitGroup
	group.Go(func() {
		for range 5000 {
			reply(t, m, "twice key")
		}
	})
	for range 5000 {
		if n, _ := strconv.Atoi(reply(t, m, "get key")); n%2 != 0 {
			t.Errorf("a half was seen: %d", n)
			break
		}
	}
	group.Wait()
}

func TestOwnCommandsOfAFullMemory(t *testing.T) {
	m := newMemory(t, data.WithCommands(ownCommands...), data.WithBytes(1))
	reply(t, m, "set a 1")
	if got := reply(t, m, "both a b 2"); !strings.HasPrefix(got, "-OOM ") {
		t.Errorf("both replies %s", got)
	}
	if got := reply(t, m, "drop a"); got != "1" {
		t.Errorf("drop replies %s", got)
	}
}

func TestMemoryOptions(t *testing.T) {
	run := func(*data.Call) error { return nil }
	for name, opt := range map[string]data.MemoryOption{
		"no bytes":    data.WithBytes(0),
		"eviction":    data.WithEviction(99),
		"no function": data.WithCommands(data.CommandSpec{Name: "name", Arity: 1}),
		"twice":       data.WithCommands(data.CommandSpec{Name: "get", Arity: 1, Run: run}),
		"no such key": data.WithCommands(data.CommandSpec{Name: "name", Arity: 1, Keys: data.KeySpec{First: 1, Last: 1}, Run: run}),
	} {
		if _, err := data.NewMemory(opt); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for e := data.NoEviction; e <= data.EvictExpiring; e++ {
		if got, err := data.ParseEviction(e.String()); got != e || err != nil {
			t.Errorf("ParseEviction(%v) = %v, %v", e, got, err)
		}
	}
	if _, err := data.ParseEviction("all"); err == nil {
		t.Error("ParseEviction(all) is no error")
	}
}

func TestWithEviction(t *testing.T) {
	m := newMemory(t, data.WithBytes(100_000), data.WithEviction(data.EvictRandom))
	for i := range 5000 {
		if got := reply(t, m, fmt.Sprintf("set key%d value", i)); got != "OK" {
			t.Fatalf("set replies %s", got)
		}
	}
}

func TestCommandInfos(t *testing.T) {
	m := newMemory(t, data.WithCommands(ownCommands...))
	builtin, all := data.CommandInfos(), m.CommandInfos()
	if len(all) != len(builtin)+len(ownCommands) {
		t.Errorf("there are %d commands, want %d and %d", len(all), len(builtin), len(ownCommands))
	}
	for _, c := range builtin {
		if c.Group == "" || c.Summary == "" || c.Complexity == "" || c.Arity != 1 && c.Args == "" {
			t.Errorf("the command %s is not described: %+v", c.Name, c)
		}
	}
}

// A Memory that is closed does nothing more, and says so.
func TestClosed(t *testing.T) {
	m, err := data.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := data.New(m), t.Context()
	if err := c.Strings().Set(ctx, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"Set":   func() error { return c.Strings().Set(ctx, "a", "2") },
		"Get":   func() error { _, err := c.Strings().Get(ctx, "a"); return err },
		"BLPop": func() error { _, _, err := c.Lists().BLPop(ctx, 0, "list"); return err },
		"Exec":  func() error { _, err := m.Exec(ctx, data.Command("get", "a")); return err },
		"Tx":    func() error { return c.Tx(ctx, func(*data.Tx) error { return nil }) },
		"Watch": func() error { return c.Watch(ctx, []string{"a"}, func(*data.Tx) error { return nil }) },
		"Close": func() error { return errors.Join(m.Close(), data.ErrClosed) },
	} {
		if err := do(); !errors.Is(err, data.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
