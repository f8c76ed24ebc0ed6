package engine

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/peercache/peercache/data/internal/dict"
)

// txn is what a command, or several that happen as one, have changed. It belongs to who holds the locks.
type txn struct {
	e    *Engine
	held shardSet
	now  int64 // the time of all its commands; 0: nobody has asked yet

	call   Call // the one command of Run
	single bool // it can wait: it is one command, and not part of a transaction
	undos  []func()
	undo   bool // undos are kept

	key  string // whose hash was asked for last
	hash uint64

	delta   int64       // of the memory, but for written
	written []accounted // objects that the present command changes
	changed int         // changes so far
	record  []byte      // for the log: commands, one after the other
	ready   []string    // keys that may have what somebody waits for
	looked  int         // how many of ready were looked at
	// readySet is the others, if there are or were many; nil: it was not needed.
	readySet map[string]bool
	notices  []notice
	keys     []string // that have changed; see touch
	served   []*waiter
	flushed  bool // all keys have changed
	// expired and evicted are keys that have left.
	expired, evicted int
}

// accounted is an object with the memory that is counted for it.
type accounted struct {
	object Object
	bytes  int64
}

// notice is an event that was not told yet.
type notice struct {
	class      Class
	event, key string
}

var txns = sync.Pool{New: func() any { return new(txn) }}

func (e *Engine) begin(held shardSet) *txn {
	t := txns.Get().(*txn)
	t.e, t.held = e, held
	return t
}

// What is larger is not kept for other transactions.
const keptRecord, keptItems = 64 << 10, 1 << 10

// free gives t back. It has to have been finished, or to have changed nothing.
func (t *txn) free() {
	clear(t.undos)
	clear(t.written)
	clear(t.ready)
	clear(t.notices)
	clear(t.keys)
	clear(t.served)
	*t = txn{undos: t.undos[:0], written: t.written[:0], record: t.record[:0], ready: t.ready[:0], notices: t.notices[:0], keys: t.keys[:0],
		served: t.served[:0]}
	if cap(t.record) > keptRecord {
		t.record = nil
	}
	if max(cap(t.undos), cap(t.ready), cap(t.notices), cap(t.keys)) > keptItems {
		*t = txn{}
	}
	txns.Put(t)
}

// time returns the time of t.
func (t *txn) time() int64 {
	if t.now == 0 {
		t.now = t.e.cfg.Now()
	}
	return t.now
}

// shard returns the shard of a key, which t must hold, and the key's hash.
func (t *txn) shard(key string) (*shard, uint64) {
	if key != t.key || key == "" {
		t.key, t.hash = key, dict.Hash(key)
	}
	hash := t.hash
	i := shardOf(hash)
	if t.held&(1<<i) == 0 {
		panic("engine: a command uses a key that is not among its Keys: " + key)
	}
	return &t.e.shards[i], hash
}

// run runs a command in t, and settles what it has changed. If the command panics, run returns a panicked.
func (t *txn) run(c *Call) (err error) {
	if c.cmd.Flags&Compound != 0 {
		return t.runCompound(c)
	}
	p, done := place{changed: t.changed, record: len(t.record)}, false
	defer func() {
		if !done {
			err = t.panicked(c, recover(), p)
		}
	}()
	err = t.runOne(c)
	if err != nil && err != errWaits && t.changed > p.changed {
		panic("it has changed something, and failed: " + err.Error())
	}
	done = true
	return err
}

// runCompound runs a command that is made of others, and undoes them if it fails.
func (t *txn) runCompound(c *Call) (err error) {
	p, undo, single := t.here(), t.undo, t.single
	t.undo = true
	defer func() {
		if r := recover(); r != nil {
			err = Error(fmt.Sprintf("ERR the command '%s' panicked: %v", c.cmd.Name, r))
		}
		if err != nil {
			t.back(p)
		}
		t.single = single
		if t.undo = undo; !undo {
			clear(t.undos)
			t.undos = t.undos[:0]
		}
	}()
	return t.runOne(c)
}

func (t *txn) runOne(c *Call) error {
	before := t.changed
	c.logged, t.key = false, "" // whose memory may have another text now
	err := t.e.runTimed(c)
	if t.undo {
		t.recountWhenUndone()
	}
	t.settle()
	if t.changed > before && t.e.logs() && !c.logged {
		t.record = appendCommand(t.record, c.Args)
	}
	return err
}

// settle counts the memory of objects that have changed.
func (t *txn) settle() {
	for i, w := range t.written {
		t.delta += w.object.Bytes() - w.bytes
		t.written[i] = accounted{}
	}
	t.written = t.written[:0]
}

// recountWhenUndone has the memory of the objects that have changed counted again when that is undone. It need not be what it
// was: a table may keep the size to which it has grown.
func (t *txn) recountWhenUndone() {
	for _, w := range t.written {
		t.undos = append(t.undos, func() { t.account(w.object) })
	}
}

// finish ends t: it serves who waits for what t has made, and tells everybody else. It returns the position in the log for
// which its caller has to wait, or 0, when the locks are given back. If the log does not take it, all is undone that can be.
func (t *txn) finish() (position uint64, err error) {
	if len(t.ready) > 0 {
		t.serve()
	}
	if len(t.record) > 0 {
		if position, err = t.e.cfg.Log.Append(t.record); err != nil {
			err = &LogError{err}
			if t.undo {
				t.back(place{})
			}
		}
	}
	if t.delta != 0 {
		t.e.used.Add(t.delta)
		t.delta = 0
	}
	if t.expired+t.evicted > 0 {
		t.e.Expired.Add(int64(t.expired))
		t.e.Evicted.Add(int64(t.evicted))
	}
	t.tell()
	for _, w := range t.served {
		w.position, w.err = position, cmp.Or(w.err, err)
		close(w.done)
	}
	return position, err
}

// place is a moment in a transaction to which it can go back.
type place struct {
	undos, changed, record, ready, notices, keys int
	expired, evicted                             int
	flushed                                      bool
}

func (t *txn) here() place {
	return place{len(t.undos), t.changed, len(t.record), len(t.ready), len(t.notices), len(t.keys), t.expired, t.evicted, t.flushed}
}

// back undoes what was done after p.
func (t *txn) back(p place) {
	for i := len(t.undos) - 1; i >= p.undos; i-- {
		t.undos[i]()
		t.undos[i] = nil
	}
	t.settle()
	clear(t.ready[p.ready:]) // free looks at what is left
	clear(t.notices[p.notices:])
	clear(t.keys[p.keys:])
	t.undos, t.changed, t.record, t.ready, t.readySet = t.undos[:p.undos], p.changed, t.record[:p.record], t.ready[:p.ready], nil
	t.notices, t.keys, t.flushed = t.notices[:p.notices], t.keys[:p.keys], p.flushed
	t.expired, t.evicted = p.expired, p.evicted
}
