package lists

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/list"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
)

// length is LLEN.
func length(c *engine.Call) error {
	l, err := engine.Read[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	n := 0
	if l != nil {
		n = l.Len()
	}
	c.W.Int(int64(n))
	return nil
}

// place returns the place that an index means in a list of n elements; it may be beyond its ends.
func place(index int64, n int) int64 {
	if index < 0 {
		return index + int64(n)
	}
	return index
}

// span returns the part of a list of n elements from start to stop, as from and to, which is not included.
func span(start, stop int64, n int) (from, to int) {
	start, stop = max(place(start, n), 0), min(place(stop, n), int64(n)-1)
	if start > stop {
		return 0, 0
	}
	return int(start), int(stop) + 1
}

// spanArgs returns the two indices among the arguments of LRANGE and LTRIM.
func spanArgs(c *engine.Call) (start, stop int64, err error) {
	start, ok := number.Int(c.Args[2])
	stop, too := number.Int(c.Args[3])
	if !ok || !too {
		return 0, 0, engine.ErrNotInt
	}
	return start, stop, nil
}

// elements is LRANGE.
func elements(c *engine.Call) error {
	start, stop, err := spanArgs(c)
	if err != nil {
		return err
	}
	l, err := engine.Read[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	if l == nil {
		c.W.Array(0)
		return nil
	}
	from, to := span(start, stop, l.Len())
	c.W.Array(to - from)
	it := l.Forwards(from)
	for range to - from {
		it.Next()
		c.W.Bytes(it.Value())
	}
	return nil
}

// index is LINDEX.
func index(c *engine.Call) error {
	l, err := engine.Read[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	if l == nil {
		c.W.Null()
		return nil
	}
	i, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	if i = place(i, l.Len()); i < 0 || i >= int64(l.Len()) {
		c.W.Null()
		return nil
	}
	var buf list.Buffer
	c.W.Bytes(l.At(int(i), &buf))
	return nil
}

// set is LSET.
func set(c *engine.Call) error {
	key := c.Args[1]
	l, err := engine.Change[*list.List](c, key)
	if err != nil {
		return err
	}
	if l == nil {
		return engine.ErrNoKey
	}
	index, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	index = place(index, l.Len())
	if index < 0 || index >= int64(l.Len()) {
		return engine.ErrIndex
	}
	i := int(index)
	if c.Undoing() {
		var buf list.Buffer
		old := string(l.At(i, &buf))
		c.Undo(func() { l.Set(i, old) })
	}
	l.Set(i, c.Args[3])
	changed(c, key, l, "lset")
	c.W.Simple("OK")
	return nil
}

// insert is LINSERT.
func insert(c *engine.Call) error {
	after := is(c.Args[2], "after")
	if !after && !is(c.Args[2], "before") {
		return engine.ErrSyntax
	}
	key := c.Args[1]
	l, err := engine.Change[*list.List](c, key)
	if err != nil {
		return err
	}
	if l == nil {
		c.W.Int(0)
		return nil
	}
	var pivot packed.Form
	pivot.Set(c.Args[3])
	i, it := 0, l.Forwards(0)
	for ; it.Next(); i++ {
		if it.Is(&pivot) {
			break
		}
	}
	if i == l.Len() {
		c.W.Int(-1)
		return nil
	}
	if after {
		i++
	}
	l.Insert(i, c.Args[4])
	if c.Undoing() {
		c.Undo(func() { l.Remove(i) })
	}
	changed(c, key, l, "linsert")
	c.W.Int(int64(l.Len()))
	return nil
}

// remove is LREM.
func remove(c *engine.Call) error {
	key := c.Args[1]
	count, ok := number.Int(c.Args[2])
	if !ok {
		return engine.ErrNotInt
	}
	l, err := engine.Change[*list.List](c, key)
	if err != nil {
		return err
	}
	if l == nil {
		c.W.Int(0)
		return nil
	}
	most := int64(l.Len())
	switch {
	case count > 0:
		most = min(most, count)
	case -most < count && count < 0:
		most = -count
	}
	if c.Undoing() { // what is removed may be anywhere
		old := l.Clone().(*list.List)
		c.Undo(func() { l.Assign(old) })
	}
	n := l.RemoveEqual(c.Args[3], int(most), count < 0)
	if n > 0 {
		changed(c, key, l, "lrem")
	}
	c.W.Int(int64(n))
	return nil
}

// trim is LTRIM.
func trim(c *engine.Call) error {
	start, stop, err := spanArgs(c)
	if err != nil {
		return err
	}
	l, err := engine.Change[*list.List](c, c.Args[1])
	if err != nil {
		return err
	}
	if l != nil {
		from, to := span(start, stop, l.Len())
		drop(c, l, right, l.Len()-to)
		drop(c, l, left, from)
		changed(c, c.Args[1], l, "ltrim")
	}
	c.W.Simple("OK")
	return nil
}

// drop takes n elements from an end of a list.
func drop(c *engine.Call, l *list.List, e end, n int) {
	if c.Undoing() {
		var buf list.Buffer
		for range n {
			take(c, l, e, &buf)
		}
		return
	}
	dropFrom(l, e, n)
}
