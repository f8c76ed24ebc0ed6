package lists

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
)

// endsOf returns the ends between which a command moves an element.
func endsOf(c *engine.Call) (from, to end, err error) {
	if c.Name() == "rpoplpush" || c.Name() == "brpoplpush" {
		return right, left, nil
	}
	from, ok := endOf(c.Args[3])
	to, too := endOf(c.Args[4])
	if !ok || !too {
		return from, to, engine.ErrSyntax
	}
	return from, to, nil
}

// move is LMOVE and RPOPLPUSH.
func move(c *engine.Call) error {
	from, to, err := endsOf(c)
	if err != nil {
		return err
	}
	l, err := engine.Change[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	if l == nil {
		c.W.Null()
		return nil
	}
	return moveFrom(c, l, from, to)
}

// moveWaiting is BLMOVE and BRPOPLPUSH.
func moveWaiting(c *engine.Call) error {
	from, to, err := endsOf(c)
	if err != nil {
		return err
	}
	timeout, err := engine.Timeout(c.Args[len(c.Args)-1])
	if err != nil {
		return err
	}
	key, l, err := firstOf(c, c.Args[1:2])
	switch {
	case err != nil:
		return err
	case l == nil && !c.CanWait():
		c.W.Null() // for which Redis has another reply than for one that has waited
		return nil
	case l == nil:
		return c.Wait(timeout, engine.Writer.NullArray, c.Args[1])
	}
	if err := moveFrom(c, l, from, to); err != nil {
		return err
	}
	if c.Name() == "brpoplpush" {
		c.Log("RPOPLPUSH", key, c.Args[2])
	} else {
		c.Log("LMOVE", key, c.Args[2], from.word(), to.word())
	}
	return nil
}

// moveFrom moves an element from an end of a list, whose key is the first argument, to the list whose key is the second one.
func moveFrom(c *engine.Call, l *list.List, from, to end) error {
	key, other := c.Args[1], c.Args[2]
	if n := c.Find(other); n != nil {
		if _, ok := n.Value.Object.(*list.List); !ok {
			return engine.ErrWrongType
		}
	}
	var buf list.Buffer
	value := string(take(c, l, from, &buf))
	o, err := engine.ChangeOrNew(c, other, list.New)
	if err != nil {
		return err
	}
	add(c, o, to, value)
	event := "lpush"
	if to == right {
		event = "rpush"
	}
	changed(c, other, o, event)
	changed(c, key, l, from.popName())
	c.W.Bulk(value)
	return nil
}
