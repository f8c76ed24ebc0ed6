// Package sets has the commands of sets.
package sets

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

const (
	write = engine.Write | engine.Fast
	grows = engine.Write | engine.Grows
	read  = engine.ReadOnly
	fast  = engine.ReadOnly | engine.Fast
)

var (
	first = engine.Key(1)
	two   = engine.Keys{First: 1, Last: 2, Step: 1}
	every = engine.KeysFrom(1)
)

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "sadd", Arity: -3, Flags: grows | engine.Fast, Keys: first, Group: "set", Args: "key member [member ...]", Since: "1.0.0",
		Complexity: "O(1) for each member", Summary: "Adds members, and returns how many are new.", Run: sadd},
	{Name: "srem", Arity: -3, Flags: write, Keys: first, Group: "set", Args: "key member [member ...]", Since: "1.0.0",
		Complexity: "O(1) for each member", Summary: "Removes members, and returns how many were there.", Run: srem},
	{Name: "smove", Arity: 4, Flags: write, Keys: two, Group: "set", Args: "source destination member", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Moves a member from one set to another.", Run: smove},
	{Name: "spop", Arity: -2, Flags: write | engine.Random, Keys: first, Group: "set", Args: "key [count]", Since: "1.0.0",
		Complexity: "O(N), of N members that are returned", Summary: "Removes members at random, and returns them.", Run: spop},
	{Name: "scard", Arity: 2, Flags: fast, Keys: first, Group: "set", Args: "key", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Returns the number of members.", Run: scard},
	{Name: "sismember", Arity: 3, Flags: fast, Keys: first, Group: "set", Args: "key member", Since: "1.0.0",
		Complexity: "O(1)", Summary: "Reports whether there is a member.", Run: sismember},
	{Name: "smismember", Arity: -3, Flags: fast, Keys: first, Group: "set", Args: "key member [member ...]", Since: "6.2.0",
		Complexity: "O(1) for each member", Summary: "Reports of each member whether it is there.", Run: smismember},
	{Name: "smembers", Arity: 2, Flags: read, Keys: first, Group: "set", Args: "key", Since: "1.0.0",
		Complexity: "O(N), of N members", Summary: "Returns all members.", Run: inter},
	{Name: "srandmember", Arity: -2, Flags: read | engine.Random, Keys: first, Group: "set", Args: "key [count]", Since: "1.0.0",
		Complexity: "O(N), of N members that are returned", Summary: "Returns members at random: different ones, or, if count is negative, any.", Run: srandmember},
	{Name: "sscan", Arity: -3, Flags: read | engine.Random, Keys: first, Group: "set", Args: "key cursor [MATCH pattern] [COUNT count]", Since: "2.8.0",
		Complexity: "O(1) for each call; O(N) for all N members", Summary: "Returns some members, and the cursor of the next call.", Run: sscan},
	{Name: "sinter", Arity: -2, Flags: read, Keys: every, Group: "set", Args: "key [key ...]", Since: "1.0.0",
		Complexity: "O(N*M), of N members of the smallest of M sets", Summary: "Returns the members that all of several sets have.", Run: inter},
	{Name: "sintercard", Arity: -3, Flags: read, Keys: engine.Keys{Find: counted}, Group: "set", Args: "numkeys key [key ...] [LIMIT limit]", Since: "7.0.0",
		Complexity: "O(N*M), of N members of the smallest of M sets", Summary: "Returns how many members all of several sets have.", Run: sintercard},
	{Name: "sinterstore", Arity: -3, Flags: grows, Keys: every, Group: "set", Args: "destination key [key ...]", Since: "1.0.0",
		Complexity: "O(N*M), of N members of the smallest of M sets", Summary: "Stores the members that all of several sets have.", Run: sinterstore},
	{Name: "sunion", Arity: -2, Flags: read, Keys: every, Group: "set", Args: "key [key ...]", Since: "1.0.0",
		Complexity: "O(N), of N members of all sets", Summary: "Returns the members that any of several sets has.", Run: sunion},
	{Name: "sunionstore", Arity: -3, Flags: grows, Keys: every, Group: "set", Args: "destination key [key ...]", Since: "1.0.0",
		Complexity: "O(N), of N members of all sets", Summary: "Stores the members that any of several sets has.", Run: sunionstore},
	{Name: "sdiff", Arity: -2, Flags: read, Keys: every, Group: "set", Args: "key [key ...]", Since: "1.0.0",
		Complexity: "O(N*M), of N members of the first of M sets", Summary: "Returns the members that the first of several sets has alone.", Run: sdiff},
	{Name: "sdiffstore", Arity: -3, Flags: grows, Keys: every, Group: "set", Args: "destination key [key ...]", Since: "1.0.0",
		Complexity: "O(N*M), of N members of the first of M sets", Summary: "Stores the members that the first of several sets has alone.", Run: sdiffstore},
}

// counted returns the places of keys whose number is the first argument.
func counted(args []string) []int {
	n, ok := number.Int(args[1])
	if !ok || n < 1 || n > int64(len(args)-2) {
		return nil
	}
	places := make([]int, n)
	for i := range places {
		places[i] = 2 + i
	}
	return places
}
