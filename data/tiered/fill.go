package tiered

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/peercache/peercache/data"
)

// guard keeps old copies out of the fronts. A fill begins before the last level is read, and is void if its key is dropped before it ends:
//
//	1: reads the old value from the last level
//	2: drops the copies, writes the new value
//	1: puts the old value into the fronts, if nothing keeps it from that
//
// From before a write until it is over no fill begins of what it writes, or may write. So there are no copies of it in this time, and
// nobody who reads several keys of a transaction finds one in a front as it was before, and another one as it is after.
//
// Who puts a copy there, and who drops it, has the lock of the key's stripe.
type guard struct {
	stripes [64]stripe
}

type stripe struct {
	mu     sync.Mutex
	fills  map[string]*fill // by key; none of them is void
	writes map[string]int   // by key; how many writes of it are under way
	all    int              // how many writes of all keys are under way
}

// fill is a copy of a key that is being made. Its stripe's lock guards void.
type fill struct {
	key  string
	void bool
	over chan struct{} // closed when it has ended, or is void
}

var seed = maphash.MakeSeed()

func (g *guard) of(key string) int { return int(maphash.String(seed, key) % uint64(len(g.stripes))) }

// begin begins fills of keys. If one is filled already it begins none, and returns what is closed when that is over.
//
// So nobody reads a key from the last level while it is filled: else who has read the new value there could find an older copy when he
// comes again. Who does not want to wait sets force: then what has begun is void, and what begins. What begins while its key is
// written is void as well.
func (g *guard) begin(keys []string, force bool) (begun []*fill, busy <-chan struct{}) {
	err := g.locking(keys, func() error {
		for _, key := range keys {
			f := g.stripes[g.of(key)].fills[key]
			switch {
			case f == nil:
			case !force:
				busy = f.over
				return errBusy
			default:
				g.forget(f)
			}
		}
		for _, key := range keys {
			s := &g.stripes[g.of(key)]
			f := &fill{key: key, void: force || s.all > 0 || s.writes[key] > 0, over: make(chan struct{})}
			if !f.void {
				if s.fills == nil {
					s.fills = make(map[string]*fill)
				}
				s.fills[key] = f
			}
			begun = append(begun, f)
		}
		return nil
	})
	if err != nil {
		return nil, busy
	}
	return begun, nil
}

var errBusy = errors.New("it is filled already")

// forget makes a fill void. The caller has its stripe locked.
func (g *guard) forget(f *fill) {
	f.void = true
	delete(g.stripes[g.of(f.key)].fills, f.key)
	close(f.over)
}

// end ends fills.
func (g *guard) end(fills []*fill) {
	for _, f := range fills {
		s := &g.stripes[g.of(f.key)]
		s.mu.Lock()
		if s.fills[f.key] == f {
			delete(s.fills, f.key)
			close(f.over)
		}
		s.mu.Unlock()
	}
}

// anyVoid reports whether one of the fills is void.
func (g *guard) anyVoid(fills []*fill) bool {
	return slices.ContainsFunc(fills, func(f *fill) bool {
		s := &g.stripes[g.of(f.key)]
		s.mu.Lock()
		defer s.mu.Unlock()
		return f.void
	})
}

// put calls do if the fill is good.
func (g *guard) put(f *fill, do func()) {
	s := &g.stripes[g.of(f.key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.void {
		do()
	}
}

// locking calls do with the stripes of keys locked.
func (g *guard) locking(keys []string, do func() error) error {
	of := make([]int, len(keys))
	for i, key := range keys {
		of[i] = g.of(key)
	}
	slices.Sort(of)
	for _, i := range slices.Compact(of) {
		g.stripes[i].mu.Lock()
		defer g.stripes[i].mu.Unlock()
	}
	return do()
}

// locked makes fills of keys, or of all, void, and calls do with their stripes locked.
func (g *guard) locked(keys []string, all bool, do func() error) error {
	if all {
		return g.lockedAll(do)
	}
	return g.locking(keys, func() error {
		for _, key := range keys {
			if f := g.stripes[g.of(key)].fills[key]; f != nil {
				g.forget(f)
			}
		}
		return do()
	})
}

func (g *guard) lockedAll(do func() error) error {
	for i := range g.stripes {
		s := &g.stripes[i]
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, f := range s.fills {
			g.forget(f)
		}
	}
	return do()
}

// writing notes that a write of keys begins. The caller has their stripes locked.
func (g *guard) writing(keys []string) {
	for _, key := range keys {
		s := &g.stripes[g.of(key)]
		if s.writes == nil {
			s.writes = make(map[string]int)
		}
		s.writes[key]++
	}
}

// written notes that a write of keys is over.
func (g *guard) written(keys []string) {
	for _, key := range keys {
		s := &g.stripes[g.of(key)]
		s.mu.Lock()
		if s.writes[key]--; s.writes[key] == 0 {
			delete(s.writes, key)
		}
		s.mu.Unlock()
	}
}

// writingAll notes that n writes of all keys begin, or are over if it is less than zero. The caller has all stripes locked.
func (g *guard) writingAll(n int) {
	for i := range g.stripes {
		g.stripes[i].all += n
	}
}

// voidAll makes all fills void.
func (g *guard) voidAll() { _ = g.locked(nil, true, func() error { return nil }) }

// fill copies keys from the last level to the fronts, and drops copies of what cannot be copied. known are those that were read already, after the fills
// had begun.
func (d *Driver) fill(ctx context.Context, fills []*fill, known map[string]copied) {
	defer d.guard.end(fills)
	for _, f := range fills {
		c, ok := known[f.key]
		if !ok && len(fills) <= mostFilled {
			c, ok = d.copyOf(ctx, f.key)
		}
		for _, front := range d.fronts {
			if !d.usable(ctx, front) {
				continue
			}
			d.guard.put(f, func() {
				switch {
				case !d.heard.Load() || front.unclean.Load():
				case ok:
					front.put(ctx, f.key, c)
				default:
					front.drop(ctx, f.key)
				}
			})
		}
	}
}

// copied is a key of the last level.
type copied struct {
	set   data.Cmd      // makes it, where there is none
	left  time.Duration // less than zero: without end
	asked time.Time     // when so much was left, or before
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

var errLarge = errors.New("it is too large")

// copyOf reads a whole key from the last level.
func (d *Driver) copyOf(ctx context.Context, key string) (c copied, ok bool) {
	err := d.last.Tx(ctx, func(tx data.Transaction) error {
		ok, c.asked = false, time.Now()
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
			if n, err := do(how.length); err != nil || n.Int > d.opts.most {
				return errors.Join(err, errLarge)
			}
		}
		r, err := do(how.read, how.args...)
		if err != nil {
			return err
		}
		c.set, err = how.set(key, r)
		ok = err == nil
		return err
	})
	return c, ok && err == nil
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

// put puts a copy there, all at once. The caller has the key's stripe locked.
func (f *front) put(ctx context.Context, key string, c copied) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	cmds := []data.Cmd{data.Command("del", key), c.set}
	if c.left >= 0 {
		left := (c.left - time.Since(c.asked)).Milliseconds()
		if left <= 0 {
			f.drop(ctx, key)
			return
		}
		cmds = append(cmds, data.Command("pexpire", key, strconv.FormatInt(left, 10)))
		if c.set.Name == "set" {
			c.set.Args = append(slices.Clone(c.set.Args), "px", strconv.FormatInt(left, 10))
		}
	}
	if c.set.Name == "set" { // it needs no transaction
		if f.run(ctx, c.set) != nil {
			f.drop(ctx, key)
		}
		return
	}
	err := f.driver.Tx(ctx, func(tx data.Transaction) error {
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
	// A transaction that failed has not happened, but who knows if the level cannot be reached, or is a Redis that had no room.
	if err != nil {
		f.drop(ctx, key)
	}
}

// drop drops the copy of a key. The caller has its stripe locked.
func (f *front) drop(ctx context.Context, key string) {
	if f.run(context.WithoutCancel(ctx), data.Command("del", key)) != nil {
		f.soil([]string{key}, false)
	}
}
