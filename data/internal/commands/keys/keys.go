// Package keys has the commands of keys, whatever their type.
package keys

import (
	"strconv"

	"github.com/peercache/peercache/data/internal/engine"
)

const (
	generic = "generic"
	server  = "server"

	read  = engine.ReadOnly | engine.Fast
	write = engine.Write | engine.Fast
)

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "del", Arity: -2, Flags: engine.Write, Keys: engine.KeysFrom(1), Group: generic, Args: "key [key ...]",
		Since: "1.0.0", Complexity: "O(N) in the number of keys", Summary: "Removes keys.", Run: del},
	{Name: "unlink", Arity: -2, Flags: write, Keys: engine.KeysFrom(1), Group: generic, Args: "key [key ...]",
		Since: "4.0.0", Complexity: "O(N) in the number of keys", Summary: "Removes keys, as DEL does.", Run: del},
	{Name: "exists", Arity: -2, Flags: read, Keys: engine.KeysFrom(1), Group: generic, Args: "key [key ...]",
		Since: "1.0.0", Complexity: "O(N) in the number of keys", Summary: "Counts how many of the given keys exist.", Run: touch},
	{Name: "touch", Arity: -2, Flags: read, Keys: engine.KeysFrom(1), Group: generic, Args: "key [key ...]",
		Since: "3.2.1", Complexity: "O(N) in the number of keys", Summary: "Counts keys as used now, and returns how many exist.", Run: touch},
	{Name: "type", Arity: 2, Flags: read | engine.Status, Keys: engine.Key(1), Group: generic, Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the type of the value of a key.", Run: typeOf},

	{Name: "expire", Arity: -3, Flags: write, Keys: engine.Key(1), Group: generic, Args: "key seconds [NX | XX | GT | LT]",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Has a key expire after some seconds.", Run: expire(1000, true)},
	{Name: "pexpire", Arity: -3, Flags: write, Keys: engine.Key(1), Group: generic, Args: "key milliseconds [NX | XX | GT | LT]",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Has a key expire after some milliseconds.", Run: expire(1, true)},
	{Name: "expireat", Arity: -3, Flags: write, Keys: engine.Key(1), Group: generic, Args: "key unix-time-seconds [NX | XX | GT | LT]",
		Since: "1.2.0", Complexity: "O(1)", Summary: "Has a key expire at a Unix time in seconds.", Run: expire(1000, false)},
	{Name: "pexpireat", Arity: -3, Flags: write, Keys: engine.Key(1), Group: generic, Args: "key unix-time-milliseconds [NX | XX | GT | LT]",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Has a key expire at a Unix time in milliseconds.", Run: expire(1, false)},
	{Name: "ttl", Arity: 2, Flags: read, Keys: engine.Key(1), Group: generic, Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the seconds until a key expires.", Run: ttl(1000, true)},
	{Name: "pttl", Arity: 2, Flags: read, Keys: engine.Key(1), Group: generic, Args: "key",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the milliseconds until a key expires.", Run: ttl(1, true)},
	{Name: "expiretime", Arity: 2, Flags: read, Keys: engine.Key(1), Group: generic, Args: "key",
		Since: "7.0.0", Complexity: "O(1)", Summary: "Returns the Unix time in seconds at which a key expires.", Run: ttl(1000, false)},
	{Name: "pexpiretime", Arity: 2, Flags: read, Keys: engine.Key(1), Group: generic, Args: "key",
		Since: "7.0.0", Complexity: "O(1)", Summary: "Returns the Unix time in milliseconds at which a key expires.", Run: ttl(1, false)},
	{Name: "persist", Arity: 2, Flags: write, Keys: engine.Key(1), Group: generic, Args: "key",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Takes the expiry of a key away.", Run: persist},

	{Name: "rename", Arity: 3, Flags: engine.Write | engine.Status, Keys: engine.KeysFrom(1), Group: generic, Args: "key newkey",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key another name, in the place of what that name had.", Run: rename},
	{Name: "renamenx", Arity: 3, Flags: write, Keys: engine.KeysFrom(1), Group: generic, Args: "key newkey",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key another name if nothing has that name.", Run: rename},
	{Name: "copy", Arity: -3, Flags: engine.Write | engine.Grows, Keys: engine.Keys{First: 1, Last: 2, Step: 1}, Group: generic,
		Args: "source destination [DB destination-db] [REPLACE]", Since: "6.2.0",
		Complexity: "O(N) in the size of the value", Summary: "Copies the value and the expiry of a key to another key.", Run: duplicate},

	{Name: "keys", Arity: 2, Flags: engine.ReadOnly | engine.All, Group: generic, Args: "pattern",
		Since: "1.0.0", Complexity: "O(N) in the number of all keys", Summary: "Returns all keys that match a pattern.", Run: keys},
	{Name: "scan", Arity: -2, Flags: engine.ReadOnly | engine.Steps, Group: generic,
		Args: "cursor [MATCH pattern] [COUNT count] [TYPE type]", Since: "2.8.0",
		Complexity: "O(1) for every call, O(N) for all keys",
		Summary:    "Returns some of the keys, and the cursor with which to go on.", Run: scanKeys},
	{Name: "randomkey", Arity: 1, Flags: engine.ReadOnly | engine.Steps | engine.Random, Group: generic,
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns one of all keys, at random.", Run: randomKey},
	{Name: "object", Arity: -2, Flags: engine.ReadOnly, Keys: engine.Keys{Find: subcommandKey}, Group: generic,
		Args: "ENCODING key | IDLETIME key | FREQ key | REFCOUNT key | HELP", Since: "2.2.3",
		Complexity: "O(1)", Summary: "Returns how a value is kept, and when it was last used.", Run: object},
	{Name: "memory", Arity: -2, Flags: engine.ReadOnly, Keys: engine.Keys{Find: subcommandKey}, Group: server,
		Args: "USAGE key [SAMPLES count]", Since: "4.0.0",
		Complexity: "O(1)", Summary: "Returns how many bytes a key takes, with its value.", Run: memory},

	{Name: "dbsize", Arity: 1, Flags: read | engine.All, Group: server,
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of keys.", Run: dbSize},
	{Name: "flushdb", Arity: -1, Flags: engine.Write | engine.All | engine.Status, Group: server, Args: "[ASYNC | SYNC]",
		Since: "1.0.0", Complexity: "O(N) in the number of all keys", Summary: "Removes all keys.", Run: flush},
	{Name: "flushall", Arity: -1, Flags: engine.Write | engine.All | engine.Status, Group: server, Args: "[ASYNC | SYNC]",
		Since: "1.0.0", Complexity: "O(N) in the number of all keys", Summary: "Removes all keys.", Run: flush},
	{Name: "time", Arity: 1, Flags: read | engine.Random, Group: server,
		Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the Unix time, in seconds and microseconds.", Run: now},
}

func del(c *engine.Call) error {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if c.Remove(key) {
			c.Notify(engine.EventGeneric, "del", key)
			n++
		}
	}
	c.W.Int(n)
	return nil
}

// touch is EXISTS and TOUCH, since a look at a key counts as a use in both.
func touch(c *engine.Call) error {
	n := int64(0)
	for _, key := range c.Args[1:] {
		if c.Find(key) != nil {
			n++
		}
	}
	c.W.Int(n)
	return nil
}

func typeOf(c *engine.Call) error {
	n := c.Peek(c.Args[1])
	if n == nil {
		c.W.Simple("none")
	} else {
		c.W.Simple(n.Value.Kind().Name)
	}
	return nil
}

func dbSize(c *engine.Call) error {
	c.W.Int(int64(c.Size()))
	return nil
}

func flush(c *engine.Call) error {
	switch {
	case len(c.Args) > 2, len(c.Args) == 2 && !is(c.Args[1], "async") && !is(c.Args[1], "sync"):
		return engine.ErrSyntax
	}
	c.Flush()
	c.W.Simple("OK")
	return nil
}

func now(c *engine.Call) error {
	ms := c.Now()
	c.W.Array(2)
	c.W.Bulk(strconv.FormatInt(ms/1000, 10))
	c.W.Bulk(strconv.FormatInt(ms%1000*1000, 10))
	return nil
}
