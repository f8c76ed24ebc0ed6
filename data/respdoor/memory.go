package respdoor

import (
	"context"
	"errors"
	"strings"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/bridge"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/resp"
)

// memoryDoor serves a Memory.
type memoryDoor struct {
	m *data.Memory
	e *engine.Engine
}

func newMemoryDoor(m *data.Memory) *memoryDoor { return &memoryDoor{m: m, e: bridge.EngineOf(m)} }

func (d *memoryDoor) fallback() resp.Fallback {
	f := resp.Fallback{Exec: d.exec, Unwatch: d.unwatch, Broker: broker{&d.e.Messages}, Info: d.info, Settings: newSettings(d), Track: d.e.OnChange}
	for _, cmd := range d.e.Commands().All() {
		run := func(c *resp.Conn, args [][]byte) { d.run(c, cmd, args) }
		if cmd.Flags&engine.Blocking != 0 {
			run = func(c *resp.Conn, args [][]byte) { d.block(c, cmd, args) }
		}
		f.Commands = append(f.Commands, command(cmd, run))
	}
	f.Commands = append(f.Commands, d.commands()...)
	return f
}

// run runs a command.
func (d *memoryDoor) run(c *resp.Conn, cmd *engine.Command, args [][]byte) {
	from, cl := c.Written(), clientOf(c)
	defer cl.forget()
	c.Gather()
	if err := d.e.Run(c.Context(), cmd, cl.texts(args), c); err != nil {
		fail(c, from, err)
	}
	c.Gathered()
}

// block runs a command that may wait.
func (d *memoryDoor) block(c *resp.Conn, cmd *engine.Command, args [][]byte) {
	from, cl := 0, clientOf(c)
	defer cl.forget()
	err := c.Block(engine.ErrLate, func(ctx context.Context) error {
		from = c.Written()
		c.Gather()
		return d.e.Run(ctx, cmd, cl.texts(args), c)
	})
	if err != nil {
		fail(c, from, err)
	}
	c.Gathered()
}

// fail replies an error in the place of what was replied since.
func fail(c *resp.Conn, from int, err error) {
	c.Rewrite(from)
	var log *engine.LogError
	switch {
	case errors.Is(err, resp.ErrUnblocked), errors.Is(err, resp.ErrShutdown):
		c.Error(err.Error())
	case errors.As(err, &log):
		c.Error(string(log.Reply()))
	default:
		c.Error("ERR " + strings.TrimPrefix(err.Error(), "data: "))
	}
}

// exec runs a transaction. Commands of the connection run in their turn.
func (d *memoryDoor) exec(c *resp.Conn, queue []resp.Queued) {
	list := make([]engine.Queued, len(queue))
	for i, q := range queue {
		if q.Own {
			if cmd := d.e.Commands().Find(q.Command.Name); cmd != nil {
				list[i] = engine.Queued{Command: cmd, Args: appendTexts(nil, q.Args)}
				continue
			}
		}
		list[i].Command = &engine.Command{Name: q.Command.Name, Arity: -1, Run: func(*engine.Call) error {
			q.Run()
			return nil
		}}
	}
	from := c.Written()
	c.Gather()
	if err := d.e.Exec(c.Context(), list, clientOf(c).watch, c); err != nil {
		fail(c, from, err)
	}
	c.Gathered()
}

// watchBytes is what it takes to watch a key, besides the key.
const watchBytes = 256

func (d *memoryDoor) watch(c *resp.Conn, args [][]byte) {
	if c.InMulti() {
		c.Error("ERR WATCH inside MULTI is not allowed")
		return
	}
	size := 0
	for _, key := range args[1:] {
		size += len(key) + watchBytes
	}
	if !c.Watching(size) {
		c.Error("ERR too many keys are watched: no memory is left for more")
		return
	}
	cl := clientOf(c)
	defer cl.forget()
	cl.watch = d.e.Watch(cl.watch, cl.texts(args[1:])...)
	c.OK()
}

func (d *memoryDoor) unwatch(c *resp.Conn) {
	cl := clientOf(c)
	d.e.Unwatch(cl.watch)
	cl.watch = nil
}
