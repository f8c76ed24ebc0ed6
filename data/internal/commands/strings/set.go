package strings

import (
	"math"
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

// is reports whether an option is that word, which is in lower case.
func is(option, word string) bool { return len(option) == len(word) && strings.EqualFold(option, word) }

// options are those of SET and GETEX.
type options struct {
	nx, xx, get, keep, persist bool
	// unit is EX, PX, EXAT or PXAT in lower case, or empty, and time what follows it.
	unit, time string
}

// optionsOf reads the options of SET, or, if getex is true, of GETEX.
func optionsOf(args []string, getex bool) (o options, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case is(arg, "nx") && !o.xx && !getex:
			o.nx = true
		case is(arg, "xx") && !o.nx && !getex:
			o.xx = true
		case is(arg, "get") && !getex:
			o.get = true
		case is(arg, "keepttl") && o.unit == "" && !getex:
			o.keep = true
		case is(arg, "persist") && o.unit == "" && getex:
			o.persist = true
		default:
			unit := timeUnit(arg)
			if unit == "" || o.unit != "" && o.unit != unit || o.keep || o.persist || i+1 == len(args) {
				return o, engine.ErrSyntax
			}
			i++
			o.unit, o.time = unit, args[i]
		}
	}
	return o, nil
}

// timeUnit returns the option that says when a key expires, in lower case, or "".
func timeUnit(arg string) string {
	for _, unit := range []string{"ex", "px", "exat", "pxat"} {
		if is(arg, unit) {
			return unit
		}
	}
	return ""
}

// expiry returns when a key expires, which has to be later than 1970.
func expiry(c *engine.Call, unit, text string) (int64, error) {
	at, ok := number.Int(text)
	if !ok {
		return 0, engine.ErrNotInt
	}
	invalid := engine.Error("ERR invalid expire time in '" + c.Name() + "' command")
	if at <= 0 {
		return 0, invalid
	}
	if unit == "ex" || unit == "exat" {
		if at > math.MaxInt64/1000 {
			return 0, invalid
		}
		at *= 1000
	}
	if unit == "ex" || unit == "px" {
		if at > math.MaxInt64-c.Now() {
			return 0, invalid
		}
		at += c.Now()
	}
	return at, nil
}

func set(c *engine.Call) error {
	key, value := c.Args[1], c.Args[2]
	if len(c.Args) == 3 {
		c.SetString(key, value, 0)
		c.Notify(engine.EventString, "set", key)
		c.W.Simple("OK")
		return nil
	}
	o, err := optionsOf(c.Args[3:], false)
	if err != nil {
		return err
	}
	at := int64(0)
	if o.unit != "" {
		if at, err = expiry(c, o.unit, o.time); err != nil {
			return err
		}
	}
	n := c.Find(key)
	if o.get && n != nil && n.Value.Object != nil {
		return engine.ErrWrongType
	}
	done := !(o.nx && n != nil || o.xx && n == nil)
	switch {
	case o.get:
		writeString(c, n)
	case done:
		c.W.Simple("OK")
	default:
		c.W.Null()
	}
	if !done {
		return nil
	}
	if o.keep && n != nil {
		at = n.Value.Expire
	}
	store(c, key, value, at)
	if o.unit != "" {
		c.Notify(engine.EventGeneric, "expire", key)
	}
	return nil
}

// store gives a key a string and an expiry, which may be 0, and logs it in the form that is the same at any time.
func store(c *engine.Call, key, value string, at int64) {
	c.SetString(key, value, at)
	if at != 0 {
		c.Log("SET", key, value, "PXAT", strconv.FormatInt(at, 10))
	} else {
		c.Log("SET", key, value)
	}
	c.Notify(engine.EventString, "set", key)
}

// writeString replies the string of a node, or a null if there is none.
func writeString(c *engine.Call, n *engine.Node) {
	if n == nil {
		c.W.Null()
	} else {
		c.W.Bulk(n.Value.Str)
	}
}

// find returns the node of a key that has a string, or nil if there is no such key.
func find(c *engine.Call, key string) (*engine.Node, error) {
	n := c.Find(key)
	if n != nil && n.Value.Object != nil {
		return nil, engine.ErrWrongType
	}
	return n, nil
}

func setNX(c *engine.Call) error {
	if c.Find(c.Args[1]) != nil {
		c.W.Int(0)
		return nil
	}
	c.SetString(c.Args[1], c.Args[2], 0)
	c.Notify(engine.EventString, "set", c.Args[1])
	c.W.Int(1)
	return nil
}

// setEX makes SETEX, or PSETEX.
func setEX(unit string) func(c *engine.Call) error {
	return func(c *engine.Call) error {
		at, err := expiry(c, unit, c.Args[2])
		if err != nil {
			return err
		}
		store(c, c.Args[1], c.Args[3], at)
		c.Notify(engine.EventGeneric, "expire", c.Args[1])
		c.W.Simple("OK")
		return nil
	}
}

func getSet(c *engine.Call) error {
	n, err := find(c, c.Args[1])
	if err != nil {
		return err
	}
	writeString(c, n)
	store(c, c.Args[1], c.Args[2], 0)
	return nil
}

func getDel(c *engine.Call) error {
	n, err := find(c, c.Args[1])
	if err != nil {
		return err
	}
	writeString(c, n)
	if n != nil {
		c.Remove(n.Key)
		c.Log("DEL", c.Args[1])
		c.Notify(engine.EventGeneric, "del", c.Args[1])
	}
	return nil
}

func getEX(c *engine.Call) error {
	key := c.Args[1]
	o, err := optionsOf(c.Args[2:], true)
	if err != nil {
		return err
	}
	n, err := find(c, key)
	if err != nil {
		return err
	}
	if n == nil {
		c.W.Null()
		return nil
	}
	at := int64(0)
	if o.unit != "" {
		if at, err = expiry(c, o.unit, o.time); err != nil {
			return err
		}
	}
	writeString(c, n)
	switch {
	case o.unit != "" && c.Past(at):
		c.Remove(key)
		c.Log("DEL", key)
		c.Notify(engine.EventGeneric, "del", key)
	case o.unit != "":
		c.SetExpire(n, at)
		c.Log("PEXPIREAT", key, strconv.FormatInt(at, 10))
		c.Notify(engine.EventGeneric, "expire", key)
	case o.persist && n.Value.Expire != 0:
		c.SetExpire(n, 0)
		c.Log("PERSIST", key)
		c.Notify(engine.EventGeneric, "persist", key)
	}
	return nil
}

func mset(c *engine.Call) error {
	if len(c.Args)%2 == 0 {
		return engine.Error("ERR wrong number of arguments for '" + c.Name() + "' command")
	}
	if c.Name() == "msetnx" {
		for i := 1; i < len(c.Args); i += 2 {
			if c.Find(c.Args[i]) != nil {
				c.W.Int(0)
				return nil
			}
		}
	}
	for i := 1; i < len(c.Args); i += 2 {
		c.SetString(c.Args[i], c.Args[i+1], 0)
		c.Notify(engine.EventString, "set", c.Args[i])
	}
	if c.Name() == "msetnx" {
		c.W.Int(1)
	} else {
		c.W.Simple("OK")
	}
	return nil
}

func mget(c *engine.Call) error {
	c.W.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		if n := c.Find(key); n != nil && n.Value.Object == nil {
			c.W.Bulk(n.Value.Str)
		} else {
			c.W.Null()
		}
	}
	return nil
}
