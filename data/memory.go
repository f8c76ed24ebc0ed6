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
		var b builder
		if err := m.Run(ctx, &b, append([]string{cmd.Name}, cmd.Args...)...); err != nil {
			return replies, err
		}
		replies = append(replies, b.reply)
	}
	return replies, nil
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

// Tx implements Driver. It has the memory for itself as far as it comes: who wants the keys that f has used, and others near them, waits
// until f returns. So f should not wait for anything. Of several Tx one runs at a time.
func (m *Memory) Tx(ctx context.Context, f func(tx Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx := &memoryTx{m: m, tx: m.engine.Begin()}
	defer tx.tx.Rollback() // which does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.tx.Commit(ctx)
}

// memoryTx is a Tx of a Memory.
type memoryTx struct {
	m  *Memory
	tx *engine.Tx
}

// Do implements Tx.
func (t *memoryTx) Do(cmd Cmd) (Reply, error) {
	args := append([]string{cmd.Name}, cmd.Args...)
	c, err := t.m.find(args)
	if err != nil {
		return Reply{Kind: ErrorReply, Str: err.Error()}, nil
	}
	var b builder
	if err := t.tx.Run(c, args, &b); err != nil {
		return Reply{}, err
	}
	return b.reply, nil
}

// Savepoint implements Tx.
func (t *memoryTx) Savepoint() Savepoint { return Savepoint(t.tx.Len()) }

// RollbackTo implements Tx.
func (t *memoryTx) RollbackTo(s Savepoint) error { return t.tx.BackTo(int(s)) }

// UndoLast implements Tx.
func (t *memoryTx) UndoLast() error { return t.tx.BackTo(t.tx.Len() - 1) }
