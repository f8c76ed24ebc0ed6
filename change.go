package peercache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/durations"
	"github.com/peercache/peercache/internal/failpoint"
)

// Remove drops the values of keys everywhere, or of none of them if one cannot be a key
// (ErrKeySize). Call it after the origin has changed.
//
// When it returns nil, every Get that starts afterwards, on any peer of the view, sees a
// load that began after Remove was called (P8). Loads that are in progress still answer
// those who wait for them, but are not kept, and nobody joins them any more.
//
// If a peer that holds a copy cannot be reached, Remove waits until the copy is not valid
// any more, as long as ctx lasts. The value of an owner does not end that way: Remove fails
// at once if nothing listens there, and goes on trying an owner that hangs. If a peer has
// another list of peers, Remove waits for the time of a lease (WithLease) until they agree.
// If that fails, the error is an *InvalidationError, which names the peers that may still
// serve an old value, and until when. All others have dropped theirs. If the group has
// WithConsistency, a process that may have been replaced returns ErrLapsed. If the pool is
// shut down, any error is ErrClosed as well.
//
// Remove ends at the latest when ctx does. If ctx has no deadline, it tries an owner that
// hangs for the time of a lease, and ends at the latest five seconds after a minute, or
// after the time of WithStandIn if that is longer. Machines that left the list and hang
// cost it the detection time (WithDetectionTime), once.
func (g *Group) Remove(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := g.checkKey(key); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return g.changes.removes.of(func() error { return g.change(ctx, Change{Group: g.name, Keys: keys}) })
}

// Set gives key a value at its owner and drops all others, with the promise and the
// errors of Remove: when it returns nil, every Get that starts afterwards sees this
// value, or a load that began after Set was called. The value is copied. A value that is
// larger than the group allows is refused (ErrValueSize); one that is too large to be
// kept (NewGroup) is loaded when it is asked for.
//
// Of two calls for one key at the same time the one that comes to the owner last wins,
// which need not be the one whose write to the origin came last. Where keys are written
// concurrently, Remove is the safe one.
func (g *Group) Set(ctx context.Context, key string, item Item) error {
	if err := g.checkKey(key); err != nil {
		return err
	}
	if len(item.Value) > g.maxValue {
		return g.keyError(key, fmt.Errorf("%w: %d bytes, want at most %d", ErrValueSize, len(item.Value), g.maxValue))
	}
	return g.changes.sets.of(func() error { return g.change(ctx, Change{Group: g.name, Keys: []string{key}, Item: &item}) })
}

// Clear drops all values of the group everywhere, with the promise and the errors of
// Remove. It costs two messages a peer, and a time there that does not depend on how
// many values there are.
func (g *Group) Clear(ctx context.Context) error {
	return g.changes.clears.of(func() error {
		if g.home != nil {
			auditClear(g.home, g.home.Self(), g.name)
		}
		return g.change(ctx, Change{Group: g.name, All: true})
	})
}

// changeCounts are the counts of the changes that were called here.
type changeCounts struct{ removes, sets, clears changeCount }

// changeCount counts calls of one kind.
type changeCount struct {
	done, incomplete atomic.Int64
	times            durations.Recorder
}

// of counts a call of change.
func (c *changeCount) of(change func() error) error {
	start := clock.Now()
	err := change()
	c.times.Observe(time.Duration(clock.Now() - start))
	if err == nil {
		c.done.Add(1)
	} else {
		c.incomplete.Add(1)
	}
	return err
}

// change drops the values that a change ends, here and at the peers.
func (g *Group) change(ctx context.Context, c Change) (err error) {
	ctx, span := g.tracing.startChange(ctx, SpanChange, &c, "")
	returned := false
	defer func() { span.over(returned, err) }()
	err = g.changeAll(ctx, c)
	returned = true
	return err
}

func (g *Group) changeAll(ctx context.Context, c Change) error {
	if g.planted == failpoint.LevelLast {
		err := g.changePeers(ctx, c)
		return errors.Join(g.changeLevel(ctx, &c), err)
	}
	failed := g.changeLevel(ctx, &c)
	return errors.Join(failed, g.changePeers(ctx, c))
}

// changePeers does what changeAll does, but for the second level.
func (g *Group) changePeers(ctx context.Context, c Change) error {
	if g.alone() {
		g.apply(&c, never)
		return g.outdateSnapshot()
	}
	err := g.changeEverywhere(ctx, c)
	if err != nil {
		g.tellIncomplete(c.Keys, err)
	}
	return err
}

// changeLevel removes the values that a change ends from the second level. It comes first:
//
//	a load finds the old value in the level
//	Remove tells the peers, who drop what they have, and the load
//	another load finds the old value in the level, and keeps it
//	Remove removes it from the level: too late
//
// A load that began before, and has not ended, has no permit any more to keep its value in the level.
func (g *Group) changeLevel(ctx context.Context, c *Change) error {
	if g.level == nil {
		return nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, longestRound)
		defer cancel()
	}
	var err error
	if c.All {
		err = g.level.Clear(ctx)
	} else {
		err = g.level.Remove(ctx, c.Keys...)
	}
	if err != nil {
		return fmt.Errorf("peercache: group %q: the second level may still have old values: %w", g.name, err)
	}
	return nil
}

// changeEverywhere drops the values that a change ends, here and at the peers. The group has peers.
func (g *Group) changeEverywhere(ctx context.Context, c Change) error {
	err := g.invalidate(ctx, c)
	if g.home != nil {
		if err != nil && g.home.Closed() { // the peers may well have gone since
			err = fmt.Errorf("peercache: group %q: %w, and hears of no changes of the list of peers any more: %w", g.name, ErrClosed, err)
		}
		err = errors.Join(err, g.home.OutdateSnapshots(), g.misplacedError(ctx))
	}
	if g.lapsed() {
		return g.lapsedError(err)
	}
	// If it had lapsed at the beginning, there was a new epoch since, in which all peers
	// were told again.
	return err
}

// misplacedError returns an error for a change by a process that has the name of another one:
// who has its values is not known. It waits for the first look.
func (g *Group) misplacedError(ctx context.Context) error {
	if err := g.home.MisplacedError(ctx); err != nil {
		return &InvalidationError{Group: g.name, Pending: []Pending{{Peer: g.home.Self(), Err: err}}}
	}
	return nil
}

// lapsedError is what a change returns that was made known while the group was lapsed.
// err, which may be nil, is what went wrong besides.
func (g *Group) lapsedError(err error) error {
	if err != nil {
		return fmt.Errorf("%w; besides, %w", err, ErrLapsed)
	}
	return fmt.Errorf("peercache: group %q: peers that are not known here may still serve the old values: %w", g.name, ErrLapsed)
}
