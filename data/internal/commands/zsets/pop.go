package zsets

import (
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/zset"
)

const (
	errNumKeys  engine.Error = "ERR numkeys should be greater than 0"
	errPopCount engine.Error = "ERR count should be greater than 0"
)

// pop takes up to n items from an end of the set of a key, and returns them.
func pop(c *engine.Call, key string, z *zset.Set, n int64, highest bool) []zset.Pair {
	n = min(n, int64(z.Len()))
	if n == 0 {
		return nil
	}
	from, to := 0, int(n)
	if highest {
		from, to = z.Len()-int(n), z.Len()
	}
	pairs := appendSpan(nil, z, from, to, highest)
	for _, p := range pairs {
		remove(c, z, p.Member)
	}
	event := "zpopmin"
	if highest {
		event = "zpopmax"
	}
	removed(c, z, key, event)
	return pairs
}

// log has the log get what was taken, whatever it was that took it.
func log(c *engine.Call, key string, n int, highest bool) {
	name := "ZPOPMIN"
	if highest {
		name = "ZPOPMAX"
	}
	c.Log(name, key, strconv.Itoa(n))
}

func zpopmin(c *engine.Call) error { return popCount(c, false) }

func zpopmax(c *engine.Call) error { return popCount(c, true) }

func popCount(c *engine.Call, highest bool) error {
	count, counted := int64(1), len(c.Args) == 3
	if len(c.Args) > 3 {
		return engine.ErrSyntax
	}
	if counted {
		var ok bool
		if count, ok = number.Int(c.Args[2]); !ok || count < 0 {
			return errRange
		}
	}
	z, err := change(c, c.Args[1])
	if err != nil {
		return err
	}
	if z == nil || count == 0 {
		c.W.Array(0)
		return nil
	}
	r := reply{c.W, true, counted && c.W.Proto() > 2}
	r.pairs(pop(c, c.Args[1], z, count, highest))
	return nil
}

func bzpopmin(c *engine.Call) error { return waitPop(c, false) }

func bzpopmax(c *engine.Call) error { return waitPop(c, true) }

func waitPop(c *engine.Call, highest bool) error {
	last := len(c.Args) - 1
	timeout, err := engine.Timeout(c.Args[last])
	if err != nil {
		return err
	}
	z, key, err := firstOf(c, c.Args[1:last])
	if err != nil {
		return err
	}
	if z == nil {
		return c.Wait(timeout, engine.Writer.NullArray)
	}
	p := pop(c, key, z, 1, highest)[0]
	log(c, key, 1, highest)
	c.W.Array(3)
	c.W.Bulk(strings.Clone(key))
	c.W.Bulk(p.Member)
	c.W.Double(p.Score)
	return nil
}

// firstOf returns the first of the keys that has a sorted set, and that set, which is going to be changed; or nil.
func firstOf(c *engine.Call, keys []string) (z *zset.Set, key string, err error) {
	for _, key := range keys {
		if !c.Serves(key) {
			continue
		}
		z, err := change(c, key)
		switch {
		case err != nil && c.Again():
			continue
		case err != nil:
			return nil, "", err
		case z != nil:
			return z, key, nil
		}
	}
	return nil, "", nil
}

// popArgs are the arguments of ZMPOP, and of BZMPOP but for the timeout.
type popArgs struct {
	keys    []string
	count   int64
	highest bool
}

func parsePop(args []string) (p popArgs, err error) {
	n, ok := number.Int(args[0])
	args = args[1:]
	switch {
	case !ok || n < 1:
		return p, errNumKeys
	case n >= int64(len(args)):
		return p, engine.ErrSyntax
	}
	p.keys, args = args[:n], args[n:]
	switch {
	case strings.EqualFold(args[0], "max"):
		p.highest = true
	case !strings.EqualFold(args[0], "min"):
		return p, engine.ErrSyntax
	}
	p.count = 1
	if args = args[1:]; len(args) == 0 {
		return p, nil
	}
	if len(args) == 1 || !strings.EqualFold(args[0], "count") {
		return p, engine.ErrSyntax
	}
	if p.count, ok = number.Int(args[1]); !ok || p.count < 1 {
		return p, errPopCount
	}
	if len(args) > 2 {
		return p, engine.ErrSyntax
	}
	return p, nil
}

// take replies what it takes from the first key that has something, and reports whether there is one.
func (p *popArgs) take(c *engine.Call) (taken bool, err error) {
	z, key, err := firstOf(c, p.keys)
	if err != nil || z == nil {
		return false, err
	}
	pairs := pop(c, key, z, p.count, p.highest)
	log(c, key, len(pairs), p.highest)
	c.W.Array(2)
	c.W.Bulk(strings.Clone(key))
	r := reply{c.W, true, true}
	r.pairs(pairs)
	return true, nil
}

func zmpop(c *engine.Call) error {
	p, err := parsePop(c.Args[1:])
	if err != nil {
		return err
	}
	taken, err := p.take(c)
	if err == nil && !taken {
		c.W.NullArray()
	}
	return err
}

func bzmpop(c *engine.Call) error {
	timeout, err := engine.Timeout(c.Args[1])
	if err != nil {
		return err
	}
	p, err := parsePop(c.Args[2:])
	if err != nil {
		return err
	}
	taken, err := p.take(c)
	if err == nil && !taken {
		return c.Wait(timeout, engine.Writer.NullArray)
	}
	return err
}
