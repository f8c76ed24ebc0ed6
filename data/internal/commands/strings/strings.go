// Package strings has the commands of strings.
package strings

import "github.com/peercache/peercache/data/internal/engine"

const (
	group = "string"

	read  = engine.ReadOnly | engine.Fast
	write = engine.Write | engine.Fast
)

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "get", Arity: 2, Flags: read | engine.Unlocked, Keys: engine.Key(1), Group: group, Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the string of a key.", Run: get},
	{Name: "strlen", Arity: 2, Flags: read | engine.Unlocked, Keys: engine.Key(1), Group: group, Args: "key",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Returns the length of the string of a key.", Run: strlen},
	{Name: "mget", Arity: -2, Flags: read, Keys: engine.KeysFrom(1), Group: group, Args: "key [key ...]",
		Since: "1.0.0", Complexity: "O(N) in the number of keys", Summary: "Returns the strings of keys, as of one moment.", Run: mget},
	{Name: "getex", Arity: -2, Flags: write, Keys: engine.Key(1), Group: group,
		Args:  "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
		Since: "6.2.0", Complexity: "O(1)", Summary: "Returns the string of a key, and changes its expiry.", Run: getEX},
	{Name: "getdel", Arity: 2, Flags: write, Keys: engine.Key(1), Group: group, Args: "key",
		Since: "6.2.0", Complexity: "O(1)", Summary: "Returns the string of a key, and removes the key.", Run: getDel},
	{Name: "getset", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key value",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key another string, and returns the former one.", Run: getSet},

	{Name: "set", Arity: -3, Flags: engine.Write | engine.Grows, Keys: engine.Key(1), Group: group,
		Args:  "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key a string, in the place of any value.", Run: set},
	{Name: "setnx", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key value",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key a string if there is no such key.", Run: setNX},
	{Name: "setex", Arity: 4, Flags: engine.Write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key seconds value",
		Since: "2.0.0", Complexity: "O(1)", Summary: "Gives a key a string that expires after some seconds.", Run: setEX("ex")},
	{Name: "psetex", Arity: 4, Flags: engine.Write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key milliseconds value",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Gives a key a string that expires after some milliseconds.", Run: setEX("px")},
	{Name: "mset", Arity: -3, Flags: engine.Write | engine.Grows, Keys: engine.Keys{First: 1, Last: -1, Step: 2}, Group: group,
		Args: "key value [key value ...]", Since: "1.0.1", Complexity: "O(N) in the number of keys",
		Summary: "Gives keys strings, at one moment.", Run: mset},
	{Name: "msetnx", Arity: -3, Flags: engine.Write | engine.Grows, Keys: engine.Keys{First: 1, Last: -1, Step: 2}, Group: group,
		Args: "key value [key value ...]", Since: "1.0.1", Complexity: "O(N) in the number of keys",
		Summary: "Gives keys strings if there is none of the keys.", Run: mset},
}

func get(c *engine.Call) error {
	s, ok, err := c.ReadString(c.Args[1])
	switch {
	case err != nil:
		return err
	case !ok:
		c.W.Null()
	default:
		c.W.Bulk(s)
	}
	return nil
}

func strlen(c *engine.Call) error {
	s, _, err := c.ReadString(c.Args[1])
	if err != nil {
		return err
	}
	c.W.Int(int64(len(s)))
	return nil
}
