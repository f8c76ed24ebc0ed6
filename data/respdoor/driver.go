package respdoor

import (
	"context"
	"errors"
	"strings"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/resp"
)

// driverDoor serves a driver that is no Memory. It has no WATCH, and no channels.
type driverDoor struct {
	driver data.Driver
	table  engine.Table
}

func newDriverDoor(driver data.Driver, table engine.Table) *driverDoor {
	return &driverDoor{driver, table}
}

func (d *driverDoor) fallback() resp.Fallback {
	f := resp.Fallback{Exec: d.exec}
	for _, cmd := range d.table.All() {
		if cmd.Flags&engine.PubSub != 0 {
			continue // who would hear of it
		}
		run := func(c *resp.Conn, args [][]byte) { d.run(c.Context(), c, args) }
		if cmd.Flags&engine.Blocking != 0 {
			run = d.block
		}
		f.Commands = append(f.Commands, command(cmd, run))
	}
	return f
}

// cmd returns a command that keeps nothing of args.
func cmd(args [][]byte) data.Cmd {
	texts := make([]string, len(args))
	for i, a := range args {
		texts[i] = string(a)
	}
	return data.Cmd{Name: texts[0], Args: texts[1:]}
}

func (d *driverDoor) run(ctx context.Context, c *resp.Conn, args [][]byte) error {
	replies, err := d.driver.Do(ctx, cmd(args))
	switch {
	case err != nil:
		if ctx == c.Context() {
			c.Error(errorText(err))
		}
		return err
	case len(replies) != 1:
		c.Error("ERR the driver has not replied")
	default:
		render(c, replies[0])
	}
	return nil
}

func (d *driverDoor) block(c *resp.Conn, args [][]byte) {
	err := c.Block(engine.ErrLate, func(ctx context.Context) error { return d.run(ctx, c, args) })
	switch {
	case errors.Is(err, context.Canceled): // by CLIENT UNBLOCK, if the client is there
		c.NullArray()
	case err != nil:
		c.Error(errorText(err))
	}
}

// errorText returns an error as a reply.
func errorText(err error) string {
	if errors.Is(err, resp.ErrUnblocked) || errors.Is(err, resp.ErrShutdown) {
		return err.Error()
	}
	var failed data.CommandError
	if errors.As(err, &failed) {
		return string(failed)
	}
	return "ERR " + strings.TrimPrefix(err.Error(), "data: ")
}

// exec runs a transaction: its commands of data as one, and those of the connection after them.
func (d *driverDoor) exec(c *resp.Conn, queue []resp.Queued) {
	cmds := make([]data.Cmd, 0, len(queue))
	for _, q := range queue {
		if q.Own {
			cmds = append(cmds, cmd(q.Args))
		}
	}
	execer, ok := d.driver.(data.Execer)
	if !ok {
		c.Error("ERR the driver has no transactions")
		return
	}
	replies, err := execer.Exec(c.Context(), cmds...)
	if err == nil && len(replies) != len(cmds) {
		err = errors.New("the driver has not replied to each command")
	}
	if err != nil {
		c.Error(errorText(err))
		return
	}
	c.Array(len(queue))
	for _, q := range queue {
		if !q.Own {
			q.Run()
			continue
		}
		render(c, replies[0])
		replies = replies[1:]
	}
}

// render writes a reply.
func render(c *resp.Conn, r data.Reply) {
	switch r.Kind {
	case data.StringReply:
		c.Bulk(r.Str)
	case data.StatusReply:
		c.Simple(r.Str)
	case data.IntReply:
		c.Int(r.Int)
	case data.FloatReply:
		c.Double(r.Float)
	case data.ErrorReply:
		c.Error(r.Str)
	case data.NullListReply:
		c.NullArray()
	case data.ListReply, data.MapReply, data.SetReply:
		renderList(c, r)
	default:
		c.Null()
	}
}

func renderList(c *resp.Conn, r data.Reply) {
	c.Begin()
	defer c.End()
	switch r.Kind {
	case data.MapReply:
		c.Map(len(r.List) / 2)
	case data.SetReply:
		c.Set(len(r.List))
	default:
		c.Array(len(r.List))
	}
	for _, part := range r.List {
		render(c, part)
	}
}
