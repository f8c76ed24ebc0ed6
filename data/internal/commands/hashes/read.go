package hashes

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/hash"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/data/internal/scan"
)

// value returns the value of the field that is the second argument.
func value(c *engine.Call) (v packed.Text, ok bool, err error) {
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil || h == nil {
		return packed.Text{}, false, err
	}
	v, ok = h.Get(c.Args[2])
	return v, ok, nil
}

func hget(c *engine.Call) error {
	v, ok, err := value(c)
	switch {
	case err != nil:
		return err
	case ok:
		v.Write(c.W)
	default:
		c.W.Null()
	}
	return nil
}

func hexists(c *engine.Call) error {
	_, ok, err := value(c)
	if err != nil {
		return err
	}
	if ok {
		c.W.Int(1)
	} else {
		c.W.Int(0)
	}
	return nil
}

func hstrlen(c *engine.Call) error {
	v, _, err := value(c)
	if err != nil {
		return err
	}
	c.W.Int(int64(v.Len()))
	return nil
}

func hmget(c *engine.Call) error {
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	fields := c.Args[2:]
	c.W.Array(len(fields))
	for _, field := range fields {
		var v packed.Text
		ok := false
		if h != nil {
			v, ok = h.Get(field)
		}
		if ok {
			v.Write(c.W)
		} else {
			c.W.Null()
		}
	}
	return nil
}

// length returns the number of fields, of no hash as well.
func length(h *hash.Hash) int {
	if h == nil {
		return 0
	}
	return h.Len()
}

func hlen(c *engine.Call) error {
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	c.W.Int(int64(length(h)))
	return nil
}

// all replies to a command about all fields: begin gets how many there are, do each of them.
func all(c *engine.Call, begin func(n int), do func(field, value packed.Text)) error {
	h, err := engine.Read[*hash.Hash](c, c.Args[1])
	if err != nil {
		return err
	}
	begin(length(h))
	if h != nil {
		h.All(do)
	}
	return nil
}

func hgetall(c *engine.Call) error {
	return all(c, c.W.Map, func(field, value packed.Text) {
		field.Write(c.W)
		value.Write(c.W)
	})
}

func hkeys(c *engine.Call) error {
	return all(c, c.W.Array, func(field, _ packed.Text) { field.Write(c.W) })
}

func hvals(c *engine.Call) error {
	return all(c, c.W.Array, func(_, value packed.Text) { value.Write(c.W) })
}

func hscan(c *engine.Call) error {
	return scan.Elements(c, func(h *hash.Hash, place uint64, found *scan.Found) uint64 {
		return h.Scan(place, func(field, value packed.Text) {
			if found.Visit(field.View()) {
				found.Add(field.String(), value.String())
			}
		})
	})
}
