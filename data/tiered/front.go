package tiered

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/data"
)

// front is a level before the last one.
type front struct {
	driver data.Driver
	getter data.StringGetter // nil if it is none

	// unclean says that copies may be old that could not be dropped. Then nothing is read until they are.
	unclean atomic.Bool
	mu      sync.Mutex
	dirty   map[string]struct{} // guarded by mu; the keys of such copies
	all     bool                // guarded by mu; any may be one
	tried   time.Time           // guarded by mu; when it was cleaned last, in vain
	cleans  sync.Mutex          // held by who cleans
}

const (
	mostDirty  = 10_000                 // keys; beyond them all are dropped
	cleanAgain = 100 * time.Millisecond // that it failed, it is tried again
)

// soil notes copies that may be old.
func (f *front) soil(keys []string, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unclean.Store(true)
	if f.dirty == nil {
		f.dirty = make(map[string]struct{})
	}
	for _, key := range keys {
		f.dirty[key] = struct{}{}
	}
	if f.all = f.all || all || len(f.dirty) > mostDirty; f.all {
		clear(f.dirty)
	}
}

// clean drops the copies that may be old. It reports whether there are none any more.
func (f *front) clean(ctx context.Context) bool {
	if !f.cleans.TryLock() {
		return false
	}
	defer f.cleans.Unlock()
	f.mu.Lock()
	if time.Since(f.tried) < cleanAgain {
		f.mu.Unlock()
		return false
	}
	var cmd data.Cmd
	if f.all {
		cmd = data.Command("flushdb")
	} else {
		cmd = data.Command("del")
		for key := range f.dirty {
			cmd.Args = append(cmd.Args, key)
		}
	}
	dirty, all := f.dirty, f.all
	f.dirty, f.all = nil, false
	f.mu.Unlock()
	err := f.run(ctx, cmd)
	if err != nil {
		keys := make([]string, 0, len(dirty))
		for key := range dirty {
			keys = append(keys, key)
		}
		f.soil(keys, all)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.tried = time.Now()
		return false
	}
	if f.all || len(f.dirty) > 0 { // meanwhile
		return false
	}
	f.unclean.Store(false)
	return true
}

// run runs a command, and returns what is wrong, be it an error of the command.
func (f *front) run(ctx context.Context, cmd data.Cmd) error {
	if cmd.Name == "del" && len(cmd.Args) == 0 {
		return nil
	}
	replies, err := f.driver.Do(ctx, cmd)
	if err != nil {
		return err
	}
	if len(replies) != 1 {
		return errReplies
	}
	return replies[0].Err()
}

// usable reports whether a front may be read, and filled.
func (d *Driver) usable(ctx context.Context, f *front) bool {
	if !d.heard.Load() {
		return false
	}
	return !f.unclean.Load() || f.clean(ctx)
}

// drop drops the copies of keys, or of all. It returns which fronts may still have them; these are not read until they have not.
func (d *Driver) drop(ctx context.Context, keys []string, all bool) error {
	return d.guard.locked(keys, all, func() error { return d.dropLocked(ctx, keys, all) })
}

// dropLocked is drop. The caller has locked the stripes of the keys.
func (d *Driver) dropLocked(ctx context.Context, keys []string, all bool) error {
	cmd := data.Command("del", keys...)
	if all {
		cmd = data.Command("flushdb")
	}
	var failed []error
	for i, f := range d.fronts {
		if err := f.run(ctx, cmd); err != nil {
			f.soil(keys, all)
			failed = append(failed, fmt.Errorf("tiered: level %d may have old copies, and is not read until they are dropped: %w", i, err))
		}
	}
	return errors.Join(failed...)
}

// read runs commands that read, if there are copies of all their keys.
func (f *front) read(ctx context.Context, cmds []data.Cmd, keys []string) (replies []data.Reply, ok bool, err error) {
	if onlyGets(cmds) {
		replies, err = f.driver.Do(ctx, cmds...)
		ok = len(replies) == len(cmds) && !slices.ContainsFunc(replies, func(r data.Reply) bool { return r.Kind == data.NullReply })
	} else {
		replies, err = atOnce(ctx, f.driver, append([]data.Cmd{data.Command("exists", keys...)}, cmds...))
		if ok = len(replies) == 1+len(cmds) && replies[0].Int == int64(len(keys)); ok {
			replies = replies[1:]
		}
	}
	// An error may be the level's own.
	if err != nil || !ok || slices.ContainsFunc(replies, func(r data.Reply) bool { return r.Kind == data.ErrorReply }) {
		return nil, false, err
	}
	return replies, true, nil
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

// begin begins to fill the fronts with keys.
func (d *Driver) begin(keys []string, force bool) ([]*fill, <-chan struct{}) {
	if !d.heard.Load() {
		return nil, nil
	}
	return d.guard.begin(keys, force)
}

// mostFilled is how many keys are copied because of one Do. Of strings that were read by GET there may be more, because they are here.
const mostFilled = 64
