package tiered

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/peercache/peercache/data"
)

// mostFilled is how many keys are copied because of one Do. Of strings that were read by GET there may be more, because they are here.
const mostFilled = 64

// fill copies keys from the last level to the fronts, after the last level was read. known are those that are here already. A key that is
// not copied has no copies afterwards: they may be older than what was read.
func (d *Driver) fill(ctx context.Context, fills []*fill, known map[string]copied) {
	defer d.guard.end(fills)
	if !d.heard.Load() {
		return // no copy is read, and all are dropped before one is
	}
	var drop []string
	for _, f := range fills {
		good, bare := d.guard.state(f)
		if bare {
			continue
		}
		c, ok := known[f.key]
		if good && !ok && len(fills) <= mostFilled {
			var err error
			c, err = copyOf(ctx, d.last, f.key, d.opts.most)
			ok = err == nil
		}
		filled := good && ok && d.guard.with(f, func(s *stripe) {
			if !put(ctx, d.fronts, f.key, c) {
				s.markBarren(f.key)
			}
		})
		if !filled {
			drop = append(drop, f.key)
		}
	}
	if len(drop) > 0 {
		d.drop(ctx, drop, false)
	}
}

// lift copies keys from a front that has them to those before it.
func (d *Driver) lift(ctx context.Context, from *front, keys []string) {
	if len(keys) > mostFilled {
		return
	}
	fills, busy := d.guard.begin(keys, true)
	if busy != nil {
		return
	}
	defer d.guard.end(fills)
	// What was dropped before the fills have begun is not there any more, unless it could not be dropped.
	if !d.usable(from) {
		return
	}
	for _, f := range fills {
		within, cancel := from.within(ctx, readTime)
		c, err := copyOf(within, from.driver, f.key, d.opts.most)
		cancel()
		if err != nil {
			from.readFailed(ctx, []string{f.key}, err)
			return
		}
		if c.set.Name != "" {
			d.guard.with(f, func(*stripe) { put(ctx, d.fronts[:from.level], f.key, c) })
		}
	}
}

// put puts a copy into fronts, and reports whether one has taken it. Those that have not have none. The caller has the key's stripe locked.
//
// The last front is the first: who finds the new copy in one, and finds none there when he comes again, finds no older one in the next.
func put(ctx context.Context, fronts []*front, key string, c copied) (taken bool) {
	for _, f := range slices.Backward(fronts) {
		if f.put(ctx, key, c) {
			taken = true
		}
	}
	return taken
}

// copied is a key of a level, whole.
type copied struct {
	set   data.Cmd      // makes it, where there is none; without a name, it is not there, or cannot be copied
	left  time.Duration // less than zero: without end
	asked time.Time     // when so much was left, or before
}

// commands returns what puts a copy there. There is nothing to do if its time is up, or it cannot be copied.
func (c copied) commands(key string) []data.Cmd {
	if c.set.Name == "" {
		return nil
	}
	text, ends := "", c.left >= 0
	if ends {
		left := (c.left - time.Since(c.asked)).Milliseconds()
		if left <= 0 {
			return nil
		}
		text = strconv.FormatInt(left, 10)
	}
	if c.set.Name == "set" {
		set := c.set
		if ends {
			set.Args = append(slices.Clone(set.Args), "px", text)
		}
		return []data.Cmd{set}
	}
	cmds := []data.Cmd{data.Command("del", key), c.set}
	if ends {
		cmds = append(cmds, data.Command("pexpire", key, text))
	}
	return cmds
}

// put puts a copy there, all at once, and reports whether it is there. If it is not, there is none. The caller has the key's stripe locked.
func (f *front) put(ctx context.Context, key string, c copied) bool {
	cmds := c.commands(key)
	if len(cmds) == 0 || f.stale.Load() {
		f.drop(ctx, []string{key}, false)
		return false
	}
	err := f.apply(ctx, cmds)
	switch {
	case err == nil:
		return true
	case refused(err): // it may have no room
		f.drop(ctx, []string{key}, false)
	default:
		f.markStale([]string{key}, false, err)
	}
	return false
}

// apply runs commands, all or none. It does so though ctx has ended.
func (f *front) apply(ctx context.Context, cmds []data.Cmd) error {
	if len(cmds) == 1 { // it needs no transaction
		return f.run(ctx, cmds[0])
	}
	ctx, cancel := f.within(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	return f.driver.Tx(ctx, func(tx data.Transaction) error {
		for _, cmd := range cmds {
			r, err := tx.Do(cmd)
			if err == nil && r.Kind == data.ErrorReply {
				err = r.Err()
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// leftOf returns what is left, as PTTL replies it.
func leftOf(r data.Reply) time.Duration {
	switch {
	case r.Kind == data.IntReply && r.Int == -1:
		return -1
	case r.Kind != data.IntReply || r.Int < 0: // the key came later: nobody knows
		return 0
	}
	return time.Duration(r.Int) * time.Millisecond
}

// copyOf reads a whole key, unless it has more elements than most.
func copyOf(ctx context.Context, from data.Driver, key string, most int64) (c copied, err error) {
	err = from.Tx(ctx, func(tx data.Transaction) error {
		c = copied{asked: time.Now()}
		do := func(name string, args ...string) (data.Reply, error) {
			r, err := tx.Do(data.Command(name, append([]string{key}, args...)...))
			if err == nil {
				err = r.Err()
			}
			return r, err
		}
		kind, err := do("type")
		if err != nil {
			return err
		}
		left, err := do("pttl")
		if err != nil || left.Int == -2 {
			return err
		}
		c.left = leftOf(left)
		how, known := ways[kind.Str]
		if !known {
			return nil
		}
		if how.length != "" {
			if n, err := do(how.length); err != nil || n.Int > most {
				return err
			}
		}
		r, err := do(how.read, how.args...)
		if err != nil {
			return err
		}
		c.set, err = how.set(key, r)
		return err
	})
	return c, err
}

// way is how a type is copied.
type way struct {
	length, read string
	args         []string
	set          func(key string, r data.Reply) (data.Cmd, error)
}

var ways = map[string]way{
	"string": {read: "get", set: func(key string, r data.Reply) (data.Cmd, error) {
		text, err := r.Text()
		return data.Command("set", key, text), err
	}},
	"list": {length: "llen", read: "lrange", args: []string{"0", "-1"}, set: elements("rpush", false)},
	"hash": {length: "hlen", read: "hgetall", set: elements("hset", false)},
	"set":  {length: "scard", read: "smembers", set: elements("sadd", false)},
	"zset": {length: "zcard", read: "zrange", args: []string{"0", "-1", "withscores"}, set: elements("zadd", true)},
}

// elements makes a command of a list, each of whose pairs swapped is the other way round.
func elements(name string, swapped bool) func(key string, r data.Reply) (data.Cmd, error) {
	return func(key string, r data.Reply) (cmd data.Cmd, err error) {
		args, err := texts(nil, r)
		if swapped {
			for i := 0; i+1 < len(args); i += 2 {
				args[i], args[i+1] = args[i+1], args[i]
			}
		}
		if len(args) == 0 {
			return cmd, errors.Join(err, errors.New("it is empty"))
		}
		return data.Command(name, append([]string{key}, args...)...), err
	}
}

// texts appends the strings of a reply, and of those in it.
func texts(to []string, r data.Reply) ([]string, error) {
	if r.List == nil {
		text, err := r.Text()
		return append(to, text), err
	}
	for _, r := range r.List {
		var err error
		if to, err = texts(to, r); err != nil {
			return to, err
		}
	}
	return to, nil
}
