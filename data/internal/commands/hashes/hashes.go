// Package hashes has the commands of hashes.
package hashes

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/hash"
)

const (
	write = engine.Write | engine.Fast
	grows = engine.Write | engine.Grows | engine.Fast
	read  = engine.ReadOnly
	fast  = engine.ReadOnly | engine.Fast
)

var first = engine.Key(1)

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "hset", Arity: -4, Flags: grows, Keys: first, Group: "hash", Args: "key field value [field value ...]", Since: "2.0.0",
		Complexity: "O(1) for each field", Summary: "Gives fields values, and returns how many fields are new.", Run: hset},
	{Name: "hmset", Arity: -4, Flags: grows | engine.Status, Keys: first, Group: "hash", Args: "key field value [field value ...]", Since: "2.0.0",
		Complexity: "O(1) for each field", Summary: "Gives fields values.", Run: hset},
	{Name: "hsetnx", Arity: 4, Flags: grows, Keys: first, Group: "hash", Args: "key field value", Since: "2.0.0",
		Complexity: "O(1)", Summary: "Gives a field a value if it has none.", Run: hsetnx},
	{Name: "hget", Arity: 3, Flags: fast, Keys: first, Group: "hash", Args: "key field", Since: "2.0.0",
		Complexity: "O(1)", Summary: "Returns the value of a field.", Run: hget},
	{Name: "hmget", Arity: -3, Flags: fast, Keys: first, Group: "hash", Args: "key field [field ...]", Since: "2.0.0",
		Complexity: "O(1) for each field", Summary: "Returns the values of fields.", Run: hmget},
	{Name: "hgetall", Arity: 2, Flags: read, Keys: first, Group: "hash", Args: "key", Since: "2.0.0",
		Complexity: "O(N), of N fields", Summary: "Returns all fields with their values.", Run: hgetall},
	{Name: "hdel", Arity: -3, Flags: write, Keys: first, Group: "hash", Args: "key field [field ...]", Since: "2.0.0",
		Complexity: "O(1) for each field", Summary: "Removes fields, and returns how many were there.", Run: hdel},
	{Name: "hexists", Arity: 3, Flags: fast, Keys: first, Group: "hash", Args: "key field", Since: "2.0.0",
		Complexity: "O(1)", Summary: "Reports whether there is a field.", Run: hexists},
	{Name: "hlen", Arity: 2, Flags: fast, Keys: first, Group: "hash", Args: "key", Since: "2.0.0",
		Complexity: "O(1)", Summary: "Returns the number of fields.", Run: hlen},
	{Name: "hkeys", Arity: 2, Flags: read, Keys: first, Group: "hash", Args: "key", Since: "2.0.0",
		Complexity: "O(N), of N fields", Summary: "Returns all fields.", Run: hkeys},
	{Name: "hvals", Arity: 2, Flags: read, Keys: first, Group: "hash", Args: "key", Since: "2.0.0",
		Complexity: "O(N), of N fields", Summary: "Returns the values of all fields.", Run: hvals},
	{Name: "hstrlen", Arity: 3, Flags: fast, Keys: first, Group: "hash", Args: "key field", Since: "3.2.0",
		Complexity: "O(1)", Summary: "Returns the length of the value of a field.", Run: hstrlen},
	{Name: "hincrby", Arity: 4, Flags: grows, Keys: first, Group: "hash", Args: "key field increment", Since: "2.0.0",
		Complexity: "O(1)", Summary: "Adds an integer to the value of a field, and returns the sum.", Run: hincrby},
	{Name: "hincrbyfloat", Arity: 4, Flags: grows, Keys: first, Group: "hash", Args: "key field increment", Since: "2.6.0",
		Complexity: "O(1)", Summary: "Adds a number to the value of a field, and returns the sum.", Run: hincrbyfloat},
	{Name: "hrandfield", Arity: -2, Flags: read | engine.Random, Keys: first, Group: "hash", Args: "key [count [WITHVALUES]]", Since: "6.2.0",
		Complexity: "O(N), of N fields that are returned", Summary: "Returns fields at random: different ones, or, if count is negative, any.", Run: hrandfield},
	{Name: "hscan", Arity: -3, Flags: read | engine.Random, Keys: first, Group: "hash", Args: "key cursor [MATCH pattern] [COUNT count]", Since: "2.8.0",
		Complexity: "O(1) for each call; O(N) for all N fields", Summary: "Returns some fields with their values, and the cursor of the next call.", Run: hscan},
}

// set gives a field a value, and can be undone.
func set(c *engine.Call, h *hash.Hash, field, value string) (added bool) {
	if c.Undoing() {
		c.Undo(h.Keep(field))
	}
	return h.Set(field, value)
}

// changed says that the hash of a key has changed.
func changed(c *engine.Call, event string) {
	c.Changed(c.Args[1])
	c.Notify(engine.EventHash, event, c.Args[1])
}

func hset(c *engine.Call) error {
	pairs := c.Args[2:]
	if len(pairs)%2 != 0 {
		return engine.Error("ERR wrong number of arguments for '" + c.Name() + "' command")
	}
	h, err := engine.ChangeOrNew(c, c.Args[1], hash.New)
	if err != nil {
		return err
	}
	added := 0
	for i := 0; i < len(pairs); i += 2 {
		if set(c, h, pairs[i], pairs[i+1]) {
			added++
		}
	}
	changed(c, "hset")
	if c.Name() == "hmset" {
		c.W.Simple("OK")
	} else {
		c.W.Int(int64(added))
	}
	return nil
}

func hsetnx(c *engine.Call) error {
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	if h != nil && h.Has(c.Args[2]) {
		c.W.Int(0)
		return nil
	}
	if h, err = engine.ChangeOrNew(c, c.Args[1], hash.New); err != nil {
		return err
	}
	set(c, h, c.Args[2], c.Args[3])
	changed(c, "hset")
	c.W.Int(1)
	return nil
}

func hdel(c *engine.Call) error {
	h, err := engine.Change[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	removed := 0
	if h != nil {
		for _, field := range c.Args[2:] {
			if !h.Has(field) {
				continue
			}
			if c.Undoing() {
				c.Undo(h.Keep(field))
			}
			h.Delete(field)
			removed++
		}
	}
	if removed > 0 {
		changed(c, "hdel")
		c.RemoveIfEmpty(c.Args[1], h)
	}
	c.W.Int(int64(removed))
	return nil
}
