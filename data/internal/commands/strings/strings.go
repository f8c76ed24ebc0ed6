// Package strings has the commands of strings.
package strings

import "github.com/peercache/peercache/data/internal/engine"

const (
	group  = "string"
	bitmap = "bitmap"

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

	{Name: "set", Arity: -3, Flags: engine.Write | engine.Grows | engine.Status, Keys: engine.Key(1), Group: group,
		Args:  "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key a string, in the place of any value.", Run: set},
	{Name: "setnx", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key value",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key a string if there is no such key.", Run: setNX},
	{Name: "setex", Arity: 4, Flags: engine.Write | engine.Grows | engine.Status, Keys: engine.Key(1), Group: group, Args: "key seconds value",
		Since: "2.0.0", Complexity: "O(1)", Summary: "Gives a key a string that expires after some seconds.", Run: setEX("ex")},
	{Name: "psetex", Arity: 4, Flags: engine.Write | engine.Grows | engine.Status, Keys: engine.Key(1), Group: group, Args: "key milliseconds value",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Gives a key a string that expires after some milliseconds.", Run: setEX("px")},
	{Name: "mset", Arity: -3, Flags: engine.Write | engine.Grows | engine.Status, Keys: engine.Keys{First: 1, Last: -1, Step: 2}, Group: group,
		Args: "key value [key value ...]", Since: "1.0.1", Complexity: "O(N) in the number of keys",
		Summary: "Gives keys strings, at one moment.", Run: mset},
	{Name: "msetnx", Arity: -3, Flags: engine.Write | engine.Grows, Keys: engine.Keys{First: 1, Last: -1, Step: 2}, Group: group,
		Args: "key value [key value ...]", Since: "1.0.1", Complexity: "O(N) in the number of keys",
		Summary: "Gives keys strings if there is none of the keys.", Run: mset},

	{Name: "incr", Arity: 2, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Adds 1 to the integer of a key.", Run: incr},
	{Name: "decr", Arity: 2, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Subtracts 1 from the integer of a key.", Run: decr},
	{Name: "incrby", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key increment",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Adds to the integer of a key.", Run: incrBy},
	{Name: "decrby", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key decrement",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Subtracts from the integer of a key.", Run: incrBy},
	{Name: "incrbyfloat", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key increment",
		Since: "2.6.0", Complexity: "O(1)", Summary: "Adds to the floating-point number of a key.", Run: incrByFloat},

	{Name: "append", Arity: 3, Flags: write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key value",
		Since: "2.0.0", Complexity: "O(1), on average over many of the same key",
		Summary: "Adds bytes to the end of the string of a key, or makes it.", Run: appendTo},
	{Name: "getrange", Arity: 4, Flags: engine.ReadOnly | engine.Unlocked, Keys: engine.Key(1), Group: group, Args: "key start end",
		Since: "2.4.0", Complexity: "O(1)", Summary: "Returns a part of the string of a key.", Run: getRange},
	{Name: "substr", Arity: 4, Flags: engine.ReadOnly | engine.Unlocked, Keys: engine.Key(1), Group: group, Args: "key start end",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns a part of the string of a key, as GETRANGE does.", Run: getRange},
	{Name: "setrange", Arity: 4, Flags: engine.Write | engine.Grows, Keys: engine.Key(1), Group: group, Args: "key offset value",
		Since: "2.2.0", Complexity: "O(N) in the length of the string", Summary: "Puts bytes into the string of a key.", Run: setRange},

	{Name: "setbit", Arity: 4, Flags: engine.Write | engine.Grows, Keys: engine.Key(1), Group: bitmap, Args: "key offset value",
		Since: "2.2.0", Complexity: "O(N) in the length of the string", Summary: "Sets or clears a bit of the string of a key.", Run: setBit},
	{Name: "getbit", Arity: 3, Flags: read | engine.Unlocked, Keys: engine.Key(1), Group: bitmap, Args: "key offset",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Returns a bit of the string of a key.", Run: getBit},
	{Name: "bitcount", Arity: -2, Flags: engine.ReadOnly | engine.Unlocked, Keys: engine.Key(1), Group: bitmap, Args: "key [start end [BYTE | BIT]]",
		Since: "2.6.0", Complexity: "O(N) in the length of the part", Summary: "Counts the bits that are set in the string of a key.", Run: bitCount},
	{Name: "bitpos", Arity: -3, Flags: engine.ReadOnly | engine.Unlocked, Keys: engine.Key(1), Group: bitmap,
		Args: "key bit [start [end [BYTE | BIT]]]", Since: "2.8.7", Complexity: "O(N) in the length of the part",
		Summary: "Finds the first bit that is set, or clear, in the string of a key.", Run: bitPos},
	{Name: "bitop", Arity: -4, Flags: engine.Write | engine.Grows, Keys: engine.KeysFrom(2), Group: bitmap,
		Args: "<AND | OR | XOR | NOT> destkey key [key ...]", Since: "2.6.0", Complexity: "O(N) in the length of the longest string",
		Summary: "Stores what a bitwise operation makes of the strings of keys.", Run: bitOp},
	{Name: "lcs", Arity: -3, Flags: engine.ReadOnly, Keys: engine.Keys{First: 1, Last: 2, Step: 1}, Group: group,
		Args: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]", Since: "7.0.0", Complexity: "O(N*M) in the lengths of both",
		Summary: "Finds the longest subsequence that the strings of two keys have in common.", Run: lcs},
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
