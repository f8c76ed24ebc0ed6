package resp

import (
	"slices"
	"strings"
)

// flagNames are the flags in the words of COMMAND, in the order of their bits.
var flagNames = []string{"write", "readonly", "fast", "no_auth", "no_multi", "pubsub", "blocking", "admin", "loading", "stale", "noscript", "", "denyoom", "movablekeys"}

func (f Flags) names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 && name != "" {
			names = append(names, name)
		}
	}
	return names
}

// categories are the ACL categories of a command.
func (cmd *Command) categories() []string {
	var names []string
	add := func(on bool, name string) {
		if on {
			names = append(names, name)
		}
	}
	add(cmd.FirstKey > 0 && cmd.Group == "generic", "@keyspace")
	add(cmd.Flags&ReadOnly != 0, "@read")
	add(cmd.Flags&Write != 0, "@write")
	add(cmd.Group == "string", "@string")
	add(cmd.Flags&Admin != 0, "@admin")
	add(cmd.Flags&Admin != 0, "@dangerous")
	add(cmd.Flags&PubSub != 0, "@pubsub")
	add(cmd.Group == "connection", "@connection")
	add(cmd.Group == "transactions", "@transaction")
	add(cmd.Flags&Blocking != 0, "@blocking")
	if cmd.Flags&Fast != 0 {
		return append(names, "@fast")
	}
	return append(names, "@slow")
}

// commands returns those of the server and of the fallback.
func (c *Conn) allCommands() []*Command {
	first, second := c.s.tables()
	all := first.all()
	for _, cmd := range second.all() {
		if first[cmd.Name] == nil {
			all = append(all, cmd)
		}
	}
	return all
}

// tables returns the commands of the server and of the fallback: first those that are the better description of what is
// in both.
func (s *Server) tables() (first, second table) {
	if len(s.keys.caches) == 0 {
		return s.fallback, s.table
	}
	return s.table, s.fallback
}

func (c *Conn) commandNamed(name []byte) *Command {
	first, second := c.s.tables()
	if cmd := first.named(name); cmd != nil {
		return cmd
	}
	return second.named(name)
}

func cmdCommand(c *Conn, args [][]byte) {
	all := c.allCommands()
	c.Array(len(all))
	for _, cmd := range all {
		c.describe(cmd)
	}
}

// describe replies a command as COMMAND does.
func (c *Conn) describe(cmd *Command) {
	c.Array(10)
	c.Bulk(cmd.full)
	c.Int(int64(cmd.Arity))
	c.simpleSet(cmd.Flags.names())
	c.Int(int64(cmd.FirstKey))
	c.Int(int64(cmd.LastKey))
	c.Int(int64(cmd.KeyStep))
	c.simpleSet(cmd.categories())
	c.Array(0) // tips
	c.Array(0) // key specifications
	c.Array(len(cmd.Subcommands))
	for i := range cmd.Subcommands {
		c.describe(&cmd.Subcommands[i])
	}
}

func (c *Conn) simpleSet(names []string) {
	c.Set(len(names))
	for _, name := range names {
		c.Simple(name)
	}
}

func cmdCommandCount(c *Conn, args [][]byte) { c.Int(int64(len(c.allCommands()))) }

func cmdCommandInfo(c *Conn, args [][]byte) {
	if len(args) == 2 {
		cmdCommand(c, args[:1])
		return
	}
	c.Begin()
	defer c.End()
	c.Array(len(args) - 2)
	for _, name := range args[2:] {
		if cmd := c.commandNamed(name); cmd != nil {
			c.describe(cmd)
		} else {
			c.NullArray()
		}
		c.written()
	}
}

func cmdCommandList(c *Conn, args [][]byte) {
	if len(args) != 2 {
		c.Error("ERR syntax error")
		return
	}
	all := c.allCommands()
	c.Array(len(all))
	for _, cmd := range all {
		c.Bulk(cmd.Name)
	}
}

func cmdCommandDocs(c *Conn, args [][]byte) {
	all := c.allCommands()
	if len(args) > 2 {
		all = nil
		for _, name := range args[2:] {
			if cmd := c.commandNamed(name); cmd != nil && !slices.Contains(all, cmd) {
				all = append(all, cmd)
			}
		}
	}
	c.Map(len(all))
	for _, cmd := range all {
		c.document(cmd)
	}
}

// document replies the name of a command, and what COMMAND DOCS has of it.
func (c *Conn) document(cmd *Command) {
	c.Bulk(cmd.full)
	docs := [][2]string{{"summary", cmd.Summary}, {"since", cmd.Since}, {"group", cmd.Group}, {"complexity", cmd.Complexity}}
	docs = slices.DeleteFunc(docs, func(d [2]string) bool { return d[1] == "" })
	n := len(docs)
	if len(cmd.Subcommands) > 0 {
		n++
	}
	c.Map(n)
	for _, d := range docs {
		c.Bulk(d[0])
		c.Bulk(d[1])
	}
	if len(cmd.Subcommands) > 0 {
		c.Bulk("subcommands")
		c.Map(len(cmd.Subcommands))
		for i := range cmd.Subcommands {
			c.document(&cmd.Subcommands[i])
		}
	}
}

func cmdCommandGetKeys(c *Conn, args [][]byte) {
	of := args[2:]
	cmd := c.commandNamed(of[0])
	if cmd != nil && len(cmd.Subcommands) > 0 && len(of) > 1 {
		cmd = cmd.sub(of[1])
	}
	switch {
	case cmd == nil:
		c.Error("ERR Invalid command specified")
		return
	case cmd.FirstKey == 0 && cmd.FindKeys == nil:
		c.Error("ERR The command has no key arguments")
		return
	case !cmd.fits(len(of)):
		c.Error("ERR Invalid number of arguments specified for command")
		return
	}
	keys := cmd.keys(of)
	if len(keys) == 0 {
		c.Error("ERR Invalid arguments specified for command")
		return
	}
	c.Begin()
	defer c.End()
	c.Array(len(keys))
	for _, k := range keys {
		c.Bulk(string(k))
	}
}

// help replies the subcommands of a command.
func (c *Conn) help(cmd *Command) {
	c.Array(len(cmd.Subcommands) + 1)
	c.Simple(strings.ToUpper(cmd.Name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, sub := range cmd.Subcommands {
		c.Simple(strings.ToUpper(sub.Name) + ": " + sub.Summary)
	}
}
