// Package tiered is a data.Driver of levels: drivers in an order of the user's choice, such as memory before Redis.
//
// The last level has the data. Those before have copies of keys that were read, with what is left of their time. Commands that read are
// answered by the first level that has all their keys, and by the last one in the end; what a level cannot answer, because it has no
// copy or cannot be reached, goes on to the next. All commands of one Do are answered by one level, so that they run in their order. A
// command that writes, and a transaction, drops the copies and goes to the last level; until it is over nothing is copied of what it
// writes. So others see it whole or not at all.
//
// Copies are true for as long as all levels hear of all changes. If the last level is a data.Invalidator, as data/redis is, it tells of the changes of
// others: a copy is old for no longer than that takes, in which a command that reads several keys may find some of them as they were
// before a transaction of another process, and some as they are after it. While it does not tell, because a connection is broken, no
// copy is read. If it is none, WithSoleWriter has to say that nobody else writes.
package tiered

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/data"
)

// Driver is a data.Driver of levels. It is made by New, and must be closed.
type Driver struct {
	fronts []*front
	last   data.Driver
	opts   options
	guard  guard

	heard     atomic.Bool // the last level tells of all changes
	mu        sync.Mutex
	unheard   error // guarded by mu; why not
	stop      context.CancelFunc
	listening sync.WaitGroup
}

var (
	_ data.Driver = (*Driver)(nil)
	_ data.Execer = (*Driver)(nil)
)

// Option changes what a Driver does.
type Option func(*options) error

type options struct {
	sole   bool
	update bool
	most   int64
}

// DefaultMaxElements is how many elements a list, hash, set or sorted set has at most that is copied.
const DefaultMaxElements = 1000

// WithSoleWriter says that nobody writes to the last level but by this Driver.
func WithSoleWriter() Option {
	return func(o *options) error { o.sole = true; return nil }
}

// WithUpdates has a write copy the keys that it has written when it is over.
func WithUpdates() Option {
	return func(o *options) error { o.update = true; return nil }
}

// WithMaxElements sets how many elements a list, hash, set or sorted set has at most that is copied. The default is
// DefaultMaxElements. Strings are copied whatever their length.
func WithMaxElements(n int64) Option {
	return func(o *options) error {
		if n < 0 {
			return fmt.Errorf("WithMaxElements(%d): want zero or more", n)
		}
		o.most = n
		return nil
	}
}

// New makes a driver of levels, at least two, the last of which has the data. Those before must have nothing else in them: they are emptied when it
// begins, and whenever a change may have been missed. Close closes all.
func New(levels []data.Driver, opts ...Option) (*Driver, error) {
	d := &Driver{opts: options{most: DefaultMaxElements}}
	for _, opt := range opts {
		if err := opt(&d.opts); err != nil {
			return nil, fmt.Errorf("tiered: %w", err)
		}
	}
	if len(levels) < 2 {
		return nil, fmt.Errorf("tiered: there are %d levels: want two or more", len(levels))
	}
	for _, level := range levels[:len(levels)-1] {
		f := &front{driver: level}
		f.getter, _ = level.(data.StringGetter)
		f.unclean.Store(true)
		f.all = true
		d.fronts = append(d.fronts, f)
	}
	d.last = levels[len(levels)-1]
	source, ok := d.last.(data.Invalidator)
	if d.opts.sole {
		d.heard.Store(true)
		return d, nil
	}
	if !ok {
		return nil, fmt.Errorf("tiered: the last level, %T, does not tell of what others change: want a data.Invalidator, or WithSoleWriter", d.last)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop, d.unheard = cancel, errors.New("tiered: the last level was not heard yet")
	d.listening.Go(func() { d.listen(ctx, source) })
	return d, nil
}

// Err returns why no copies are read now: the last level does not tell of changes. It is nil if it does.
func (d *Driver) Err() error {
	if d.heard.Load() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unheard
}

const (
	leastPause = 10 * time.Millisecond
	mostPause  = time.Second
)

// listen hears of changes, as long as ctx lasts.
func (d *Driver) listen(ctx context.Context, source data.Invalidator) {
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		err := source.Invalidations(ctx, func(keys []string) {
			if len(keys) > 0 {
				_ = d.drop(ctx, keys, false) // a front that fails is not read, and cleaned later
				return
			}
			_ = d.drop(ctx, nil, true)
			d.heard.Store(true)
			pause = leastPause
		})
		d.mu.Lock()
		d.unheard = fmt.Errorf("tiered: the last level does not tell of changes: %w", err)
		d.mu.Unlock()
		d.heard.Store(false)
		d.guard.voidAll()
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// Close implements data.Driver.
func (d *Driver) Close() error {
	if d.stop != nil {
		d.stop()
	}
	d.listening.Wait()
	errs := []error{d.last.Close()}
	for _, f := range d.fronts {
		errs = append(errs, f.driver.Close())
	}
	return errors.Join(errs...)
}

// write sends commands to the last level, of which at least one may write.
func (d *Driver) write(ctx context.Context, cmds []data.Cmd, plans []plan) ([]data.Reply, error) {
	w := d.writing(ctx, plans)
	replies, err := d.last.Do(ctx, cmds...)
	return replies, errors.Join(err, w.over(ctx))
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
	return replies, errors.Join(err, w.over(ctx))
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
	returned := false
	defer func() {
		if !returned { // f panics
			_ = w.over(ctx)
		}
	}()
	err := run(ctx, func(tx data.Transaction) error { return f(&transaction{tx, ctx, w}) })
	returned = true
	return errors.Join(err, w.over(ctx))
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
