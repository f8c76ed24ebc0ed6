// Package tiered is a data.Driver of levels: drivers in an order of the user's choice, such as memory before Redis.
//
// The last level has the data. Those before have copies of keys that were read, with what is left of their time. Commands that read are
// answered by the first level that has all their keys, and by the last one in the end; what a level cannot answer, because it has no
// copy, or does not answer, goes on to the next. All commands of one Do are answered by one level, so that they run in their order. A
// command that writes, and a transaction, drops the copies and goes to the last level; until it is over nothing is copied of what it
// writes. So others see it whole or not at all. A command that is not built in (data.WithCommands) drops all copies.
//
// Copies are true for as long as all levels hear of all changes. If the last level is a data.Invalidator, as data/redis is, it tells of the changes of
// others: a copy is old for no longer than that takes, in which a command that reads several keys may find some of them as they were
// before a transaction of another process, and some as they are after it. While it does not tell, because a connection is broken, no
// copy is read. A connection that breaks without a word is missed late: by data/redis within two seconds, in which copies are
// read. If the last level is no data.Invalidator, WithSoleWriter has to say that nobody else writes.
//
// A level before the last one that fails, or takes too long, is passed until it answers and has dropped what it could not drop. Commands do
// not fail because of it: Driver.Err says so, and a warning in the log.
package tiered

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

	heard      atomic.Bool // the last level tells of all changes
	mu         sync.Mutex
	unheard    error // guarded by mu; why not
	stop       context.CancelFunc
	background sync.WaitGroup
}

var (
	_ data.Driver       = (*Driver)(nil)
	_ data.Execer       = (*Driver)(nil)
	_ data.Watcher      = (*Driver)(nil)
	_ data.StringGetter = (*Driver)(nil)
)

// Option changes what a Driver does.
type Option func(*options) error

type options struct {
	sole   bool
	update bool
	most   int64
	log    *slog.Logger
}

// DefaultMaxElements is how many elements a list, hash, set or sorted set has at most that is copied.
const DefaultMaxElements = 1000

// WithSoleWriter promises that nobody changes the last level but by this Driver. Then copies are read though the last level reports no
// changes. If somebody else writes all the same, old values are read until they expire or are written here.
//
// What a write has written that ended without a reply is not copied for a minute: it may happen late.
func WithSoleWriter() Option {
	return func(o *options) error { o.sole = true; return nil }
}

// WithUpdates copies the keys of a write to the levels before the last one as soon as the write is over. Without it, the next read does.
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

// WithLogger has it said in l, and not in slog.Default(), that a level fails, or works again.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { o.log = l; return nil }
}

// New returns a driver of two or more levels. It runs FLUSHDB on all but the last, so they must hold nothing else, and must not be shared
// with another process. It does so again whenever a change may have been missed. A Memory that has keys is refused. Close closes all levels.
func New(levels []data.Driver, opts ...Option) (*Driver, error) {
	d := &Driver{opts: options{most: DefaultMaxElements, log: slog.Default()}}
	for _, opt := range opts {
		if err := opt(&d.opts); err != nil {
			return nil, fmt.Errorf("tiered: %w", err)
		}
	}
	if len(levels) < 2 {
		return nil, fmt.Errorf("tiered: there are %d levels: want two or more", len(levels))
	}
	d.last = levels[len(levels)-1]
	source, tells := d.last.(data.Invalidator)
	if !tells && !d.opts.sole {
		return nil, fmt.Errorf("tiered: the last level, %T, does not tell of what others change: want a data.Invalidator, or WithSoleWriter", d.last)
	}
	for i, level := range levels[:len(levels)-1] {
		if m, ok := level.(*data.Memory); ok && m.Stats().Keys > 0 {
			return nil, fmt.Errorf("tiered: level %d is a Memory with keys, and would be emptied: want a new one, without a log", i)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	for i, level := range levels[:len(levels)-1] {
		f := newFront(i, level, d.opts.log)
		f.drop(ctx, nil, true)
		d.fronts = append(d.fronts, f)
		d.background.Go(func() { f.repair(ctx) })
	}
	if d.opts.sole {
		d.heard.Store(true)
		return d, nil
	}
	d.unheard = errors.New("tiered: no copies are used: the last level was not heard yet")
	d.background.Go(func() { d.listen(ctx, source) })
	return d, nil
}

// Err returns what is wrong with the levels, for a health check: that the last one does not tell of changes, so that no copies are
// read, and which of the others are not used because they fail. Commands do not fail because of that.
func (d *Driver) Err() error {
	var errs []error
	if !d.heard.Load() {
		d.mu.Lock()
		errs = append(errs, d.unheard)
		d.mu.Unlock()
	}
	for _, f := range d.fronts {
		errs = append(errs, f.err())
	}
	return errors.Join(errs...)
}

const (
	leastPause = 10 * time.Millisecond
	mostPause  = time.Second
)

// listen hears of changes, as long as ctx lasts.
func (d *Driver) listen(ctx context.Context, source data.Invalidator) {
	said := false // that it does not tell
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		err := source.Invalidations(ctx, func(keys []string) {
			if len(keys) > 0 {
				d.drop(ctx, keys, false)
				return
			}
			d.drop(ctx, nil, true)
			d.heard.Store(true)
			if wait = leastPause; said {
				said = false
				d.opts.log.Info("tiered: the last level tells of changes again, and copies are used")
			}
		})
		d.mu.Lock()
		d.unheard = fmt.Errorf("tiered: no copies are used: the last level does not tell of changes: %w", err)
		d.mu.Unlock()
		d.heard.Store(false)
		if ctx.Err() == nil && !said {
			said = true
			d.opts.log.Warn("tiered: no copies are used, because the last level does not tell of changes", "err", err)
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// Close implements data.Driver.
func (d *Driver) Close() error {
	d.stop()
	d.background.Wait()
	errs := []error{d.last.Close()}
	for _, f := range d.fronts {
		errs = append(errs, f.driver.Close())
	}
	return errors.Join(errs...)
}
