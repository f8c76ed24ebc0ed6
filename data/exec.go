package data

import (
	"context"

	"github.com/peercache/peercache/data/internal/engine"
)

// Execer is a Driver that runs a list of commands as one.
type Execer interface {
	// Exec runs commands as one, as MULTI and EXEC do: nobody sees the data between two of them. A command that fails has an ErrorReply, and
	// undoes none of the others.
	Exec(ctx context.Context, cmds ...Cmd) ([]Reply, error)
}

// Exec implements Execer.
func (m *Memory) Exec(ctx context.Context, cmds ...Cmd) ([]Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	queue := make([]engine.Queued, len(cmds))
	for i, cmd := range cmds {
		args := append([]string{cmd.Name}, cmd.Args...)
		c, err := m.find(args)
		if err != nil {
			c = &engine.Command{Name: "unknown", Arity: -1, Run: func(*engine.Call) error { return err }}
		}
		queue[i] = engine.Queued{Command: c, Args: args}
	}
	var reply Reply
	if err := m.engine.Exec(ctx, queue, nil, &builder{to: &reply}); err != nil {
		return nil, ofEngine(err)
	}
	return reply.List, nil
}
