package engine

import (
	"fmt"
	"slices"
	"strings"
)

// Flags say what a command is.
type Flags uint32

const (
	// Write: it may change something.
	Write Flags = 1 << iota
	// ReadOnly: it changes nothing.
	ReadOnly
	// Grows: it may take more memory, so it fails where there is none left.
	Grows
	// Fast: its time does not depend on how much there is.
	Fast
	// Blocking: it may wait for others. It is called again when one of its keys is Ready.
	Blocking
	// All: it is about all keys.
	All
	// Unlocked: it may run without a lock if its key has a string, or nothing. It calls nothing but
	// Call.ReadString.
	Unlocked
	// PubSub: it is about channels of messages.
	PubSub
	// Random: it replies something else each time.
	Random
	// Steps: it is about all keys, but not about all at one time. By itself it locks one shard after the other, by
	// Call.Scan or Call.Random; in a transaction it is as if it had All.
	Steps
	// Compound: it is made of others, which it runs by Call.Do. If it fails, or panics, nothing of it has happened.
	Compound
	// Sends: it sends a message. A transaction that does not happen sends none.
	Sends
	// Status: what it replies is a status, and no string, but for SET with GET.
	Status
	// InTurn: of those that wait for a key, none is served before another one of its name that came earlier.
	InTurn
)

// Keys say which arguments of a command are keys: from First to Last, each Step-th. A Last less than zero
// counts from the end. The zero Keys are none.
type Keys struct {
	First, Last, Step int
	// Find, if set, is used instead. It gets arguments of which nothing is known but that the arity fits, and returns
	// the places of the keys among them.
	Find func(args []string) []int
}

// Key is a single key, at that place.
func Key(at int) Keys { return Keys{First: at, Last: at, Step: 1} }

// KeysFrom is keys from that place to the end.
func KeysFrom(at int) Keys { return Keys{First: at, Last: -1, Step: 1} }

// Command is a command: what it is, what is said of it, and what runs it.
type Command struct {
	Name  string // in lower case
	Arity int    // arguments, the name included; less than zero: that many at least
	Flags Flags
	Keys  Keys
	Group string // generic, string, hash, list, set, sorted-set, channel, …
	// Args is what follows the name, as documentation writes it: key value [NX | XX].
	Args       string
	Since      string // the version of Redis that has it first; "" if Redis has no such command
	Complexity string
	Summary    string
	// Run writes one reply, or returns an error and has written and changed nothing. Arguments are valid until it
	// returns; what it keeps of them, it copies.
	Run func(c *Call) error
}

// Acts reports whether a command does something that must not be if its transaction does not happen.
func (cmd *Command) Acts() bool { return cmd.Flags&(Write|Sends) != 0 }

// Fits reports whether a command may have n arguments, its name included.
func (cmd *Command) Fits(n int) bool { return n == cmd.Arity || cmd.Arity < 0 && n >= -cmd.Arity }

// KeysOf calls do with each key among args.
func (cmd *Command) KeysOf(args []string, do func(key string)) {
	k := &cmd.Keys
	if k.Find != nil {
		for _, i := range k.Find(args) {
			do(args[i])
		}
		return
	}
	if k.First == 0 {
		return
	}
	last := k.Last
	if last < 0 {
		last += len(args)
	}
	for i := k.First; i <= last && i < len(args); i += k.Step {
		do(args[i])
	}
}

// check returns what is wrong with the description of a command.
func (cmd *Command) check() error {
	switch {
	case cmd.Name == "" || cmd.Name != strings.ToLower(cmd.Name) || len(cmd.Name) > longestName:
		return fmt.Errorf("the command %q: want a name of up to %d bytes in lower case", cmd.Name, longestName)
	case cmd.Arity == 0 || cmd.Run == nil:
		return fmt.Errorf("the command %q has no arity, or no function", cmd.Name)
	case cmd.Flags&(Write|ReadOnly) == Write|ReadOnly:
		return fmt.Errorf("the command %q writes, and is read-only", cmd.Name)
	case cmd.Flags&Blocking != 0 && cmd.Flags&Write == 0:
		return fmt.Errorf("the command %q blocks, and does not write", cmd.Name)
	case cmd.Flags&Unlocked != 0 && (cmd.Flags&ReadOnly == 0 || cmd.Keys.First != cmd.Keys.Last):
		return fmt.Errorf("the command %q runs without a lock, and does not read one key", cmd.Name)
	case cmd.Keys.Find == nil && max(cmd.Keys.First, cmd.Keys.Last) >= max(cmd.Arity, -cmd.Arity):
		return fmt.Errorf("the command %q may have fewer arguments than keys", cmd.Name)
	}
	return nil
}

const longestName = 32

// Table is commands by name.
type Table map[string]*Command

// NewTable makes a table of lists, in which no name is twice.
func NewTable(lists ...[]Command) (Table, error) {
	t := make(Table)
	for _, list := range lists {
		for i := range list {
			cmd := &list[i]
			if err := cmd.check(); err != nil {
				return nil, err
			}
			if t[cmd.Name] != nil {
				return nil, fmt.Errorf("there are two commands %q", cmd.Name)
			}
			t[cmd.Name] = cmd
		}
	}
	return t, nil
}

// Find returns the command of that name, in letters of any case, or nil.
func (t Table) Find(name string) *Command {
	var lower [longestName]byte
	if len(name) > len(lower) {
		return nil
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return t[string(lower[:len(name)])]
}

// All returns the commands, by name.
func (t Table) All() []*Command {
	list := make([]*Command, 0, len(t))
	for _, cmd := range t {
		list = append(list, cmd)
	}
	slices.SortFunc(list, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	return list
}
