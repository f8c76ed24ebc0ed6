package data

import (
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// CommandInfo says what a command is.
type CommandInfo struct {
	Name string
	// Arity is how many arguments it has, the name included; less than zero: that many at least.
	Arity int
	// Group is generic, string, list, hash, set, sorted-set, …, or own for those of WithCommands.
	Group string
	// Args is what follows the name: key value [NX | XX].
	Args string
	// Since is the version of Redis that has it first, or "" if Redis has no such command.
	Since      string
	Complexity string
	Summary    string
	// Write: it may change something. ReadOnly: it changes nothing. Some are neither, such as PUBLISH.
	Write, ReadOnly bool
	// Blocking: it may wait for others.
	Blocking bool
	// Keys is the places of its keys. KeysVary says that they depend on the arguments.
	Keys     KeySpec
	KeysVary bool
}

// CommandInfos returns what there is to know of the commands that each Memory has, by name.
func CommandInfos() []CommandInfo {
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		panic(err) // the lists are part of this module
	}
	return describe(table)
}

// CommandInfos returns what there is to know of the commands of m, those of WithCommands included, by name.
func (m *Memory) CommandInfos() []CommandInfo { return describe(m.engine.Commands()) }

func describe(table engine.Table) []CommandInfo {
	var list []CommandInfo
	for _, c := range table.All() {
		list = append(list, CommandInfo{
			Name: c.Name, Arity: c.Arity, Group: c.Group, Args: c.Args, Since: c.Since, Complexity: c.Complexity, Summary: c.Summary,
			Write: c.Flags&engine.Write != 0, ReadOnly: c.Flags&engine.ReadOnly != 0, Blocking: c.Flags&engine.Blocking != 0,
			Keys: KeySpec{c.Keys.First, c.Keys.Last, c.Keys.Step}, KeysVary: c.Keys.Find != nil,
		})
	}
	return list
}
