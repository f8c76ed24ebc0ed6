package tiered

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/data"
)

// front is a level before the last one.
type front struct {
	level  int
	driver data.Driver
	getter data.StringGetter // nil if it is none
	log    *slog.Logger

	// stale says that copies may be old that could not be dropped, or that the level has not answered. Then nothing is read, and nothing
	// put there, until repair has dropped them.
	stale     atomic.Bool
	broken    chan struct{} // has one when stale was set
	mu        sync.Mutex
	staleKeys map[string]struct{} // guarded by mu; the keys of such copies
	staleAll  bool                // guarded by mu; any may be one
	why       error               // guarded by mu; why it is stale
}

const (
	mostStale   = 10_000                 // keys; beyond them all are dropped
	readTime    = 250 * time.Millisecond // that a front may take to answer
	dropTime    = 500 * time.Millisecond // that a front may take to drop copies, and to take one
	repairPause = 100 * time.Millisecond // before a front that has failed is asked again
)

func newFront(level int, driver data.Driver, log *slog.Logger) *front {
	f := &front{level: level, driver: driver, log: log, broken: make(chan struct{}, 1)}
	f.getter, _ = driver.(data.StringGetter)
	return f
}

// usable reports whether a front may be read, and filled.
func (d *Driver) usable(f *front) bool { return d.heard.Load() && !f.stale.Load() }

// within bounds what the level may take by a duration, and by half of what ctx leaves, of which the next level needs some too. A Memory
// needs no bound: to make one would take longer than its answer.
func (f *front) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := f.driver.(*data.Memory); ok {
		return ctx, func() {}
	}
	if end, ok := ctx.Deadline(); ok {
		d = min(d, time.Until(end)/2)
	}
	return context.WithTimeout(ctx, d)
}

// refused reports whether an error is the answer of a level that works.
func refused(err error) bool {
	_, ok := errors.AsType[data.CommandError](err)
	return ok || errors.Is(err, data.ErrConflict)
}

// readFailed notes that keys could not be read, where the caller had ctx. A level that has not answered is not asked again until it does.
func (f *front) readFailed(ctx context.Context, keys []string, err error) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < time.Millisecond || ctx.Err() != nil || refused(err) {
		return // there was no time to answer, or it has answered
	}
	f.markStale(keys, false, err)
}

// getString returns the copy of a string, if there is one.
func (f *front) getString(ctx context.Context, key string) (string, bool) {
	within, cancel := f.within(ctx, readTime)
	defer cancel()
	s, ok, err := f.getter.GetString(within, key)
	if err != nil {
		f.readFailed(ctx, []string{key}, err)
		return "", false
	}
	return s, ok
}

// read runs commands that read, if there are copies of all their keys.
func (f *front) read(ctx context.Context, cmds []data.Cmd, keys []string) (replies []data.Reply, ok bool) {
	within, cancel := f.within(ctx, readTime)
	defer cancel()
	var err error
	if onlyGets(cmds) {
		replies, err = f.driver.Do(within, cmds...)
		ok = len(replies) == len(cmds) && !slices.ContainsFunc(replies, func(r data.Reply) bool { return r.Kind == data.NullReply })
	} else {
		replies, err = atOnce(within, f.driver, append([]data.Cmd{data.Command("exists", keys...)}, cmds...))
		if ok = len(replies) == 1+len(cmds) && replies[0].Int == int64(len(keys)); ok {
			replies = replies[1:]
		}
	}
	if err != nil {
		f.readFailed(ctx, keys, err)
		return nil, false
	}
	// An error may be the level's own.
	if !ok || slices.ContainsFunc(replies, func(r data.Reply) bool { return r.Kind == data.ErrorReply }) {
		return nil, false
	}
	return replies, true
}

// atOnce runs commands as one.
func atOnce(ctx context.Context, driver data.Driver, cmds []data.Cmd) (replies []data.Reply, err error) {
	if e, ok := driver.(data.Execer); ok {
		return e.Exec(ctx, cmds...)
	}
	err = driver.Tx(ctx, func(tx data.Transaction) error {
		replies = replies[:0]
		for _, cmd := range cmds {
			r, err := tx.Do(cmd)
			if err != nil {
				return err
			}
			replies = append(replies, r)
		}
		return nil
	})
	return replies, err
}

// run runs a command, and returns what is wrong, be it an error of the command. It does so though ctx has ended.
func (f *front) run(ctx context.Context, cmd data.Cmd) error {
	ctx, cancel := f.within(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	replies, err := f.driver.Do(ctx, cmd)
	if err != nil {
		return err
	}
	if len(replies) != 1 {
		return errReplies
	}
	return replies[0].Err()
}

// dropNow drops the copies of keys, or of all.
func (f *front) dropNow(ctx context.Context, keys []string, all bool) error {
	switch {
	case all:
		return f.run(ctx, data.Command("flushdb"))
	case len(keys) > 0:
		return f.run(ctx, data.Command("del", keys...))
	}
	return nil
}

// drop drops the copies of keys, or of all. If it cannot, nothing is read until they are dropped. The caller has locked their stripes.
func (f *front) drop(ctx context.Context, keys []string, all bool) {
	if f.noteIfStale(keys, all) {
		return
	}
	if err := f.dropNow(ctx, keys, all); err != nil {
		f.markStale(keys, all, err)
	}
}

// markStale notes that copies may be old, and why.
func (f *front) markStale(keys []string, all bool, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(keys, all)
	f.why = why
	if f.stale.Swap(true) {
		return
	}
	f.log.Warn("tiered: a level has failed, and is not used until it answers", "level", f.level, "err", why)
	f.broken <- struct{}{}
}

// noteIfStale reports whether the level is stale. If so, the copies are dropped before it is used again.
func (f *front) noteIfStale(keys []string, all bool) bool {
	if !f.stale.Load() {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.stale.Load() {
		return false
	}
	f.note(keys, all)
	return true
}

// note adds to the copies that may be old. The caller holds f.mu.
func (f *front) note(keys []string, all bool) {
	if f.staleKeys == nil {
		f.staleKeys = make(map[string]struct{})
	}
	for _, key := range keys {
		f.staleKeys[key] = struct{}{}
	}
	if f.staleAll = f.staleAll || all || len(f.staleKeys) > mostStale; f.staleAll {
		clear(f.staleKeys)
	}
}

// take returns what note has noted, which is then not noted any more. The caller holds f.mu.
func (f *front) take() (keys []string, all bool) {
	for key := range f.staleKeys {
		keys = append(keys, key)
	}
	all = f.staleAll
	f.staleKeys, f.staleAll = nil, false
	return keys, all
}

// repair drops copies that could not be dropped, as long as ctx lasts.
func (f *front) repair(ctx context.Context) {
	for {
		select {
		case <-f.broken:
		case <-ctx.Done():
			return
		}
		for pause(ctx, repairPause) && f.dropStale(ctx) != nil {
		}
	}
}

// dropStale drops the copies that may be old. If it returns no error, the level can be used again.
func (f *front) dropStale(ctx context.Context) error {
	f.mu.Lock()
	keys, all := f.take()
	f.mu.Unlock()
	err := f.dropNow(ctx, keys, all)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil { // What was noted meanwhile is dropped with the lock held: else there may always be more.
		keys, all = f.take()
		err = f.dropNow(ctx, keys, all)
	}
	if err != nil {
		f.note(keys, all)
		f.why = err
		return err
	}
	f.why = nil
	f.stale.Store(false)
	f.log.Info("tiered: a level is used again", "level", f.level)
	return nil
}

// err returns why the level is not used.
func (f *front) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why == nil {
		return nil
	}
	return fmt.Errorf("tiered: level %d is not used: %w", f.level, f.why)
}

// pause waits, and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}
