package tiered

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/peercache/peercache/data"
)

// write is a command or a transaction that writes to the last level. There are no copies of what it writes from before it does until it is over.
type write struct {
	d    *Driver
	keys map[string]bool
	alls int // how often it was told of all keys
}

// updateTime bounds how long a write waits until its keys are copied.
const updateTime = 2 * time.Second

func (d *Driver) newWrite() *write { return &write{d: d, keys: make(map[string]bool)} }

// writing begins a write of commands.
func (d *Driver) writing(ctx context.Context, plans []plan) *write {
	w := d.newWrite()
	var keys []string
	all := false
	for _, p := range plans {
		if !p.reads {
			keys, all = append(keys, p.keys...), all || p.all
		}
	}
	w.add(ctx, keys, all)
	return w
}

// add drops the copies of keys, or of all, that are written next.
func (w *write) add(ctx context.Context, keys []string, all bool) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		known := w.keys[key]
		w.keys[key] = true
		return known
	})
	if len(keys) == 0 && !all {
		return
	}
	defer w.d.guard.lockAndVoid(keys, all)()
	w.d.guard.writing(keys, all)
	if all {
		w.alls++
	}
	w.d.dropLocked(ctx, keys, all)
}

// end ends the write, to which the last level has returned err.
func (w *write) end(ctx context.Context, err error) {
	// Of the changes that a write makes later others tell. A sole writer has to mind them.
	doubtful := w.d.opts.sole && err != nil && !refused(err)
	keys := slices.Collect(maps.Keys(w.keys))
	w.d.guard.written(keys, w.alls, doubtful)
	if !w.d.opts.update || len(keys) == 0 || len(keys) > mostFilled {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), updateTime)
	defer cancel()
	fills, _ := w.d.guard.begin(keys, true)
	w.d.fill(ctx, fills, nil)
}

// drop drops the copies of keys, or of all. A front that may still have them is not read until it has not.
func (d *Driver) drop(ctx context.Context, keys []string, all bool) {
	defer d.guard.lockAndVoid(keys, all)()
	d.dropLocked(ctx, keys, all)
}

// dropLocked is drop. The caller has locked the stripes of the keys, and made their fills void.
func (d *Driver) dropLocked(ctx context.Context, keys []string, all bool) {
	for _, f := range d.fronts {
		f.drop(ctx, keys, all)
	}
}

// write sends commands to the last level, of which at least one may write.
func (d *Driver) write(ctx context.Context, cmds []data.Cmd, plans []plan) ([]data.Reply, error) {
	w := d.writing(ctx, plans)
	replies, err := d.last.Do(ctx, cmds...)
	w.end(ctx, err)
	return replies, err
}

// Exec implements data.Execer, if the last level does.
func (d *Driver) Exec(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	e, ok := d.last.(data.Execer)
	if !ok {
		return nil, fmt.Errorf("tiered: the last level, %T, runs no lists of commands as one", d.last)
	}
	plans, _ := plansOf(cmds)
	w := d.writing(ctx, plans)
	replies, err := e.Exec(ctx, cmds...)
	w.end(ctx, err)
	return replies, err
}

// Tx implements data.Driver: it is a transaction of the last level.
func (d *Driver) Tx(ctx context.Context, f func(tx data.Transaction) error) error {
	return d.inTx(ctx, f, d.last.Tx)
}

// Watch implements data.Watcher, if the last level does.
func (d *Driver) Watch(ctx context.Context, keys []string, f func(tx data.Transaction) error) error {
	w, ok := d.last.(data.Watcher)
	if !ok {
		return fmt.Errorf("tiered: the last level, %T, has no optimistic transactions", d.last)
	}
	return d.inTx(ctx, f, func(ctx context.Context, f func(tx data.Transaction) error) error { return w.Watch(ctx, keys, f) })
}

func (d *Driver) inTx(ctx context.Context, f func(tx data.Transaction) error, run func(context.Context, func(data.Transaction) error) error) error {
	w := d.newWrite()
	var unknown error // why it is not known whether the transaction has happened
	defer func() { w.end(ctx, unknown) }()
	var failed error
	err := run(ctx, func(tx data.Transaction) error {
		failed = f(&transaction{tx, ctx, w})
		return failed
	})
	if failed == nil { // else nothing has happened; nor has it if f panics
		unknown = err
	}
	return err
}

// transaction drops the copies of what it writes.
type transaction struct {
	data.Transaction
	ctx context.Context
	w   *write
}

// Do implements data.Transaction.
func (t *transaction) Do(cmd data.Cmd) (data.Reply, error) {
	if p := planOf(cmd); !p.reads {
		t.w.add(t.ctx, p.keys, p.all)
	}
	return t.Transaction.Do(cmd)
}
