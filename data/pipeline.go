package data

import (
	"context"
	"errors"
)

// Pipeline is commands that are sent together: one round trip to a Redis, whatever their number. Each happens by itself. It is for one
// goroutine. It is made by Client.Pipeline; commands are added by Later.
type Pipeline struct {
	driver Driver
	cmds   []Cmd
	arrive []func(Reply) // one for each
}

// Pipeline returns a pipeline without commands.
func (c *Client) Pipeline() *Pipeline { return &Pipeline{driver: c.driver} }

// Len returns how many commands are in p.
func (p *Pipeline) Len() int { return len(p.cmds) }

// Do runs the commands, and empties p. An error says that not all of them have a reply: then no Result is there. The error of a command is that of its Result.
func (p *Pipeline) Do(ctx context.Context) error {
	cmds, arrive := p.cmds, p.arrive
	p.cmds, p.arrive = nil, nil
	if len(cmds) == 0 {
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	replies, err := p.driver.Do(ctx, cmds...)
	if err != nil {
		return err
	}
	if len(replies) != len(cmds) {
		return errReplies
	}
	for i, r := range replies {
		arrive[i](r)
	}
	return nil
}

// Result is what a command of a Pipeline returns.
type Result[T any] struct {
	value T
	err   error
}

// ErrNotRun says that a command of a Pipeline has no result yet.
var ErrNotRun = errors.New("data: the pipeline has not run")

// Get returns the result, or ErrNotRun before Pipeline.Do.
func (r *Result[T]) Get() (T, error) { return r.value, r.err }

// Later adds the command to p that f calls, and returns where its result will be:
//
//	visits := data.Later(p, func(c data.Commands) (int64, error) { return c.Strings().Incr(ctx, "visits") })
//
// f is called twice: now, to learn which command it calls, and when the reply is there, to learn what that means. So it has to
// call one command, and nothing else that matters.
func Later[T any](p *Pipeline, f func(c Commands) (T, error)) *Result[T] {
	r := &Result[T]{err: ErrNotRun}
	var recorded recorder
	if _, err := f(Commands{doer: &recorded}); len(recorded.cmds) != 1 {
		r.err = errors.Join(errors.New("data: Later: the function does not call one command"), err)
		return r
	}
	p.cmds = append(p.cmds, recorded.cmds[0])
	p.arrive = append(p.arrive, func(reply Reply) { r.value, r.err = f(Commands{doer: arrived{reply}}) })
	return r
}

// recorder is a doer that only learns which commands there are.
type recorder struct{ cmds []Cmd }

func (r *recorder) do(_ context.Context, args []string) (Reply, error) {
	r.cmds = append(r.cmds, Cmd{args[0], args[1:]})
	return Reply{}, ErrNotRun
}

// arrived is a doer that has the reply already.
type arrived struct{ reply Reply }

func (a arrived) do(context.Context, []string) (Reply, error) { return checked(a.reply) }
