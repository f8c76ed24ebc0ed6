package strings

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
)

// longest is how many bytes a string may have, as in Redis.
const longest = 512 << 20

const errTooLong engine.Error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"

func appendTo(c *engine.Call) error {
	key, tail := c.Args[1], c.Args[2]
	n, err := find(c, key)
	if err != nil {
		return err
	}
	size := len(tail)
	if n == nil {
		c.SetString(key, tail, 0)
	} else {
		if size += len(n.Value.Str); size > longest {
			return errTooLong
		}
		c.Append(n, tail)
	}
	c.Notify(engine.EventString, "append", key)
	c.W.Int(int64(size))
	return nil
}

// getRange is GETRANGE and SUBSTR.
func getRange(c *engine.Call) error {
	from, ok := number.Int(c.Args[2])
	to, ok2 := number.Int(c.Args[3])
	if !ok || !ok2 {
		return engine.ErrNotInt
	}
	s, _, err := c.ReadString(c.Args[1])
	if err != nil {
		return err
	}
	if first, end := span(from, to, int64(len(s))); first < end && !backwards(from, to) {
		c.W.Bulk(s[first:end])
	} else {
		c.W.Bulk("")
	}
	return nil
}

// span returns the part of something of that size that begins at from and ends with to, which count from the end if they are less
// than zero. It is empty if first is not less than end.
func span(from, to, size int64) (first, end int64) {
	if from < 0 {
		from = max(0, from+size)
	}
	if to < 0 {
		to = max(0, to+size)
	}
	return min(from, size), min(to, size-1) + 1
}

// backwards reports whether a part counts from the end, and ends before it begins: for most commands it is empty then, even where
// span takes both for the first byte.
func backwards(from, to int64) bool { return to < from && from < 0 }

// setRange copies the string: others may read it meanwhile.
func setRange(c *engine.Call) error {
	key, part := c.Args[1], c.Args[3]
	at, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	if at < 0 {
		return engine.Error("ERR offset is out of range")
	}
	n, err := find(c, key)
	if err != nil {
		return err
	}
	old, expire := "", int64(0)
	if n != nil {
		old, expire = n.Value.Str, n.Value.Expire
	}
	if part == "" {
		c.W.Int(int64(len(old)))
		return nil
	}
	if at > longest-int64(len(part)) {
		return errTooLong
	}
	size := max(len(old), int(at)+len(part))
	if err := c.Room(int64(size - len(old))); err != nil {
		return err
	}
	b := engine.Grown(size)
	copy(b, old)
	copy(b[at:], part)
	c.SetGrown(key, b, expire)
	c.Notify(engine.EventString, "setrange", key)
	c.W.Int(int64(len(b)))
	return nil
}
