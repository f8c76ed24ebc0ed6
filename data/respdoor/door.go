package respdoor

import (
	"fmt"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/resp"
)

// New returns what serves a driver by RESP: all its commands, and, of a *data.Memory, transactions with WATCH, channels,
// CLIENT TRACKING and settings.
func New(driver data.Driver) (resp.Fallback, error) {
	if m, ok := driver.(*data.Memory); ok {
		return newMemoryDoor(m).fallback(), nil
	}
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		return resp.Fallback{}, fmt.Errorf("respdoor: %w", err)
	}
	return newDriverDoor(driver, table).fallback(), nil
}

// command returns a command of the engine as package resp has it.
func command(cmd *engine.Command, run func(c *resp.Conn, args [][]byte)) resp.Command {
	out := resp.Command{Name: cmd.Name, Arity: cmd.Arity, FirstKey: cmd.Keys.First, LastKey: cmd.Keys.Last, KeyStep: cmd.Keys.Step,
		Group: cmd.Group, Summary: cmd.Summary, Since: cmd.Since, Complexity: cmd.Complexity, Run: run}
	for from, to := range map[engine.Flags]resp.Flags{engine.Write: resp.Write, engine.ReadOnly: resp.ReadOnly, engine.Fast: resp.Fast,
		engine.Blocking: resp.Blocking, engine.PubSub: resp.PubSub, engine.Grows: resp.DenyOOM} {
		if cmd.Flags&from != 0 {
			out.Flags |= to
		}
	}
	if find := cmd.Keys.Find; find != nil {
		out.Flags |= resp.MovableKeys
		out.FindKeys = func(args [][]byte) []int { return find(appendTexts(nil, args)) }
	}
	return out
}
