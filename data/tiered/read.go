package tiered

import (
	"context"
	"errors"
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
	waits := anywhere && (len(keys) <= mostFilled || onlyGets(cmds)) // else there are no copies to wait for
	for n := 0; ; n++ {
		if anywhere {
			if replies, ok := d.readFronts(ctx, cmds, keys); ok {
				return replies, nil
			}
		}
		fills, busy := d.guard.begin(keys, waits && n < mostWaits && d.heard.Load())
		if busy == nil {
			return d.readLast(ctx, cmds, fills)
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readFronts runs commands that read at the first front that has copies of all their keys.
func (d *Driver) readFronts(ctx context.Context, cmds []data.Cmd, keys []string) ([]data.Reply, bool) {
	for i, f := range d.fronts {
		if !d.usable(f) {
			continue
		}
		replies, ok := f.read(ctx, cmds, keys)
		if !ok {
			continue
		}
		if i > 0 {
			d.lift(ctx, f, keys)
		}
		// What was heard of since may be a change of what was read; that is as if it had been read before.
		return replies, true
	}
	return nil, false
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
		switch key := cmd.Args[0]; r.Kind {
		case data.StringReply:
			known[key] = copied{data.Command("set", key, r.Str), leftOf(left), asked}
		case data.NullReply:
			known[key] = copied{} // there is none
		}
	}
	d.fill(ctx, fills, known)
	return replies, nil
}

// GetString implements data.StringGetter.
func (d *Driver) GetString(ctx context.Context, key string) (string, bool, error) {
	if f := d.fronts[0]; f.getter != nil && d.usable(f) {
		if s, ok := f.getString(ctx, key); ok {
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
