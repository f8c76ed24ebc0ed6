package engine

import (
	"context"
	"errors"
)

// Tx is a transaction that looks at replies while it goes on, and can go back. Nobody sees what it does before Commit;
// who wants a key whose shard it has used waits until then. There is one at a time.
type Tx struct {
	t     *txn
	marks []place // before each command
	ended bool
}

// ErrTxEnded is returned where a Tx is used after its end.
var ErrTxEnded = errors.New("data: the transaction has ended")

// Begin begins a transaction, when that before it has ended. It has to be ended by Commit or Rollback, by the same
// goroutine's hand; other commands of that goroutine would wait for it for ever.
func (e *Engine) Begin() *Tx {
	e.gate.Lock()
	t := e.begin(0)
	t.undo = true
	return &Tx{t: t}
}

// Run runs a command. Its reply, or its error, goes to w.
func (x *Tx) Run(cmd *Command, args []string, w Writer) error {
	if x.ended {
		return ErrTxEnded
	}
	t := x.t
	if err := t.e.refusalInTx(cmd); err != nil {
		w.Error(err.Error())
		return nil
	}
	set, _ := t.e.shardsOf(cmd, args)
	x.hold(set)
	x.marks = append(x.marks, t.here())
	err := t.run(&Call{Args: args, W: w, cmd: cmd, t: t})
	if err != nil {
		x.pop()
		w.Error(err.Error())
	}
	return nil
}

// refusalInTx is refusal where nothing can leave, because shards are locked.
func (e *Engine) refusalInTx(cmd *Command) error {
	if cmd.Flags&Grows != 0 && e.cfg.Bytes > 0 && e.Used() > e.cfg.Bytes {
		return ErrFull
	}
	return nil
}

// hold locks the shards of set that x does not have, and those that commands need that wait for their keys. gate has nobody
// hold some and wait for others meanwhile.
func (x *Tx) hold(set shardSet) {
	t := x.t
	for more := t.e.needed(set) &^ t.held; more != 0; more = t.e.needed(t.held) &^ t.held {
		more.each(func(i int) { t.e.shards[i].mu.Lock() })
		t.e.markSeveral(more)
		t.held |= more
	}
}

func (x *Tx) pop() {
	last := len(x.marks) - 1
	x.t.back(x.marks[last])
	x.marks = x.marks[:last]
}

// Len returns how many commands were run and not undone, those that have changed nothing included.
func (x *Tx) Len() int { return len(x.marks) }

// BackTo undoes all commands but the first n.
func (x *Tx) BackTo(n int) error {
	if x.ended {
		return ErrTxEnded
	}
	if n < 0 || n > len(x.marks) {
		return errors.New("data: the transaction has not come so far")
	}
	for len(x.marks) > n {
		x.pop()
	}
	return nil
}

// Commit ends x, and returns when the log has it.
func (x *Tx) Commit(ctx context.Context) error {
	if x.ended {
		return ErrTxEnded
	}
	e := x.t.e
	position, err := x.t.finish()
	x.end()
	if err != nil {
		return err
	}
	return e.secure(ctx, position)
}

// Rollback ends x, and undoes all it has done. It does nothing if x has ended.
func (x *Tx) Rollback() {
	if !x.ended {
		x.t.back(place{})
		x.t.e.used.Add(x.t.delta)
		x.end()
	}
}

func (x *Tx) end() {
	t, e := x.t, x.t.e
	x.ended = true
	e.markSeveral(t.held)
	t.held.each(func(i int) { e.shards[i].mu.Unlock() })
	t.free()
	e.gate.Unlock()
	x.t = nil
}
