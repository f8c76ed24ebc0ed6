package peercache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// A Getter loads the value of a key that is cached nowhere.
//
// Get is called from many goroutines, but in the whole cluster for one key at a
// time (P1), unless a Remove or the load timeout came between. Its ctx ends after the
// group's load timeout; Get must return soon after that. The value is copied: it stays
// the getter's.
//
// The ctx carries the values of the context of the first Get that asked for the key, if
// that was in the same process. If another process owns the key, the getter runs there and
// sees none of them: WithContextCodec says what travels. A getter without it must not need
// such values. It never sees the contexts of those who ask later.
//
// Get may Get other keys, of any group, but not its own. It must pass its ctx on to them,
// so that no load waits for another one that waits for it (WithMaxLoads).
//
// An error goes to everybody who waits for the key, on every peer, and is not cached, but
// for ErrNotFound if WithNegativeTTL says so. A Getter returns ErrNotFound, or an error
// that wraps it, if the origin has no such key. A panic is turned into an error.
type Getter interface {
	Get(ctx context.Context, key string) (Item, error)
}

// Item is a loaded value: its bytes, Value, and how long they may be served, TTL.
type Item = peer.Item

// GetterFunc makes a Getter of a function that returns bytes. Its values have
// no TTL of their own.
type GetterFunc func(ctx context.Context, key string) ([]byte, error)

// Get calls f.
func (f GetterFunc) Get(ctx context.Context, key string) (Item, error) {
	b, err := f(ctx, key)
	return Item{Value: b}, err
}

// ItemFunc makes a Getter of a function that returns an Item, and so can say
// how long each value lives.
type ItemFunc func(ctx context.Context, key string) (Item, error)

// Get calls f.
func (f ItemFunc) Get(ctx context.Context, key string) (Item, error) { return f(ctx, key) }

// A BatchGetter is a Getter that can load many keys at once. A group whose getter
// is one calls GetBatch for keys that one GetMulti asked for and that are cached
// nowhere, up to 1,000 in a call, and Get for single keys.
//
// GetBatch returns one Item for each key, in the same order. If it returns an
// error, all the keys have failed with it, unless the error is, or wraps, a
// BatchError: then each key has its own, and the Items of the others count. To
// return another number of Items is an error for all the keys. Everything else is
// as with Get.
type BatchGetter interface {
	Getter
	GetBatch(ctx context.Context, keys []string) ([]Item, error)
}

// BatchError is how GetBatch says which keys have failed: it has one error for
// each key, in the same order, and nil for those that were loaded.
type BatchError []error

func (e BatchError) Error() string {
	failed := 0
	var first error
	for _, err := range e {
		if err != nil {
			if failed == 0 {
				first = err
			}
			failed++
		}
	}
	return fmt.Sprintf("%d of %d keys failed, the first: %v", failed, len(e), first)
}

// isNil reports whether g cannot be called.
func isNil(g Getter) bool {
	switch f := g.(type) {
	case nil:
		return true
	case GetterFunc:
		return f == nil
	case ItemFunc:
		return f == nil
	}
	return false
}

// mostAtOnce is how many keys of one GetMulti are loaded here, or asked of one
// peer that takes them one by one, at the same time.
const mostAtOnce = 32

// A SecondLevel keeps values of a group outside of its processes, which share it: see WithSecondLevel. In module data, SecondLevel makes
// one of a driver. Its methods are called concurrently.
//
// A permit is what keeps the promise of Remove (P8) beside a load that is under way: Get gives it out before the load begins, Remove
// takes all permits of its keys back, and Set does nothing without a good one. So an old value cannot come back, however slow the process is that has it.
type SecondLevel interface {
	// Get returns a Leveled for each key, in their order.
	Get(ctx context.Context, keys []string) ([]Leveled, error)
	// Set keeps the item of a key for its TTL, without end if that is zero, if the permit is good. It does not keep
	// item.Value itself. It is no error if the permit is not good any more.
	Set(ctx context.Context, key string, item Item, permit string) error
	// Remove removes the values of keys, and takes back the permits that Get gave out for them before.
	Remove(ctx context.Context, keys ...string) error
	// Clear is Remove of all keys of the group.
	Clear(ctx context.Context) error
}

// Leveled is what a SecondLevel has of a key.
type Leveled struct {
	Item   Item // its TTL is what is left of it; zero is without end
	Found  bool
	Permit string // to Set another value, also where there is one; "" is none
}

// WithSecondLevel has a load ask a level for the value before it calls the getter, and keep there what the getter returned. All processes of
// the group must have the option, and share the level. A load that finds its value there counts as a load in Stats.
//
// Remove, Set and Clear remove the values from the level before they tell the peers, with the promise of Remove: if the
// level fails, they return an error that says so, besides what else went wrong. A load goes on to the getter where the level fails,
// and logs that (WithLogger). A load waits for the level for a quarter of its own time, and for a second at most, each time: a value
// with a shorter TTL is not kept there.
//
// A value that the getter gives no TTL lives there for WithTTL's. One that would expire within WithRefreshAhead's time is loaded
// again. ErrNotFound is not kept there.
func WithSecondLevel(level SecondLevel) GroupOption {
	return func(g *Group) error {
		if level == nil {
			return errors.New("WithSecondLevel(nil): want a level, or leave the option out")
		}
		g.level = level
		return nil
	}
}

// leveled is a Getter that asks a SecondLevel first.
type leveled struct {
	Getter
	level      SecondLevel
	ttl, ahead time.Duration // of the group
	patience   time.Duration
	warn       func(level slog.Level, what string, attrs ...slog.Attr)
}

// leveledBatch is a leveled for a BatchGetter.
type leveledBatch struct {
	leveled
	batch BatchGetter
}

// before returns getter with a level before it, as l describes that.
func (l leveled) before(getter Getter) Getter {
	l.Getter = getter
	if batch, ok := getter.(BatchGetter); ok {
		return &leveledBatch{l, batch}
	}
	return &l
}

// mostLevel bounds the time for which a load waits for the second level, each time.
const mostLevel = time.Second

// Get implements Getter.
func (l *leveled) Get(ctx context.Context, key string) (Item, error) {
	at := l.ask(ctx, []string{key})[0]
	if l.lasts(at) {
		return at.Item, nil
	}
	asked := clock.Now()
	item, err := l.Getter.Get(ctx, key)
	return l.conclude(ctx, key, at, asked, item, err)
}

// ask returns what the level has of keys: nothing where it fails.
func (l *leveled) ask(ctx context.Context, keys []string) []Leveled {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	start := clock.Now()
	all, err := l.level.Get(ctx, keys)
	if took := time.Duration(clock.Now() - start); err == nil {
		for i := range all { // what was left when it was asked
			all[i].Item.TTL = after(all[i].Item.TTL, took)
		}
	}
	if err == nil && len(all) != len(keys) {
		err = fmt.Errorf("it returned %d answers for %d keys", len(all), len(keys))
	}
	if err != nil {
		l.warn(slog.LevelWarn, "the second level could not be asked", problem(err))
		return make([]Leveled, len(keys))
	}
	return all
}

// after returns what is left of a TTL in the sense of Item.TTL.
func after(ttl, passed time.Duration) time.Duration {
	if ttl <= 0 {
		return ttl
	}
	return cmp.Or(max(ttl-passed, -1), -1)
}

// lasts reports whether a value of the level need not be loaded again.
func (l *leveled) lasts(at Leveled) bool {
	return at.Found && (at.Item.TTL == 0 || at.Item.TTL > l.ahead)
}

// conclude keeps what the getter has returned, and returns it with what is left of its TTL then. In place of an error it returns what the level had when it was
// asked, if that was something.
func (l *leveled) conclude(ctx context.Context, key string, at Leveled, asked clock.Instant, item Item, err error) (Item, error) {
	start := clock.Now()
	if err != nil {
		left := after(at.Item.TTL, time.Duration(start-asked))
		if at.Found && left >= 0 && !errors.Is(err, ErrNotFound) {
			at.Item.TTL = left
			return at.Item, nil
		}
		return item, err
	}
	if item.TTL == 0 {
		item.TTL = l.ttl
	}
	if at.Permit == "" || item.TTL != 0 && item.TTL <= l.patience {
		return item, nil // it could end while the level keeps it, and callers come meanwhile
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if err := l.level.Set(ctx, key, item, at.Permit); err != nil {
		l.warn(slog.LevelWarn, "the second level could not keep a value", problem(err))
	}
	item.TTL = after(item.TTL, time.Duration(clock.Now()-start))
	return item, nil
}

// GetBatch implements BatchGetter.
func (l *leveledBatch) GetBatch(ctx context.Context, keys []string) ([]Item, error) {
	items, errs := make([]Item, len(keys)), make(BatchError, len(keys))
	at := l.ask(ctx, keys)
	var rest []string
	var places []int
	for i, key := range keys {
		if l.lasts(at[i]) {
			items[i] = at[i].Item
		} else {
			rest, places = append(rest, key), append(places, i)
		}
	}
	if len(rest) == 0 {
		return items, nil
	}
	asked := clock.Now()
	loaded, err := l.batch.GetBatch(ctx, rest)
	partial, ok := errors.AsType[BatchError](err)
	switch {
	case ok && len(partial) != len(rest), err == nil && len(loaded) != len(rest):
		return loaded, fmt.Errorf("the getter returned %d items for %d keys, want one each: %w", len(loaded), len(rest), errors.Join(err))
	case err != nil && !ok:
		loaded, partial = make([]Item, len(rest)), slices.Repeat(BatchError{err}, len(rest))
	case err == nil:
		partial = make(BatchError, len(rest))
	}
	var all errgroup.Group
	all.SetLimit(mostAtOnce)
	for j, i := range places {
		all.Go(func() error {
			items[i], errs[i] = l.conclude(ctx, keys[i], at[i], asked, loaded[j], partial[j])
			return nil
		})
	}
	all.Wait()
	if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return items, nil
	}
	return items, errs
}
