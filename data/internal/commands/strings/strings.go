// Package strings has the commands of strings.
package strings

import "github.com/peercache/peercache/data/internal/engine"

// Commands are the commands of this package.
var Commands = []engine.Command{
	{Name: "get", Arity: 2, Flags: engine.ReadOnly | engine.Fast | engine.Unlocked, Keys: engine.Key(1), Group: "string", Args: "key",
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the string of a key.", Run: get},
	{Name: "strlen", Arity: 2, Flags: engine.ReadOnly | engine.Fast | engine.Unlocked, Keys: engine.Key(1), Group: "string", Args: "key",
		Since: "2.2.0", Complexity: "O(1)", Summary: "Returns the length of the string of a key.", Run: strlen},
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
