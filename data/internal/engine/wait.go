package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache/data/internal/dict"
)

// errWaits is what the function of a command returns that waits.
const errWaits Error = "ERR the command waits"

// waits is for how long a command waits, and what it replies then.
type waits struct {
	timeout time.Duration // 0: for ever
	late    func(w Writer)
}

// Wait has the command run again when one of its keys is Ready, and reply late if that is not so within timeout; 0 means for ever.
// A command that cannot wait, because it is part of a transaction, replies late at once. The command returns what Wait
// returns, and must not have written or changed anything.
func (c *Call) Wait(timeout time.Duration, late func(w Writer)) error {
	if !c.t.single {
		late(c.W)
		return nil
	}
	c.waits = waits{timeout, late}
	return errWaits
}

// Ready says that a key may have what others wait for: they run once this command, or its transaction, is done.
func (c *Call) Ready(key string) {
	if s, _ := c.t.shard(key); len(s.waiting) > 0 && len(s.waiting[key]) > 0 {
		c.t.ready = append(c.t.ready, strings.Clone(key))
	}
}

// waiter is a command that waits. The locks of its shards guard it, until done is closed.
type waiter struct {
	ctx  context.Context
	e    *Engine
	call Call
	keys []string
	set  shardSet

	done     chan struct{}
	position uint64 // in the log, of what it has changed
	err      error  // of the log
	wait     waits
}

// enlist has a command wait, whose shards are locked.
func (e *Engine) enlist(ctx context.Context, c *Call) *waiter {
	w := &waiter{ctx: ctx, e: e, call: Call{W: c.W, cmd: c.cmd}, set: c.t.held, wait: c.waits, done: make(chan struct{})}
	for _, arg := range c.Args {
		w.call.Args = append(w.call.Args, strings.Clone(arg))
	}
	c.cmd.KeysOf(w.call.Args, func(key string) {
		if slices.Contains(w.keys, key) {
			return
		}
		w.keys = append(w.keys, key)
	})
	w.set = setOf(w.keys...)
	for _, key := range w.keys {
		s, _ := c.t.shard(key)
		if s.waiting == nil {
			s.waiting = make(map[string][]*waiter)
		}
		s.waiting[key] = append(s.waiting[key], w)
		s.need.Store(s.need.Load() | uint64(w.set))
	}
	return w
}

// leave has a command wait no more. Its shards are locked.
func (w *waiter) leave() {
	for _, key := range w.keys {
		s := &w.e.shards[shardOf(dict.Hash(key))]
		list := s.waiting[key]
		if i := slices.Index(list, w); i >= 0 {
			list = slices.Delete(list, i, i+1)
		}
		if len(list) > 0 {
			s.waiting[key] = list
		} else {
			delete(s.waiting, key)
		}
		var need shardSet
		for _, list := range s.waiting {
			for _, w := range list {
				need |= w.set
			}
		}
		s.need.Store(uint64(need))
	}
}

// await waits until a command has run, or its time is over.
func (e *Engine) await(w *waiter) error {
	var timeout <-chan time.Time
	if w.wait.timeout > 0 {
		timer := time.NewTimer(w.wait.timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	var err error
	select {
	case <-w.done:
	case <-timeout:
	case <-w.ctx.Done():
		err = w.ctx.Err()
	case <-e.stop:
		err = ErrClosed
	}
	held := e.lock(w.set, true)
	select {
	case <-w.done: // at last
		e.unlock(held, true)
		if w.err != nil {
			return w.err
		}
		return e.secure(w.ctx, w.position)
	default:
	}
	w.leave()
	e.unlock(held, true)
	if err == nil {
		w.wait.late(w.call.W)
	}
	return err
}

// serve runs the commands that wait for what t has made ready, first come, first served: all of them before anybody else.
func (t *txn) serve() {
	t.single = true // for each of them may wait on
	for i := 0; i < len(t.ready); i++ {
		key := t.ready[i]
		s, _ := t.shard(key)
		for _, w := range slices.Clone(s.waiting[key]) {
			if w.ctx.Err() != nil {
				continue
			}
			w.call.t = t
			err := t.run(&w.call)
			w.call.t = nil
			if err == errWaits {
				continue
			}
			if err != nil {
				w.call.W.Error(err.Error())
			}
			w.leave()
			t.served = append(t.served, w)
		}
	}
}
