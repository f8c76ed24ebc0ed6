package resp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Flags say what a command is, in the words of Redis' COMMAND.
type Flags uint32

// The flags that the server acts on, and those that COMMAND shows.
const (
	Write    Flags = 1 << iota // it changes something
	ReadOnly                   // it gets values
	Fast                       // it does not depend on how much there is
	NoAuth                     // it may come before AUTH
	NoMulti                    // it may not be queued by MULTI
	PubSub                     // it is about channels
	Blocking                   // it may wait for others
	Admin                      // it is for operators
	Loading                    // it needs no data
	Stale                      // as Loading
	NoScript                   // not in scripts
	// InSubscriber: a client of version 2 may send it while it is subscribed to channels.
	InSubscriber
	DenyOOM     // it may need more memory
	MovableKeys // which arguments are keys depends on others
)

// Command is a command: what COMMAND says of it, and what runs it.
type Command struct {
	// Name is in lower case.
	Name string
	// Arity is the number of arguments, the name included. Less than zero: that many at least.
	Arity int
	Flags Flags
	// FirstKey, LastKey and KeyStep say which arguments are keys, as in Redis: a LastKey less than
	// zero counts from the end. FirstKey is 0 if there are none.
	FirstKey, LastKey, KeyStep int
	// FindKeys, if set, returns the places of the keys among arguments that the arity fits.
	FindKeys func(args [][]byte) []int
	// Group is one of Redis' groups of commands: generic, string, connection, server and so on.
	Group      string
	Summary    string
	Since      string // of Redis
	Complexity string
	// Run runs the command: it writes exactly one reply. The arguments, of which the first is the
	// name, are not valid afterwards.
	Run func(c *Conn, args [][]byte)
	// Subcommands of a command have a name, and an arity that includes both names. Run is not
	// called for a command that has some.
	Subcommands []Command

	other bool           // it is one of the fallback's
	twin  *Command       // of a command that is not: the fallback's of the same name, or nil
	full  string         // with the name of the command that it is a subcommand of: client|id
	subs  map[string]int // places in Subcommands
}

// keys returns the arguments that are keys.
func (cmd *Command) keys(args [][]byte) [][]byte {
	if cmd.FindKeys != nil {
		if !cmd.fits(len(args)) {
			return nil
		}
		var keys [][]byte
		for _, i := range cmd.FindKeys(args) {
			keys = append(keys, args[i])
		}
		return keys
	}
	first, last, step := cmd.keyRange(len(args))
	if step == 1 && last < len(args) {
		return args[first : last+1]
	}
	var keys [][]byte
	for i := first; i <= last && i < len(args); i += step {
		keys = append(keys, args[i])
	}
	return keys
}

// keyRange returns which of n arguments are keys. If none is, first is greater than last.
func (cmd *Command) keyRange(n int) (first, last, step int) {
	if cmd.FirstKey == 0 {
		return 1, 0, 1
	}
	first, last, step = cmd.FirstKey, cmd.LastKey, max(1, cmd.KeyStep)
	if last < 0 {
		last += n
	}
	return first, min(last, n-1), step
}

// fits reports whether a command of n arguments has as many as it must.
func (cmd *Command) fits(n int) bool {
	return n == cmd.Arity || cmd.Arity < 0 && n >= -cmd.Arity
}

// table is the commands by name.
type table map[string]*Command

// newTable makes a table. Of commands of the same name the last one counts.
func newTable(lists ...[]Command) (table, error) {
	t := make(table)
	for _, list := range lists {
		for _, cmd := range list {
			if err := cmd.init(""); err != nil {
				return nil, err
			}
			t[cmd.Name] = &cmd
		}
	}
	return t, nil
}

// init prepares a command for a table.
func (cmd *Command) init(parent string) error {
	cmd.full = parent + cmd.Name
	switch {
	case cmd.Name == "" || cmd.Name != strings.ToLower(cmd.Name) || len(cmd.Name) > longestName || cmd.Arity == 0:
		return fmt.Errorf("a command %q of arity %d: want a short name in lower case, and an arity", cmd.full, cmd.Arity)
	case cmd.Run == nil && len(cmd.Subcommands) == 0:
		return errors.New("a command that does nothing: " + cmd.full)
	}
	cmd.Subcommands = slices.Clone(cmd.Subcommands)
	if len(cmd.Subcommands) > 0 {
		cmd.Subcommands = append(cmd.Subcommands, Command{Name: "help", Arity: 2, Flags: Loading | Stale, Complexity: "O(1)", Summary: "Returns the subcommands.",
			Run: func(c *Conn, args [][]byte) { c.help(cmd) }})
	}
	cmd.subs = make(map[string]int, len(cmd.Subcommands))
	for i := range cmd.Subcommands {
		sub := &cmd.Subcommands[i]
		if err := sub.init(cmd.Name + "|"); err != nil {
			return err
		}
		sub.Group, sub.Since = firstOf(sub.Group, cmd.Group), firstOf(sub.Since, cmd.Since)
		cmd.subs[sub.Name] = i
	}
	return nil
}

// firstKey returns the first of the arguments that are keys, or nil if there is none.
func (cmd *Command) firstKey(args [][]byte) []byte {
	if cmd.FindKeys == nil {
		if first, last, _ := cmd.keyRange(len(args)); first <= last {
			return args[first]
		}
		return nil
	}
	if keys := cmd.keys(args); len(keys) > 0 {
		return keys[0]
	}
	return nil
}

// setOther says that a command is one of the fallback's.
func (cmd *Command) setOther() {
	cmd.other = true
	for i := range cmd.Subcommands {
		cmd.Subcommands[i].setOther()
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// longestName is how long the name of a command may be.
const longestName = 32

// find returns the command that args call, without its subcommand.
func (t table) find(name []byte) *Command {
	var lower [longestName]byte
	if len(name) > len(lower) {
		return nil
	}
	return t[string(lowered(lower[:0], name))]
}

// sub returns the subcommand that args call, or nil.
func (cmd *Command) sub(name []byte) *Command {
	var lower [longestName]byte
	if len(name) > len(lower) {
		return nil
	}
	if i, ok := cmd.subs[string(lowered(lower[:0], name))]; ok {
		return &cmd.Subcommands[i]
	}
	return nil
}

func lowered(to, name []byte) []byte {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		to = append(to, c)
	}
	return to
}

// all returns the commands of a table, by name.
func (t table) all() []*Command {
	list := make([]*Command, 0, len(t))
	for _, cmd := range t {
		list = append(list, cmd)
	}
	slices.SortFunc(list, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// named returns the command of that name, which may be that of a subcommand: client|id.
func (t table) named(name []byte) *Command {
	container, sub, isSub := strings.Cut(string(name), "|")
	cmd := t.find([]byte(container))
	if cmd != nil && isSub {
		return cmd.sub([]byte(sub))
	}
	return cmd
}
