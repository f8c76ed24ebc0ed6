package strings

import (
	"math"
	"strconv"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

func incr(c *engine.Call) error { return add(c, 1) }
func decr(c *engine.Call) error { return add(c, -1) }

// incrBy is INCRBY and DECRBY.
func incrBy(c *engine.Call) error {
	by, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	if c.Name() == "decrby" {
		if by == math.MinInt64 {
			return engine.Error("ERR decrement would overflow")
		}
		by = -by
	}
	return add(c, by)
}

// add adds a number to the string of a key, whose expiry stays.
func add(c *engine.Call, by int64) error {
	key := c.Args[1]
	n, err := find(c, key)
	if err != nil {
		return err
	}
	sum, expire := int64(0), int64(0)
	if n != nil {
		var ok bool
		if sum, ok = number.Int(n.Value.Str); !ok {
			return engine.ErrNotInt
		}
		expire = n.Value.Expire
	}
	if by > 0 && sum > math.MaxInt64-by || by < 0 && sum < math.MinInt64-by {
		return engine.Error("ERR increment or decrement would overflow")
	}
	sum += by
	c.SetOwnString(key, strconv.FormatInt(sum, 10), expire)
	c.Notify(engine.EventString, "incrby", key)
	c.W.Int(sum)
	return nil
}

func incrByFloat(c *engine.Call) error {
	key := c.Args[1]
	n, err := find(c, key)
	if err != nil {
		return err
	}
	text, expire := "0", int64(0)
	if n != nil {
		text, expire = n.Value.Str, n.Value.Expire
	}
	old, ok := number.Long(text)
	by, ok2 := number.Long(c.Args[2])
	if !ok || !ok2 {
		return engine.ErrNotFloat
	}
	sum, ok := number.AddLong(old, by)
	if !ok {
		return engine.Error("ERR increment would produce NaN or Infinity")
	}
	c.SetString(key, sum, expire)
	c.Log("SET", key, sum, "KEEPTTL")
	c.Notify(engine.EventString, "incrbyfloat", key)
	c.W.Bulk(sum)
	return nil
}
