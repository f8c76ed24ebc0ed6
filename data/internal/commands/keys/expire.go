package keys

import (
	"math"
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

// is reports whether an option is that word, which is in lower case.
func is(option, word string) bool { return len(option) == len(word) && strings.EqualFold(option, word) }

// condition is what the expiry that a key has must be, so that it gets another one.
type condition struct{ nx, xx, gt, lt bool }

func conditionOf(options []string) (when condition, err error) {
	for _, option := range options {
		switch {
		case is(option, "nx"):
			when.nx = true
		case is(option, "xx"):
			when.xx = true
		case is(option, "gt"):
			when.gt = true
		case is(option, "lt"):
			when.lt = true
		default:
			return when, engine.Error("ERR Unsupported option " + option)
		}
	}
	switch {
	case when.nx && (when.xx || when.gt || when.lt):
		return when, engine.Error("ERR NX and XX, GT or LT options at the same time are not compatible")
	case when.gt && when.lt:
		return when, engine.Error("ERR GT and LT options at the same time are not compatible")
	}
	return when, nil
}

// holds reports whether a key that expires at old may get the expiry at. 0 is never.
func (when condition) holds(old, at int64) bool {
	switch {
	case when.nx && old != 0, when.xx && old == 0:
		return false
	case when.gt && (old == 0 || at <= old):
		return false
	case when.lt && old != 0 && at >= old:
		return false
	}
	return true
}

// expire makes a command that gives a key an expiry, in units of so many milliseconds, from now on if relative.
func expire(unit int64, relative bool) func(c *engine.Call) error {
	return func(c *engine.Call) error {
		when, err := conditionOf(c.Args[3:])
		if err != nil {
			return err
		}
		at, ok := number.Int(c.Args[2])
		if !ok {
			return engine.ErrNotInt
		}
		base := int64(0)
		if relative {
			base = c.Now()
		}
		if at > math.MaxInt64/unit || at < math.MinInt64/unit || at*unit > math.MaxInt64-base {
			return engine.Error("ERR invalid expire time in '" + c.Name() + "' command")
		}
		at = at*unit + base
		key := c.Args[1]
		n := c.Find(key)
		switch {
		case n == nil || !when.holds(n.Value.Expire, at):
			c.W.Int(0)
		case c.Past(at):
			c.Remove(key)
			c.Log("DEL", key)
			c.Notify(engine.EventGeneric, "del", key)
			c.W.Int(1)
		default:
			c.SetExpire(n, at)
			c.Log("PEXPIREAT", key, strconv.FormatInt(at, 10))
			c.Notify(engine.EventGeneric, "expire", key)
			c.W.Int(1)
		}
		return nil
	}
}

// ttl makes a command that returns the expiry of a key, in units of so many milliseconds, from now on if relative.
func ttl(unit int64, relative bool) func(c *engine.Call) error {
	return func(c *engine.Call) error {
		n := c.Peek(c.Args[1])
		switch {
		case n == nil:
			c.W.Int(-2)
		case n.Value.Expire == 0:
			c.W.Int(-1)
		default:
			at := n.Value.Expire
			if relative {
				at = max(0, at-c.Now())
			}
			c.W.Int(at/unit + (at%unit+unit/2)/unit)
		}
		return nil
	}
}

func persist(c *engine.Call) error {
	n := c.Find(c.Args[1])
	if n == nil || n.Value.Expire == 0 {
		c.W.Int(0)
		return nil
	}
	c.SetExpire(n, 0)
	c.Notify(engine.EventGeneric, "persist", c.Args[1])
	c.W.Int(1)
	return nil
}
