package lists

import (
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
	"github.com/peercache/peercache/data/internal/number"
)

const (
	errCount   engine.Error = "ERR value is out of range, must be positive"
	errNumKeys engine.Error = "ERR numkeys should be greater than 0"
	errMost    engine.Error = "ERR count should be greater than 0"
)

// push is LPUSH and RPUSH.
func push(c *engine.Call) error {
	l, err := engine.ChangeOrNew(c, c.Args[1], list.New)
	if err != nil {
		return err
	}
	pushAll(c, l)
	return nil
}

// pushX is LPUSHX and RPUSHX.
func pushX(c *engine.Call) error {
	l, err := engine.Change[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	if l == nil {
		c.W.Int(0)
		return nil
	}
	pushAll(c, l)
	return nil
}

func pushAll(c *engine.Call, l *list.List) {
	e, event := left, "lpush"
	if c.Name()[0] == 'r' {
		e, event = right, "rpush"
	}
	for _, value := range c.Args[2:] {
		add(c, l, e, value)
	}
	changed(c, c.Args[1], l, event)
	c.W.Int(int64(l.Len()))
}

// pop is LPOP and RPOP.
func pop(c *engine.Call) error {
	if len(c.Args) > 3 {
		return engine.Error("ERR wrong number of arguments for '" + c.Name() + "' command")
	}
	count := int64(1)
	if len(c.Args) == 3 {
		n, ok := number.Int(c.Args[2])
		if !ok || n < 0 {
			return errCount
		}
		count = n
	}
	l, err := engine.Change[*list.List](c, c.Args[1])
	switch {
	case err != nil:
		return err
	case l == nil && len(c.Args) == 3:
		c.W.NullArray()
		return nil
	case l == nil:
		c.W.Null()
		return nil
	}
	e := left
	if c.Name() == "rpop" {
		e = right
	}
	if len(c.Args) == 3 {
		popSome(c, c.Args[1], l, e, count)
		return nil
	}
	var buf list.Buffer
	c.W.Bytes(take(c, l, e, &buf))
	changed(c, c.Args[1], l, e.popName())
	return nil
}

// popSome takes up to count elements from an end of a list, writes an array of them, and returns how many there are.
func popSome(c *engine.Call, key string, l *list.List, e end, count int64) int {
	n := int(min(count, int64(l.Len())))
	c.W.Array(n)
	var buf list.Buffer
	for range n {
		c.W.Bytes(take(c, l, e, &buf))
	}
	if n > 0 {
		changed(c, key, l, e.popName())
	}
	return n
}

// several is what follows the name of LMPOP, and the timeout of BLMPOP.
type several struct {
	keys  []string
	end   end
	count int64
}

// severalOf reads it.
func severalOf(args []string) (s several, err error) {
	n, ok := number.Int(args[0])
	if !ok || n < 1 {
		return s, errNumKeys
	}
	if n >= int64(len(args)-1) {
		return s, engine.ErrSyntax
	}
	s.keys, args = args[1:1+n], args[1+n:]
	if s.end, ok = endOf(args[0]); !ok {
		return s, engine.ErrSyntax
	}
	s.count = 1
	switch args = args[1:]; {
	case len(args) == 0:
		return s, nil
	case !is(args[0], "count") || len(args) == 1:
		return s, engine.ErrSyntax
	}
	if s.count, ok = number.Int(args[1]); !ok || s.count < 1 {
		return s, errMost
	}
	if len(args) > 2 {
		return s, engine.ErrSyntax
	}
	return s, nil
}

// popFrom takes elements from the first of the lists that c may take from, and reports whether there is one.
func (s *several) popFrom(c *engine.Call) (ok bool, err error) {
	key, l, err := firstOf(c, s.keys)
	if l == nil || err != nil {
		return false, err
	}
	c.W.Array(2)
	c.W.Bulk(strings.Clone(key))
	n := popSome(c, key, l, s.end, s.count)
	c.Log(s.end.popName(), key, strconv.Itoa(n))
	return true, nil
}

// firstOf returns the first of several lists that exists, of those that c may take from, and its key.
func firstOf(c *engine.Call, keys []string) (string, *list.List, error) {
	for _, key := range keys {
		if !c.Serves(key) {
			continue
		}
		l, err := engine.Change[*list.List](c, key)
		if err != nil && !c.Again() {
			return "", nil, err
		}
		if l != nil {
			return key, l, nil
		}
	}
	return "", nil, nil
}

// popFirst is LMPOP.
func popFirst(c *engine.Call) error {
	s, err := severalOf(c.Args[1:])
	if err != nil {
		return err
	}
	ok, err := s.popFrom(c)
	if !ok && err == nil {
		c.W.NullArray()
	}
	return err
}

// popFirstWaiting is BLMPOP.
func popFirstWaiting(c *engine.Call) error {
	s, err := severalOf(c.Args[2:])
	if err != nil {
		return err
	}
	timeout, err := engine.Timeout(c.Args[1])
	if err != nil {
		return err
	}
	ok, err := s.popFrom(c)
	if ok || err != nil {
		return err
	}
	return c.Wait(timeout, engine.Writer.NullArray)
}

// popWaiting is BLPOP and BRPOP.
func popWaiting(c *engine.Call) error {
	last := len(c.Args) - 1
	timeout, err := engine.Timeout(c.Args[last])
	if err != nil {
		return err
	}
	key, l, err := firstOf(c, c.Args[1:last])
	if err != nil {
		return err
	}
	if l == nil {
		return c.Wait(timeout, engine.Writer.NullArray)
	}
	e := left
	if c.Name() == "brpop" {
		e = right
	}
	var buf list.Buffer
	c.W.Array(2)
	c.W.Bulk(strings.Clone(key))
	c.W.Bytes(take(c, l, e, &buf))
	c.Log(e.popName(), key)
	changed(c, key, l, e.popName())
	return nil
}
