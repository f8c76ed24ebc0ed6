package engine

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/peercache/peercache/data/internal/dict"
)

// Run runs a command, which args fit, and writes its reply to w, errors of the command included. It returns an error if the command
// panics, and if ctx ends while the command waits, for a lock too: then the command has done nothing. It returns one as well if
// ctx ends before the log has what the command has changed, but a command that may wait goes on until that is so. After
// an error what is in w is not whole.
//
// A command that waits may have w written to by another goroutine, until Run returns.
func (e *Engine) Run(ctx context.Context, cmd *Command, args []string, w Writer) error {
	if e.closed.Load() {
		return ErrClosed
	}
	if cmd.Flags&Unlocked != 0 {
		if done, err := e.runUnlocked(cmd, args, w); done {
			return err
		}
	}
	write := cmd.Flags&Write != 0
	if err := e.refusal(cmd); err != nil {
		w.Error(err.Error())
		return nil
	}
	set, n := e.shardsOf(cmd, args)
	if cmd.Flags&Steps != 0 {
		set = 0
	}
	held, err := e.lockWithRoom(ctx, cmd, set, write)
	if err == ErrFull {
		w.Error(err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	t := e.begin(held)
	t.single = !e.replaying // what is replayed has not waited
	several := write && (held.several() || n > 1 || cmd.Flags&Compound != 0)
	if several {
		e.markSeveral(held)
	}
	c := &t.call
	*c = Call{Args: args, W: w, cmd: cmd, t: t}
	err = t.run(c)
	var wait *waiter
	if err == errWaits {
		wait, err = e.enlist(ctx, c), nil
	}
	position, failed := t.finish()
	if several {
		e.markSeveral(held)
	}
	t.free()
	e.unlock(held, write)
	if isPanicked(err) {
		return err
	}
	if err != nil {
		w.Error(err.Error())
	}
	if wait != nil {
		return e.await(wait)
	}
	if failed != nil {
		return failed
	}
	if cmd.Flags&Blocking != 0 {
		return e.secureDone(ctx, position)
	}
	return e.secure(ctx, position)
}

// refusal returns why a command may not run now, or nil. It makes room for it if it can.
func (e *Engine) refusal(cmd *Command) error {
	if err := e.writeRefusal(cmd); err != nil {
		return err
	}
	if e.isFull(cmd, 0) {
		return e.makeRoom()
	}
	return nil
}

// writeRefusal returns why a command that writes may not run: see Err.
func (e *Engine) writeRefusal(cmd *Command) error {
	if cmd.Flags&Write == 0 {
		return nil
	}
	switch err := e.Err().(type) {
	case nil:
		return nil
	case *LogError:
		return err.Reply()
	default:
		return Error("ERR " + err.Error())
	}
}

// Err returns why nothing can be written, or nil: it cannot be logged, which is a *LogError, or the data is not what it should be.
func (e *Engine) Err() error {
	if why := e.broken.Load(); why != nil {
		return fmt.Errorf("nothing can be written, because a command was not completed: %w", why)
	}
	if e.logs() {
		if err := e.cfg.Log.Err(); err != nil {
			return &LogError{err}
		}
	}
	return nil
}

// shardsOf returns the shards of the keys of a command, and how many keys it has.
func (e *Engine) shardsOf(cmd *Command, args []string) (set shardSet, n int) {
	if cmd.Flags&(All|Steps) != 0 {
		return allShards, 2
	}
	if k := &cmd.Keys; k.Find == nil && k.First == k.Last && k.First != 0 {
		return 1 << shardOf(dict.Hash(args[k.First])), 1
	}
	cmd.KeysOf(args, func(key string) {
		set |= 1 << shardOf(dict.Hash(key))
		n++
	})
	return set, n
}

// runUnlocked runs a command without a lock. It returns false if that is not possible now.
func (e *Engine) runUnlocked(cmd *Command, args []string, w Writer) (done bool, err error) {
	u := unlockedCalls.Get().(*unlockedCall)
	u.Args, u.W, u.cmd, u.dirty, u.txn.e = args, w, cmd, false, e
	defer func() {
		if v := recover(); v != nil {
			done, err = true, e.panicked(cmd, v)
		}
	}()
	err = cmd.Run(&u.Call)
	dirty := u.dirty
	u.Args, u.W, u.txn.e = nil, nil, nil
	unlockedCalls.Put(u)
	if err != nil && !dirty {
		w.Error(err.Error())
	}
	return !dirty, nil
}

// unlockedCall is a Call of a transaction that changes nothing.
type unlockedCall struct {
	Call
	txn txn
}

var unlockedCalls = sync.Pool{New: func() any {
	u := &unlockedCall{Call: Call{unlocked: true}}
	u.t = &u.txn
	return u
}}

// errDirty has a command end that cannot run without a lock.
const errDirty Error = "ERR this needs a lock"

// readUnlocked is ReadString without a lock.
func (c *Call) readUnlocked(key string) (string, bool, error) {
	s, ok, clean := c.t.e.GetString(key)
	if !clean {
		c.dirty = true
		return "", false, errDirty
	}
	return s, ok, nil
}

// GetString returns the string of a key without a lock. If it cannot, which is rare, clean is false: the key has
// no string, or a change of several steps is under way, or what is read has to wait for the log.
func (e *Engine) GetString(key string) (value string, ok, clean bool) {
	if e.cfg.ReadsWait || e.closed.Load() {
		return "", false, false
	}
	hash := dict.Hash(key)
	s := &e.shards[shardOf(hash)]
	before := s.several.Load()
	n := s.keys.Load().GetHashed(key, hash)
	if n != nil && (n.Value.Object != nil || e.replaying) || before&1 != 0 || s.several.Load() != before {
		return "", false, false
	}
	if n == nil || n.Value.Expire != 0 && n.Value.Expire <= e.cfg.Now() {
		return "", false, true
	}
	e.use(n)
	return n.Value.Str, true, true
}

// Queued is a command of a transaction.
type Queued struct {
	Command *Command
	Args    []string
}

// Exec runs commands as one: nobody sees the state between them, and a crash leaves none or all. It writes an array of
// their replies; if what watch watches has changed, it runs none, and writes a null array. watch may be nil. A command
// that fails does not undo the others. The end of ctx does not keep it from waiting for the log to have what was changed.
func (e *Engine) Exec(ctx context.Context, queue []Queued, watch *Watch, w Writer) error {
	if e.closed.Load() {
		return ErrClosed
	}
	var set shardSet
	write := false
	for _, q := range queue {
		s, _ := e.shardsOf(q.Command, q.Args)
		set |= s
		write = write || q.Command.Flags&Write != 0
	}
	refused := make([]error, len(queue))
	for i, q := range queue {
		refused[i] = e.refusal(q.Command)
	}
	if watch != nil {
		set |= watch.set
	}
	held, err := e.lockWithin(ctx, set, write)
	if err != nil {
		return err
	}
	if watch != nil && watch.broken(e) {
		e.unlock(held, write)
		w.NullArray()
		return nil
	}
	if write {
		e.markSeveral(held)
	}
	t := e.begin(held)
	panicked := t.runAll(queue, refused, w)
	position, err := t.finish()
	if write {
		e.markSeveral(held)
	}
	t.free()
	e.unlock(held, write)
	if err := cmp.Or(panicked, err); err != nil {
		return err
	}
	return e.secureDone(ctx, position)
}

// runAll runs the commands of Exec. It ends with one that panics.
func (t *txn) runAll(queue []Queued, refused []error, w Writer) error {
	w.Array(len(queue))
	for i, q := range queue {
		err := refused[i]
		if err == nil && t.e.isFull(q.Command, t.delta) {
			err = t.makeRoom()
		}
		if err == nil {
			err = t.run(&Call{Args: q.Args, W: w, cmd: q.Command, t: t})
		}
		if isPanicked(err) {
			if t.changed > 0 { // a part of the transaction has happened
				t.e.broken.CompareAndSwap(nil, err.(*panicked))
			}
			return err
		}
		if err != nil {
			w.Error(err.Error())
		}
	}
	return nil
}

// Do runs another command within this one, whose reply w gets. Its keys must be among those of this one. What it writes and logs is
// part of this command.
func (c *Call) Do(w Writer, cmd *Command, args ...string) error {
	if !cmd.Fits(len(args)) {
		return Error("ERR wrong number of arguments for '" + cmd.Name + "' command")
	}
	if !c.covers(cmd, args) {
		return Error("ERR the command '" + c.cmd.Name + "' uses a key that is not among its own keys: '" + cmd.Name + "'")
	}
	if cmd.Flags&Write != 0 && c.cmd.Flags&Write == 0 {
		return Error("ERR the command '" + c.cmd.Name + "' is not one that writes, and runs '" + cmd.Name + "'")
	}
	c.logged = true // by the commands that it is made of
	single := c.t.single
	c.t.single = false
	err := c.t.run(&Call{Args: args, W: w, cmd: cmd, t: c.t})
	c.t.single = single
	if p, ok := err.(*panicked); ok { // what it has changed has to be undone with all else, whatever this command makes of an error
		panic(p.value)
	}
	return err
}

// covers reports whether this command has all keys of another one. Shards do not tell: two keys may be in one by chance.
func (c *Call) covers(cmd *Command, args []string) bool {
	if c.cmd.Flags&All != 0 {
		return true
	}
	if c.keys == nil {
		c.keys = make(map[string]bool)
		c.cmd.KeysOf(c.Args, func(key string) { c.keys[key] = true })
	}
	covers := cmd.Flags&(All|Steps) == 0
	cmd.KeysOf(args, func(key string) { covers = covers && c.keys[key] })
	return covers
}
