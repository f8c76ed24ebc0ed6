package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/peercache/peercache/data/internal/dict"
	"github.com/peercache/peercache/data/internal/number"
)

// errWaits is what the function of a command returns that waits.
const errWaits Error = "ERR the command waits"

// waits is for how long a command waits, for which keys, and what it replies when that time is over.
type waits struct {
	timeout time.Duration // 0: for ever
	late    func(w Writer)
	keys    []string // nil: all of the command
}

// Wait has the command run again when one of keys is Ready, and reply late if that is not so within timeout; 0 means for ever. No keys
// means all keys of the command. A command that cannot wait, because it is part of a transaction, replies late at once. The
// command returns what Wait returns, and must not have written or changed anything.
//
// A command that runs again may find that it has to wait still: another one was served before it. So it calls Wait again. It looks
// only at keys of which Serves is true, and goes on waiting where it would fail because of a key's type.
func (c *Call) Wait(timeout time.Duration, late func(w Writer), keys ...string) error {
	if !c.t.single {
		late(c.W)
		return nil
	}
	if c.waiter == nil {
		c.waits = waits{timeout, late, keys}
	}
	return errWaits
}

// CanWait reports whether Wait has the command wait.
func (c *Call) CanWait() bool { return c.t.single }

// Again reports whether the command has waited, and runs again.
func (c *Call) Again() bool { return c.waiter != nil }

// Serves reports whether the command may take what key has. One that runs again takes only from the key that is
// Ready: others who came earlier may wait for another key that it waits for as well.
func (c *Call) Serves(key string) bool { return c.waiter == nil || c.waiter.ready == key }

// Behind reports whether a command that is InTurn has to wait, because another one of its name waits for key. One that
// cannot wait takes what there is.
func (c *Call) Behind(key string) bool {
	if !c.t.single || c.waiter != nil {
		return false
	}
	s, _ := c.t.shard(key)
	return slices.ContainsFunc(s.waiting[key], func(w *waiter) bool { return w.call.cmd == c.cmd })
}

// Ready says that a key may have what others wait for: they run once this command, or its transaction, is done. A key that gets an
// Object is Ready without it.
func (c *Call) Ready(key string) {
	s, _ := c.t.shard(key)
	c.t.makeReady(s, key)
}

func (t *txn) makeReady(s *shard, key string) {
	if len(s.waiting) == 0 || len(s.waiting[key]) == 0 || t.isReady(key) {
		return
	}
	key = strings.Clone(key)
	t.ready = append(t.ready, key)
	if t.readySet != nil {
		t.readySet[key] = true
	}
}

// manyReady is from how many keys on readySet is kept.
const manyReady = 16

// isReady reports whether a key is among those of ready that were not looked at.
func (t *txn) isReady(key string) bool {
	left := t.ready[t.looked:]
	if len(left) < manyReady {
		return slices.Contains(left, key)
	}
	if t.readySet == nil {
		t.readySet = make(map[string]bool)
		for _, k := range left {
			t.readySet[k] = true
		}
	}
	return t.readySet[key]
}

// Timeout returns the time that an argument is, in seconds; 0 means for ever.
func Timeout(arg string) (time.Duration, error) {
	seconds, ok := number.Float(arg)
	if !ok {
		return 0, Error("ERR timeout is not a float or out of range")
	}
	ms := math.Ceil(seconds * 1000)
	switch {
	case ms < 0 || ms >= math.MaxInt64: // Redis says of both that they are negative
		return 0, Error("ERR timeout is negative")
	case ms > float64(math.MaxInt64/time.Millisecond):
		return math.MaxInt64, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// waiter is a command that waits. The locks of its shards guard it, until done is closed.
type waiter struct {
	ctx   context.Context
	e     *Engine
	call  Call
	keys  []string // for which it waits
	set   shardSet // of all keys of the command
	ready string   // the key because of which it runs again

	done     chan struct{}
	position uint64 // in the log, of what it has changed
	err      error  // of the log
}

// enlist has a command wait, whose shards are locked.
func (e *Engine) enlist(ctx context.Context, c *Call) *waiter {
	w := &waiter{ctx: ctx, e: e, call: Call{W: c.W, cmd: c.cmd, waits: c.waits}, done: make(chan struct{})}
	w.call.waiter = w
	for _, arg := range c.Args {
		w.call.Args = append(w.call.Args, strings.Clone(arg))
	}
	wanted, keys := make(map[string]bool), w.call.waits.keys
	for _, key := range keys {
		wanted[key] = true
	}
	c.cmd.KeysOf(w.call.Args, func(key string) {
		w.set |= setOf(key)
		if is, known := wanted[key]; is || !known && keys == nil {
			wanted[key] = false // from now on
			w.keys = append(w.keys, key)
		}
	})
	e.Blocked.Add(1)
	e.waiting.Add(1)
	for _, key := range w.keys {
		s, _ := c.t.shard(key)
		if s.waiting == nil {
			s.waiting, s.needs = make(map[string][]*waiter), make(map[shardSet]int)
		}
		s.waiting[key] = append(s.waiting[key], w)
		s.needs[w.set]++
		s.need.Store(s.need.Load() | uint64(w.set))
	}
	return w
}

// Waiting returns how many commands wait.
func (e *Engine) Waiting() int { return int(e.waiting.Load()) }

// leave has a command wait no more. Its shards are locked.
func (w *waiter) leave() {
	w.e.waiting.Add(-1)
	w.e.Blocked.Add(-1)
	for _, key := range w.keys {
		s := &w.e.shards[shardOf(dict.Hash(key))]
		list := s.waiting[key]
		i := slices.Index(list, w)
		if list = slices.Delete(list, i, i+1); len(list) > 0 {
			s.waiting[key] = list
		} else {
			delete(s.waiting, key)
		}
		if s.needs[w.set]--; s.needs[w.set] > 0 {
			continue
		}
		delete(s.needs, w.set)
		var need shardSet
		for set := range s.needs {
			need |= set
		}
		s.need.Store(uint64(need))
	}
}

// ErrLate is the cause of the end of a context that has a command reply what it replies when its time is over.
var ErrLate = errors.New("data: the command has waited for too long")

// await waits until a command has run, or its time is over.
func (e *Engine) await(w *waiter) error {
	var timeout <-chan time.Time
	if d := w.call.waits.timeout; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		timeout = timer.C
	}
	var err error
	select {
	case <-w.done:
		return w.secure()
	case <-timeout:
	case <-w.ctx.Done():
		if err = w.ctx.Err(); context.Cause(w.ctx) == ErrLate {
			err = nil
		}
	case <-e.stop:
		err = ErrClosed
	}
	if !e.giveUp(w) {
		return w.secure()
	}
	if err == nil {
		w.call.waits.late(w.call.W)
	}
	return err
}

// giveUp has a command wait no more, unless it was served meanwhile: then it returns false. Who came later may have
// waited for nothing but its turn.
func (e *Engine) giveUp(w *waiter) bool {
	held := e.lock(w.set, true)
	defer e.unlock(held, true)
	select {
	case <-w.done:
		return false
	default:
	}
	w.leave()
	e.markSeveral(held) // who is served may change keys of several shards
	t := e.begin(held)
	for _, key := range w.keys {
		s, _ := t.shard(key)
		t.makeReady(s, key)
	}
	t.finish() // an error of the log is one that who is served has
	e.markSeveral(held)
	t.free()
	return true
}

// secure waits for the log to have what a command has changed that was served.
func (w *waiter) secure() error {
	if w.err != nil {
		return w.err
	}
	return w.e.secureDone(w.ctx, w.position)
}

// serve runs the commands that wait for what t has made ready, first come, first served: all of them before anybody else sees
// it. What they make ready serves others in turn.
func (t *txn) serve() {
	t.single = true // for they may go on waiting, and are no part of the transaction that t is
	for t.looked < len(t.ready) {
		key := t.ready[t.looked]
		t.looked++
		delete(t.readySet, key)
		s, hash := t.shard(key)
		var behind []*Command // those of which one that waits in turn was not served
		for i := 0; i < len(s.waiting[key]) && s.keys.Load().GetHashed(key, hash) != nil; {
			w := s.waiting[key][i]
			if slices.Contains(behind, w.call.cmd) {
				i++
				continue
			}
			if t.serveOne(w, key) {
				continue
			}
			i++
			if w.call.cmd.Flags&InTurn != 0 {
				behind = append(behind, w.call.cmd)
			}
		}
	}
}

// serveOne runs a command that waits, and reports whether it does not wait any more.
func (t *txn) serveOne(w *waiter, key string) bool {
	if w.ctx.Err() != nil {
		return false // it is about to leave, and nobody would get what it took
	}
	w.ready, w.call.t = key, t
	err := t.run(&w.call)
	w.call.t = nil
	if err == errWaits {
		return false
	}
	if isPanicked(err) {
		w.err = err
	} else if err != nil {
		w.call.W.Error(err.Error())
	}
	w.leave()
	t.served = append(t.served, w)
	if s, ok := w.call.W.(served); ok {
		s.Served()
	}
	return true
}
