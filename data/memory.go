package data

import (
	"context"
	"fmt"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// Memory is the driver that keeps data in the memory of this process. It is made by NewMemory.
type Memory struct {
	engine *engine.Engine
	opts   memoryOptions
}

// MemoryOption changes what a Memory does.
type MemoryOption func(*memoryOptions) error

type memoryOptions struct {
	bytes int64
}

// WithBytes bounds the memory that data takes: keys, values and what belongs to them. Beyond it commands that add something fail with
// ErrFull. Without it there is no bound.
func WithBytes(n int64) MemoryOption {
	return func(o *memoryOptions) error {
		if n <= 0 {
			return fmt.Errorf("WithBytes(%d): want more than zero", n)
		}
		o.bytes = n
		return nil
	}
}

// NewMemory makes a Memory.
func NewMemory(opts ...MemoryOption) (*Memory, error) {
	m := &Memory{}
	for _, opt := range opts {
		if err := opt(&m.opts); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
	}
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if m.engine, err = engine.New(engine.Config{Commands: table, Kinds: builtin.Kinds(), Bytes: m.opts.bytes}); err != nil {
		return nil, err
	}
	m.engine.Start()
	return m, nil
}

// Close implements Driver.
func (m *Memory) Close() error {
	m.engine.Close()
	return nil
}

// Do implements Driver.
func (m *Memory) Do(ctx context.Context, cmds ...Cmd) ([]Reply, error) {
	replies := make([]Reply, 0, len(cmds))
	for _, cmd := range cmds {
		reply, err := m.do(ctx, append([]string{cmd.Name}, cmd.Args...))
		if err != nil {
			return replies, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// do runs one command. Its reply may be an ErrorReply.
func (m *Memory) do(ctx context.Context, args []string) (Reply, error) {
	if err := ctx.Err(); err != nil {
		return Reply{}, err
	}
	var b builder
	if err := m.Run(ctx, &b, args...); err != nil {
		return Reply{}, err
	}
	return b.reply, nil
}

// GetString implements StringGetter. It takes no lock, and no memory, but where a change of several steps is under way.
func (m *Memory) GetString(ctx context.Context, key string) (string, bool, error) {
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	if s, ok, clean := m.engine.GetString(key); clean {
		return s, ok, nil
	}
	reply, err := m.do(ctx, []string{"get", key})
	if err != nil || reply.Kind == NullReply {
		return "", false, err
	}
	s, err := reply.Text()
	return s, err == nil, err
}

// memoryDoer is the doer that stands on a Memory.
type memoryDoer struct{ m *Memory }

func (d memoryDoer) do(ctx context.Context, args []string) (Reply, error) {
	reply, err := d.m.do(ctx, args)
	if err != nil {
		return Reply{}, err
	}
	return checked(reply)
}

// find returns the command that args call, or why there is none.
func (m *Memory) find(args []string) (*engine.Command, error) {
	cmd := m.engine.Commands().Find(args[0])
	switch {
	case cmd == nil:
		return nil, engine.Error(fmt.Sprintf("ERR unknown command '%.128s'", args[0]))
	case !cmd.Fits(len(args)):
		return nil, engine.Error("ERR wrong number of arguments for '" + cmd.Name + "' command")
	}
	return cmd, nil
}

// Run runs one command, whose name is args[0], and writes its reply to w, as it is made: for front doors, which need no Reply. Until Run
// returns, w may be used by other goroutines, and must not wait for anything. Arguments may change once Run has returned.
func (m *Memory) Run(ctx context.Context, w ReplyWriter, args ...string) error {
	cmd, err := m.find(args)
	if err != nil {
		w.Error(err.Error())
		return nil
	}
	return m.engine.Run(ctx, cmd, args, w)
}

// ReplyWriter takes the parts of a reply.
type ReplyWriter = engine.Writer
