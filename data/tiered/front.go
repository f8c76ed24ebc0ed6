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
	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
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

// plan is what a command is to a Driver.
type plan struct {
	reads bool     // it changes nothing
	keys  []string // of it
	all   bool     // it is about all keys
}

var table = sync.OnceValue(func() engine.Table {
	t, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		panic(err)
	}
	return t
})

// planOf returns what a command is. What is not known may write all keys.
func planOf(cmd data.Cmd) (p plan) {
	c := table().Find(cmd.Name)
	if c == nil {
		return plan{all: true}
	}
	args := append([]string{cmd.Name}, cmd.Args...)
	if !c.Fits(len(args)) {
		return plan{reads: true}
	}
	p.reads = c.Flags&engine.Write == 0
	p.all = c.Flags&engine.All != 0
	c.KeysOf(args, func(key string) { p.keys = append(p.keys, key) })
	switch c.Name {
	case "object", "expiretime", "pexpiretime": // what a copy does not have, or not as exactly
		p.keys = nil
	case "hscan", "sscan", "zscan": // a cursor means nothing at another level than that which has replied it
		p.keys = nil
	}
	return p
}

// readFronts runs a command that reads at the first front that has copies of all its keys. It returns the errors of those that failed.
func (d *Driver) readFronts(ctx context.Context, cmd data.Cmd, keys []string) (r data.Reply, ok bool, err error) {
	if len(keys) == 0 {
		return r, false, nil
	}
	var failed []error
	for i, f := range d.fronts {
		if !d.usable(ctx, f) {
			continue
		}
		r, ok, err := f.read(ctx, cmd, keys)
		if err != nil {
			failed = append(failed, fmt.Errorf("tiered: level %d: %w", i, err))
		}
		// What was heard of since may be a change of what was read; that is as if it had been read before.
		if ok {
			return r, true, nil
		}
	}
	return r, false, errors.Join(failed...)
}

// read runs a command that reads, if there are copies of all its keys.
func (f *front) read(ctx context.Context, cmd data.Cmd, keys []string) (r data.Reply, ok bool, err error) {
	if isGet(cmd) {
		replies, err := f.driver.Do(ctx, cmd)
		if err != nil || len(replies) != 1 || replies[0].Kind == data.NullReply {
			return r, false, err
		}
		return replies[0], true, nil
	}
	exists := data.Command("exists", keys...)
	var replies []data.Reply
	if e, is := f.driver.(data.Execer); is {
		replies, err = e.Exec(ctx, exists, cmd)
	} else {
		err = f.driver.Tx(ctx, func(tx data.Transaction) error {
			replies = replies[:0]
			for _, cmd := range []data.Cmd{exists, cmd} {
				r, err := tx.Do(cmd)
				if err != nil {
					return err
				}
				replies = append(replies, r)
			}
			return nil
		})
	}
	if err != nil || len(replies) != 2 || replies[0].Int != int64(len(keys)) {
		return r, false, err
	}
	return replies[1], true, nil
}

// begin begins to fill the fronts with the keys of commands.
func (d *Driver) begin(plan []plan, asks []ask, force bool) ([]*fill, <-chan struct{}) {
	if !d.heard.Load() {
		return nil, nil
	}
	var keys []string
	for _, a := range asks {
		keys = append(keys, plan[a.place].keys...)
	}
	slices.Sort(keys)
	return d.guard.begin(slices.Compact(keys), force)
}

// mostFilled is how many keys are copied because of one Do. Of strings that were read by GET there may be more, because they are here.
const mostFilled = 64
