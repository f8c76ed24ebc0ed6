package respdoor

import "github.com/peercache/peercache/resp"

// commands are those that belong to a connection, or to the server.
func (d *memoryDoor) commands() []resp.Command {
	return []resp.Command{
		{Name: "watch", Arity: -2, Flags: resp.NoScript | resp.Loading | resp.Stale | resp.Fast | resp.NoMulti, FirstKey: 1, LastKey: -1, KeyStep: 1,
			Group: "transactions", Since: "2.2.0", Complexity: "O(1) for each key", Summary: "Has EXEC fail if one of the keys changes before.", Run: d.watch},
		{Name: "wait", Arity: 3, Group: "generic", Since: "3.0.0", Complexity: "O(1)", Summary: "Returns 0: there are no replicas.", Run: wait},
		{Name: "function", Arity: -2, Group: "scripting", Since: "7.0.0", Complexity: "Depends on subcommand.", Summary: "A container for commands about functions, of which there are none.",
			Subcommands: []resp.Command{
				{Name: "flush", Arity: -2, Flags: resp.NoScript | resp.Write, Complexity: "O(1)", Summary: "Deletes all functions: there are none.", Run: ok},
				{Name: "list", Arity: -2, Flags: resp.NoScript, Complexity: "O(1)", Summary: "Returns an empty list.", Run: none},
			}},
	}
}

func ok(c *resp.Conn, args [][]byte)   { c.OK() }
func none(c *resp.Conn, args [][]byte) { c.Array(0) }

func wait(c *resp.Conn, args [][]byte) { c.Int(0) }
