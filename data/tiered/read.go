package tiered

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/peercache/peercache/data"
)

// mostWaits is how often a Do waits until another one has copied what it reads.
const mostWaits = 3

var errReplies = errors.New("tiered: a level has not replied once to each command")

// Do implements data.Driver. Commands that read are answered by one level, all of them.
func (d *Driver) Do(ctx context.Context, cmds ...data.Cmd) ([]data.Reply, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	plans, read := plansOf(cmds)
	if !read {
		return d.write(ctx, cmds, plans)
	}
	keys, anywhere := keysRead(plans)
	for n := 0; ; n++ {
		var failed error
		if anywhere {
			replies, ok, err := d.readFronts(ctx, cmds, keys)
			if ok {
				return replies, nil
			}
			failed = err
		}
		fills, busy := d.begin(keys, n == mostWaits)
		if busy == nil {
			replies, err := d.readLast(ctx, cmds, fills)
			if err != nil {
				err = errors.Join(failed, err)
			}
			return replies, err
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readFronts runs commands that read at the first front that has copies of all their keys. It returns the errors of those that failed.
func (d *Driver) readFronts(ctx context.Context, cmds []data.Cmd, keys []string) (replies []data.Reply, ok bool, err error) {
	var failed []error
	for i, f := range d.fronts {
		if !d.usable(ctx, f) {
			continue
		}
		replies, ok, err := f.read(ctx, cmds, keys)
		if err != nil {
			failed = append(failed, fmt.Errorf("tiered: level %d: %w", i, err))
		}
		// What was heard of since may be a change of what was read; that is as if it had been read before.
		if ok {
			return replies, true, nil
		}
	}
	return nil, false, errors.Join(failed...)
}

// readLast runs commands that read at the last level, and ends fills of their keys.
func (d *Driver) readLast(ctx context.Context, cmds []data.Cmd, fills []*fill) ([]data.Reply, error) {
	sent := make([]data.Cmd, 0, 2*len(cmds))
	for _, cmd := range cmds {
		if isGet(cmd) {
			sent = append(sent, data.Command("pttl", cmd.Args...)) // first, see data.Origin
		}
		sent = append(sent, cmd)
	}
	asked := time.Now()
	got, err := d.last.Do(ctx, sent...)
	if err == nil && len(got) != len(sent) {
		err = errReplies
	}
	if err != nil {
		d.guard.end(fills)
		return nil, err
	}
	replies := make([]data.Reply, len(cmds))
	known := make(map[string]copied)
	for i, cmd := range cmds {
		if !isGet(cmd) {
			replies[i], got = got[0], got[1:]
			continue
		}
		left, r := got[0], got[1]
		replies[i], got = r, got[2:]
		if key := cmd.Args[0]; r.Kind == data.StringReply {
			known[key] = copied{data.Command("set", key, r.Str), leftOf(left), asked}
		}
	}
	if d.guard.anyVoid(fills) {
		// Others have begun to copy these keys since, or there are copies, and they may be older than what was read.
		d.guard.end(fills)
		for _, f := range fills {
			_ = d.drop(ctx, []string{f.key}, false)
		}
		fills = nil
	}
	d.fill(ctx, fills, known)
	return replies, nil
}

// GetString implements data.StringGetter.
func (d *Driver) GetString(ctx context.Context, key string) (string, bool, error) {
	if f := d.fronts[0]; f.getter != nil && d.usable(ctx, f) {
		if s, ok, err := f.getter.GetString(ctx, key); ok && err == nil {
			return s, true, nil
		}
	}
	replies, err := d.Do(ctx, data.Command("get", key))
	if err != nil {
		return "", false, err
	}
	s, err := replies[0].Text()
	if errors.Is(err, data.ErrNil) {
		return "", false, nil
	}
	return s, err == nil, err
}
