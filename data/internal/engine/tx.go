package engine

import (
	"context"
	"errors"
)

// Tx is a transaction that looks at replies while it goes on, and can go back. Nobody sees what it does before Commit;
// who wants a key whose shard it has used, or several shards, waits until then. There is one at a time.
type Tx struct {
	t     *txn
	marks []place // before each command
	ended bool
}

// ErrTxEnded is returned where a Tx is used after its end.
var ErrTxEnded = errors.New("data: the transaction has ended")

// Begin begins a transaction, when that before it has ended, or returns an error if ctx ends first. It has to be ended by Commit or
// Rollback; other commands of the same goroutine would wait for it for ever.
func (e *Engine) Begin(ctx context.Context) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e.closed.Load() {
		return nil, ErrClosed
	}
	select {
	case e.txs <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	e.gate.Lock()
	t := e.begin(0)
	t.undo = true
	return &Tx{t: t}, nil
}

// Run runs a command. Its reply, or its error, goes to w.
func (x *Tx) Run(cmd *Command, args []string, w Writer) error {
	if x.ended {
		return ErrTxEnded
	}
	t := x.t
	set, _ := t.e.shardsOf(cmd, args)
	x.hold(set)
	x.marks = append(x.marks, t.here())
	err := x.refusal(cmd)
	if err == nil {
		err = t.run(&Call{Args: args, W: w, cmd: cmd, t: t})
	}
	if err != nil {
		x.pop()
		if isPanicked(err) {
			return err
		}
		w.Error(err.Error())
	}
	return nil
}

// refusal is Engine.refusal, but counts what x has changed, and has keys leave as a part of x.
func (x *Tx) refusal(cmd *Command) error {
	t, e := x.t, x.t.e
	if err := e.writeRefusal(cmd); err != nil {
		return err
	}
	if cmd.Flags&Grows == 0 || e.cfg.Bytes <= 0 {
		return nil
	}
	for e.Used()+t.delta > e.cfg.Bytes {
		if e.cfg.Evict == NoEviction || !e.tryShards(func(i int) bool { x.hold(1 << i); return t.evictFrom(i) }) {
			return ErrFull
		}
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

// Commit ends x, and returns when the log has it. The end of ctx does not end this wait: it would say that nothing has happened.
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
	return e.secureDone(ctx, position)
}

// Rollback ends x, and undoes all it has done. It does nothing if x has ended.
func (x *Tx) Rollback() {
	if !x.ended {
		x.t.back(place{})
		x.t.e.used.Add(x.t.delta) // what was undone need not take what it took
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
	<-e.txs
	x.t = nil
}
