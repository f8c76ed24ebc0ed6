package tiered

import (
	"context"
	"maps"
	"slices"
	"time"
)

// write is a command or a transaction that writes to the last level. There are no copies of what it writes from before it does until it is over.
type write struct {
	d      *Driver
	keys   map[string]bool
	alls   int // how often it was told of all keys
	failed error
}

// dropTime bounds how long a write waits for the levels before the last one.
const dropTime = 2 * time.Second

func (d *Driver) newWrite() *write { return &write{d: d, keys: make(map[string]bool)} }

// writing begins a write of commands.
func (d *Driver) writing(ctx context.Context, plan []plan) *write {
	w := d.newWrite()
	var keys []string
	all := false
	for _, p := range plan {
		if !p.reads {
			keys, all = append(keys, p.keys...), all || p.all
		}
	}
	w.add(ctx, keys, all)
	return w
}

// add drops the copies of keys, or of all, that are written next.
func (w *write) add(ctx context.Context, keys []string, all bool) {
	keys = slices.DeleteFunc(keys, func(key string) bool {
		known := w.keys[key]
		w.keys[key] = true
		return known
	})
	if len(keys) == 0 && !all {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	err := w.d.guard.locked(keys, all, func() error {
		w.d.guard.writing(keys)
		if all {
			w.d.guard.writingAll(1)
			w.alls++
		}
		if w.failed == nil {
			return w.d.dropLocked(ctx, keys, all)
		}
		for _, f := range w.d.fronts { // one does not answer: that is waited for once
			f.soil(keys, all)
		}
		return nil
	})
	if err != nil {
		w.failed = err
	}
}

// over ends the write. It returns which fronts may have old copies.
func (w *write) over(ctx context.Context) error {
	keys := slices.Collect(maps.Keys(w.keys))
	w.d.guard.written(keys)
	if w.alls > 0 {
		_ = w.d.guard.lockedAll(func() error { w.d.guard.writingAll(-w.alls); return nil })
	}
	if w.d.opts.update && len(keys) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
		defer cancel()
		fills, _ := w.d.guard.begin(keys, false)
		w.d.fill(ctx, fills, nil)
	}
	return w.failed
}
