package data

import (
	"context"

	"github.com/peercache/peercache/data/internal/engine"
)

// Tx implements Driver. Each command replies at once. Until f returns, other commands wait that use one of its keys, a key in the same 64th of
// all keys, or keys in several of them (MGET, SUNION, KEYS, Backup). The end of their contexts ends this wait, but not that of SCAN,
// KEYS, RANDOMKEY, Watch, Backup and Restore. So f should be short, and must wait for nothing. Of several Tx one runs at a time. ErrConflict never happens.
func (m *Memory) Tx(ctx context.Context, f func(tx Transaction) error) error {
	begun, err := m.engine.Begin(ctx)
	if err != nil {
		return err
	}
	tx := &memoryTx{m: m, tx: begun}
	defer tx.tx.Rollback() // which does nothing after Commit
	if err := f(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return ofEngine(tx.tx.Commit(ctx))
}

// memoryTx is a Transaction of a Memory.
type memoryTx struct {
	m      *Memory
	tx     *engine.Tx
	points savepoints
	writes []int // how many commands had been run before each one that may write, or sends a message
}

// Do implements Transaction.
func (t *memoryTx) Do(cmd Cmd) (Reply, error) {
	args := append([]string{cmd.Name}, cmd.Args...)
	c, err := t.m.find(args)
	if err != nil {
		return Reply{Kind: ErrorReply, Str: err.Error()}, nil
	}
	var reply Reply
	before := t.tx.Len()
	if err := t.tx.Run(c, args, &builder{to: &reply}); err != nil {
		return Reply{}, err
	}
	if c.Acts() && t.tx.Len() > before {
		t.writes = append(t.writes, before)
	}
	return reply, nil
}

// Savepoint implements Transaction.
func (t *memoryTx) Savepoint() Savepoint { return t.points.add(t.tx.Len()) }

// RollbackTo implements Transaction.
func (t *memoryTx) RollbackTo(s Savepoint) error {
	n, err := t.points.backTo(s)
	if err != nil {
		return err
	}
	return t.backTo(n)
}

// backTo undoes all commands but the first n.
func (t *memoryTx) backTo(n int) error {
	if err := t.tx.BackTo(n); err != nil {
		return err
	}
	for len(t.writes) > 0 && t.writes[len(t.writes)-1] >= n {
		t.writes = t.writes[:len(t.writes)-1]
	}
	return nil
}

// UndoLast implements Transaction.
func (t *memoryTx) UndoLast() error {
	if len(t.writes) == 0 {
		return ErrNothingToUndo
	}
	n := t.writes[len(t.writes)-1]
	t.points.undone(n)
	return t.backTo(n)
}
