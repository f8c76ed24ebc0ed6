package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/peercache/peercache/internal/alloc"
)

// tokens is a Writer that keeps a reply as text, in one line.
type tokens struct{ list []string }

func (w *tokens) add(s string)     { w.list = append(w.list, s) }
func (w *tokens) Proto() int       { return 3 }
func (w *tokens) Simple(s string)  { w.add("+" + s) }
func (w *tokens) Error(s string)   { w.add("-" + s) }
func (w *tokens) Int(n int64)      { w.add(":" + strconv.FormatInt(n, 10)) }
func (w *tokens) Bulk(s string)    { w.add("$" + s) }
func (w *tokens) Bytes(b []byte)   { w.add("$" + string(b)) }
func (w *tokens) Null()            { w.add("_") }
func (w *tokens) NullArray()       { w.add("*_") }
func (w *tokens) Double(f float64) { w.add(fmt.Sprint(f)) }
func (w *tokens) Array(n int)      { w.add("*" + strconv.Itoa(n)) }
func (w *tokens) Map(n int)        { w.add("%" + strconv.Itoa(n)) }
func (w *tokens) Set(n int)        { w.add("~" + strconv.Itoa(n)) }
func (w *tokens) String() string   { return strings.Join(w.list, " ") }

// stack is an Object: strings of which the last one is taken.
type stack struct {
	items []string
	bytes int64 // of the items
}

var stackKind = &Kind{Name: "stack", ID: 1, Decode: func(b []byte) (Object, error) {
	s := new(stack)
	for len(b) > 0 {
		item, rest, ok := cutText(b)
		if !ok {
			return nil, errors.New("it ends early")
		}
		s.push(string(item))
		b = rest
	}
	return s, nil
}}

func (s *stack) Kind() *Kind      { return stackKind }
func (s *stack) Encoding() string { return "stack" }
func (s *stack) Len() int         { return len(s.items) }
func (s *stack) Bytes() int64     { return 32 + alloc.Size(16*int64(cap(s.items))) + s.bytes }
func (s *stack) Clone() Object    { return &stack{append([]string(nil), s.items...), s.bytes} }
func (s *stack) push(item string) {
	s.items = append(s.items, strings.Clone(item))
	s.bytes += alloc.Size(int64(len(item)))
}
func (s *stack) pop() string {
	last := len(s.items) - 1
	item := s.items[last]
	s.items[last] = ""
	s.items = s.items[:last]
	s.bytes -= alloc.Size(int64(len(item)))
	return item
}
func (s *stack) AppendTo(b []byte) []byte {
	for _, item := range s.items {
		b = append(b, byte(len(item)))
		b = append(b, item...)
	}
	return b
}

// testCommands are a few commands of each sort.
var testCommands = []Command{
	{Name: "get", Arity: 2, Flags: ReadOnly | Unlocked, Keys: Key(1), Run: testGet},
	{Name: "lockedget", Arity: 2, Flags: ReadOnly, Keys: Key(1), Run: testGet},
	{Name: "mget", Arity: -2, Flags: ReadOnly, Keys: KeysFrom(1), Run: func(c *Call) error {
		c.W.Array(len(c.Args) - 1)
		for _, key := range c.Args[1:] {
			writeString(c, key)
		}
		return nil
	}},
	{Name: "set", Arity: -3, Flags: Write | Grows, Keys: Key(1), Run: func(c *Call) error {
		var at int64
		if len(c.Args) > 3 {
			at, _ = strconv.ParseInt(c.Args[3], 10, 64)
		}
		c.SetString(c.Args[1], c.Args[2], at)
		c.Notify(EventString, "set", c.Args[1])
		c.W.Simple("OK")
		return nil
	}},
	{Name: "mset", Arity: -3, Flags: Write | Grows, Keys: Keys{First: 1, Last: -1, Step: 2}, Run: func(c *Call) error {
		for i := 1; i+1 < len(c.Args); i += 2 {
			c.SetString(c.Args[i], c.Args[i+1], 0)
		}
		c.W.Simple("OK")
		return nil
	}},
	{Name: "incr", Arity: 2, Flags: Write | Grows, Keys: Key(1), Run: func(c *Call) error {
		s, ok, err := c.ReadString(c.Args[1])
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if ok && err != nil {
			return ErrNotInt
		}
		var at int64
		if ok {
			at = c.Peek(c.Args[1]).Value.Expire
		}
		c.SetString(c.Args[1], strconv.FormatInt(n+1, 10), at)
		c.W.Int(n + 1)
		return nil
	}},
	{Name: "del", Arity: -2, Flags: Write, Keys: KeysFrom(1), Run: func(c *Call) error {
		n := int64(0)
		for _, key := range c.Args[1:] {
			if c.Remove(key) {
				n++
				c.Notify(EventGeneric, "del", key)
			}
		}
		c.W.Int(n)
		return nil
	}},
	{Name: "expireat", Arity: 3, Flags: Write, Keys: Key(1), Run: func(c *Call) error {
		n := c.Find(c.Args[1])
		if n == nil {
			c.W.Int(0)
			return nil
		}
		at, _ := strconv.ParseInt(c.Args[2], 10, 64)
		c.SetExpire(n, at)
		c.W.Int(1)
		return nil
	}},
	{Name: "rename", Arity: 3, Flags: Write, Keys: Keys{First: 1, Last: 2, Step: 1}, Run: func(c *Call) error {
		n := c.Find(c.Args[1])
		if n == nil {
			return ErrNoKey
		}
		v := &n.Value
		c.Remove(c.Args[1])
		if v.Object != nil {
			c.SetObject(c.Args[2], v.Object, v.Expire)
		} else {
			c.SetString(c.Args[2], v.Str, v.Expire)
		}
		c.W.Simple("OK")
		return nil
	}},
	{Name: "push", Arity: -3, Flags: Write | Grows, Keys: Key(1), Run: func(c *Call) error {
		s, err := ChangeOrNew(c, c.Args[1], func() *stack { return new(stack) })
		if err != nil {
			return err
		}
		for _, item := range c.Args[2:] {
			s.push(item)
			if c.Undoing() {
				c.Undo(func() { s.pop() })
			}
		}
		c.Changed(c.Args[1])
		c.Ready(c.Args[1])
		c.W.Int(int64(s.Len()))
		return nil
	}},
	{Name: "pop", Arity: 2, Flags: Write, Keys: Key(1), Run: func(c *Call) error { return testPop(c, c.Args[1:]) }},
	{Name: "bpop", Arity: -3, Flags: Write | Blocking, Keys: Keys{First: 1, Last: -2, Step: 1}, Run: func(c *Call) error {
		return testPop(c, c.Args[1:len(c.Args)-1])
	}},
	{Name: "bmove", Arity: 4, Flags: Write | Blocking, Keys: Keys{First: 1, Last: 2, Step: 1}, Run: testMove},
	{Name: "count", Arity: 1, Flags: ReadOnly | All, Run: func(c *Call) error {
		c.W.Int(int64(c.Engine().Len()))
		return nil
	}},
	{Name: "flush", Arity: 1, Flags: Write | All, Run: func(c *Call) error {
		c.Flush()
		c.W.Simple("OK")
		return nil
	}},
	{Name: "compound", Arity: -3, Flags: Write | Grows | Compound, Keys: Key(1), Run: func(c *Call) error {
		for range 2 {
			if err := c.Do(new(tokens), c.Engine().Commands().Find("push"), "push", c.Args[1], c.Args[2]); err != nil {
				return err
			}
		}
		switch c.Args[2] {
		case "fail":
			return Error("ERR failed")
		case "panic":
			panic("boom")
		}
		c.W.Simple("OK")
		return nil
	}},
}

func testGet(c *Call) error {
	s, ok, err := c.ReadString(c.Args[1])
	switch {
	case err != nil:
		return err
	case ok:
		c.W.Bulk(s)
	default:
		c.W.Null()
	}
	return nil
}

func writeString(c *Call, key string) {
	if s, ok, err := c.ReadString(key); ok && err == nil {
		c.W.Bulk(s)
	} else {
		c.W.Null()
	}
}

// testPop takes a string of the first of keys that has one, and waits if it is bpop.
func testPop(c *Call, keys []string) error {
	for _, key := range keys {
		s, err := Change[*stack](c, key)
		if err != nil {
			return err
		}
		if s == nil || !c.Serves(key) {
			continue
		}
		item := s.pop()
		if c.Undoing() {
			c.Undo(func() { s.push(item) })
		}
		c.Changed(key)
		c.RemoveIfEmpty(key, s)
		c.W.Bulk(item)
		return nil
	}
	if c.Name() == "pop" {
		c.W.Null()
		return nil
	}
	return testWait(c, keys)
}

func testWait(c *Call, keys []string) error {
	ms, err := strconv.Atoi(c.Args[len(c.Args)-1])
	if err != nil {
		return ErrNotInt
	}
	return c.Wait(time.Duration(ms)*time.Millisecond, func(w Writer) { w.Null() }, keys...)
}

func testMove(c *Call) error {
	from, err := Change[*stack](c, c.Args[1])
	if err != nil {
		return err
	}
	if from == nil {
		return testWait(c, c.Args[1:2])
	}
	to, err := ChangeOrNew(c, c.Args[2], func() *stack { return new(stack) })
	if err != nil {
		return err
	}
	item := from.pop()
	to.push(item)
	if c.Undoing() {
		c.Undo(func() { to.pop(); from.push(item) })
	}
	c.Changed(c.Args[1])
	c.RemoveIfEmpty(c.Args[1], from)
	c.Changed(c.Args[2])
	c.Ready(c.Args[2])
	c.W.Bulk(item)
	return nil
}

// clock is a clock that tests set.
type clock struct{ atomic.Int64 }

func newTest(t testing.TB, cfg Config) *Engine {
	t.Helper()
	table, err := NewTable(testCommands)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Commands, cfg.Kinds = table, []*Kind{stackKind}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// do runs a command, in words, and returns its reply.
func do(t testing.TB, e *Engine, command string) string {
	t.Helper()
	w := new(tokens)
	args := strings.Fields(command)
	if err := e.Run(context.Background(), e.Commands().Find(args[0]), args, w); err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return w.String()
}

// queued makes a transaction of commands.
func queued(e *Engine, commands ...string) (queue []Queued) {
	for _, c := range commands {
		args := strings.Fields(c)
		queue = append(queue, Queued{e.Commands().Find(args[0]), args})
	}
	return queue
}

// counted is what Used has to be.
func counted(e *Engine) (sum int64) {
	for i := range e.shards {
		keys := e.shards[i].keys.Load()
		sum += keys.Bytes()
		keys.All(func(n *Node) bool {
			sum += bytesOf(n)
			return true
		})
	}
	return sum
}

// contents is all that an engine has, as a text for each key, and what has expired left out.
func contents(e *Engine) map[string]string { return contentsAt(e, e.cfg.Now()) }

func contentsAt(e *Engine, now int64) map[string]string {
	all := map[string]string{}
	for i := range e.shards {
		e.shards[i].keys.Load().All(func(n *Node) bool {
			if !n.Value.expired(now) {
				all[n.Key] = entryText(&n.Value)
			}
			return true
		})
	}
	return all
}

func entryText(v *Entry) string {
	text := v.Str
	if v.Object != nil {
		text = fmt.Sprint(v.Object.(*stack).items)
	}
	return fmt.Sprintf("%s %s until %d", v.Kind().Name, text, v.Expire)
}
