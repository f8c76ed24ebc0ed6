package data

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// Session is what an optimistic transaction needs: a connection that can WATCH. It is for one goroutine.
type Session interface {
	// Watch has Exec fail if one of the keys changes from now on.
	Watch(ctx context.Context, keys []string) error
	// WatchAndDo does what Watch does, and runs a command then.
	WatchAndDo(ctx context.Context, keys []string, cmd Cmd) (Reply, error)
	// Exec runs commands as one, and returns a reply for each. If what is watched has changed, it runs none, and returns
	// ErrConflict. It ends the watch in any case.
	Exec(ctx context.Context, cmds []Cmd) ([]Reply, error)
}

// RunOptimistic runs f with an optimistic Transaction that stands on a Session: for drivers. It calls Exec once, also if there is nothing to
// do, unless f or Watch fails. A command that fails at the end undoes none of the others, which have happened then: the
// error is ErrPartial.
func RunOptimistic(ctx context.Context, s Session, keys []string, f func(tx Transaction) error) error {
	return runOptimistic(ctx, s, builtinTable(), keys, f)
}

// builtinTable has the commands of package builtin.
var builtinTable = sync.OnceValue(func() engine.Table {
	t, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		panic(err)
	}
	return t
})

// runOptimistic is RunOptimistic for the commands of a table, of which it has to know the keys.
func runOptimistic(ctx context.Context, s Session, table engine.Table, keys []string, f func(tx Transaction) error) error {
	t := &optimistic{ctx: ctx, session: s, table: table, written: make(map[string]int)}
	defer func() { t.ended = true }()
	if len(keys) > 0 {
		if err := s.Watch(ctx, keys); err != nil {
			return err
		}
	}
	if err := f(t); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	replies, err := s.Exec(ctx, t.queue)
	if err != nil {
		return err
	}
	if len(replies) != len(t.queue) {
		return errReplies
	}
	var failed []error
	for i, r := range replies {
		if r.Kind == ErrorReply {
			failed = append(failed, fmt.Errorf("command %d, %s: %w", i, t.queue[i].Name, r.Err()))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrPartial, errors.Join(failed...))
}

// optimistic is a Transaction that runs what reads at once, and what writes or sends a message at its end.
type optimistic struct {
	ctx     context.Context
	session Session
	table   engine.Table
	queue   []Cmd
	written map[string]int // how many commands of queue may write a key
	all     int            // how many of them may write any key
	points  savepoints
	ended   bool
}

// Do implements Transaction.
func (t *optimistic) Do(cmd Cmd) (Reply, error) {
	if t.ended {
		return Reply{}, engine.ErrTxEnded
	}
	c := t.table.Find(cmd.Name)
	args := append([]string{cmd.Name}, cmd.Args...)
	switch {
	case c == nil:
		return Reply{Kind: ErrorReply, Str: fmt.Sprintf("ERR unknown command '%.128s'", cmd.Name)}, nil
	case !c.Fits(len(args)):
		return Reply{Kind: ErrorReply, Str: "ERR wrong number of arguments for '" + c.Name + "' command"}, nil
	case c.Acts():
		t.queue = append(t.queue, Cmd{cmd.Name, args[1:]})
		t.count(t.queue[len(t.queue)-1], 1)
		return Reply{Kind: QueuedReply}, nil
	case c.Flags&(engine.All|engine.Steps) != 0:
		return Reply{}, fmt.Errorf("data: an optimistic transaction cannot watch all keys, which %s reads", c.Name)
	}
	var keys []string
	c.KeysOf(args, func(key string) { keys = append(keys, key) })
	for _, key := range keys {
		if t.all > 0 || t.written[key] > 0 {
			return Reply{}, fmt.Errorf("%w: %s of %q", ErrUnread, c.Name, key)
		}
	}
	return t.session.WatchAndDo(t.ctx, keys, cmd)
}

// count notes that a command of the queue is there, or no more.
func (t *optimistic) count(cmd Cmd, n int) {
	c := t.table.Find(cmd.Name)
	if c.Flags&(engine.All|engine.Steps) != 0 {
		t.all += n
	}
	c.KeysOf(append([]string{cmd.Name}, cmd.Args...), func(key string) { t.written[key] += n })
}

// Savepoint implements Transaction.
func (t *optimistic) Savepoint() Savepoint { return t.points.add(len(t.queue)) }

// RollbackTo implements Transaction.
func (t *optimistic) RollbackTo(s Savepoint) error {
	if t.ended {
		return engine.ErrTxEnded
	}
	n, err := t.points.backTo(s)
	if err != nil {
		return err
	}
	t.backTo(n)
	return nil
}

// backTo undoes all commands of the queue but the first n.
func (t *optimistic) backTo(n int) {
	for _, cmd := range t.queue[n:] {
		t.count(cmd, -1)
	}
	t.queue = t.queue[:n]
}

// UndoLast implements Transaction.
func (t *optimistic) UndoLast() error {
	if t.ended {
		return engine.ErrTxEnded
	}
	if len(t.queue) == 0 {
		return ErrNothingToUndo
	}
	n := len(t.queue) - 1
	t.points.undone(n)
	t.backTo(n)
	return nil
}

// Watch implements Watcher.
func (m *Memory) Watch(ctx context.Context, keys []string, f func(tx Transaction) error) error {
	s := &memorySession{m: m}
	defer func() { m.engine.Unwatch(s.watch) }()
	return runOptimistic(ctx, s, m.engine.Commands(), keys, f)
}

// memorySession is a Session of a Memory.
type memorySession struct {
	m     *Memory
	watch *engine.Watch
}

// Watch implements Session.
func (s *memorySession) Watch(ctx context.Context, keys []string) error {
	s.watch = s.m.engine.Watch(s.watch, keys...)
	return ctx.Err()
}

// WatchAndDo implements Session.
func (s *memorySession) WatchAndDo(ctx context.Context, keys []string, cmd Cmd) (Reply, error) {
	if err := s.Watch(ctx, keys); err != nil {
		return Reply{}, err
	}
	return s.m.do(ctx, append([]string{cmd.Name}, cmd.Args...))
}

// Exec implements Session.
func (s *memorySession) Exec(ctx context.Context, cmds []Cmd) ([]Reply, error) {
	queue := make([]engine.Queued, len(cmds))
	for i, cmd := range cmds {
		args := append([]string{cmd.Name}, cmd.Args...)
		c, err := s.m.find(args)
		if err != nil {
			return nil, err
		}
		queue[i] = engine.Queued{Command: c, Args: args}
	}
	var reply Reply
	if err := s.m.engine.Exec(ctx, queue, s.watch, &builder{to: &reply}); err != nil {
		return nil, ofEngine(err)
	}
	if reply.Kind == NullListReply {
		return nil, ErrConflict
	}
	return reply.List, nil
}
