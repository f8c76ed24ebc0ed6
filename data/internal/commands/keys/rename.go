package keys

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

// rename is RENAME and RENAMENX.
func rename(c *engine.Call) error {
	from, to := c.Args[1], c.Args[2]
	n := c.Find(from)
	if n == nil {
		return engine.ErrNoKey
	}
	nx := c.Name() == "renamenx"
	if nx && (from == to || c.Peek(to) != nil) {
		c.W.Int(0)
		return nil
	}
	if from != to {
		c.Move(n, to)
		c.Ready(to)
		c.Notify(engine.EventGeneric, "rename_from", from)
		c.Notify(engine.EventGeneric, "rename_to", to)
	}
	if nx {
		c.W.Int(1)
	} else {
		c.W.Simple("OK")
	}
	return nil
}

// duplicate is COPY.
func duplicate(c *engine.Call) error {
	from, to := c.Args[1], c.Args[2]
	replace := false
	for i := 3; i < len(c.Args); i++ {
		switch option := c.Args[i]; {
		case is(option, "replace"):
			replace = true
		case is(option, "db") && i+1 < len(c.Args):
			i++
			db, ok := number.Int(c.Args[i])
			if !ok {
				return engine.ErrNotInt
			}
			if db != 0 {
				return engine.Error("ERR DB index is out of range")
			}
		default:
			return engine.ErrSyntax
		}
	}
	if from == to {
		return engine.Error("ERR source and destination objects are the same")
	}
	n := c.Find(from)
	if n == nil || !replace && c.Peek(to) != nil {
		c.W.Int(0)
		return nil
	}
	if err := c.RoomFor(n); err != nil {
		return err
	}
	switch expire := n.Value.Expire; {
	case n.Value.Object != nil:
		c.SetObject(to, n.Value.Object.Clone(), expire)
	case n.Value.IsGrown():
		b := engine.Grown(len(n.Value.Str))
		copy(b, n.Value.Str)
		c.SetGrown(to, b, expire)
	default:
		c.SetString(to, n.Value.Str, expire)
	}
	c.Ready(to)
	c.Notify(engine.EventGeneric, "copy_to", to)
	c.W.Int(1)
	return nil
}
