package sets

import (
	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/data/internal/set"
)

// keep has the next change of a set, which is one of that member, be undone if the command is.
func keep(c *engine.Call, s *set.Set, member string) {
	if c.Undoing() {
		c.Undo(s.Keep(member))
	}
}

// changed says that the set of a key has changed.
func changed(c *engine.Call, event, key string) {
	c.Changed(key)
	c.Notify(engine.EventSet, event, key)
}

func sadd(c *engine.Call) error {
	s, err := engine.ChangeOrNew(c, c.Args[1], set.New)
	if err != nil {
		return err
	}
	added := 0
	for _, member := range c.Args[2:] {
		keep(c, s, member)
		if s.Add(member) {
			added++
		}
	}
	if added > 0 {
		changed(c, "sadd", c.Args[1])
	}
	c.W.Int(int64(added))
	return nil
}

func srem(c *engine.Call) error {
	s, err := engine.Change[*set.Set](c, c.Args[1])
	if err != nil {
		return err
	}
	removed := 0
	if s != nil {
		for _, member := range c.Args[2:] {
			keep(c, s, member)
			if s.Remove(member) {
				removed++
			}
		}
	}
	if removed > 0 {
		changed(c, "srem", c.Args[1])
		c.RemoveIfEmpty(c.Args[1], s)
	}
	c.W.Int(int64(removed))
	return nil
}

func smove(c *engine.Call) error {
	from, to, member := c.Args[1], c.Args[2], c.Args[3]
	source, err := engine.Change[*set.Set](c, from)
	if source == nil && err == nil {
		c.W.Int(0)
		return nil
	}
	if err != nil {
		return err
	}
	destination, err := engine.Read[*set.Set](c, to)
	switch {
	case err != nil:
		return err
	case !source.Has(member):
		c.W.Int(0)
		return nil
	case source == destination:
		c.W.Int(1)
		return nil
	}
	keep(c, source, member)
	source.Remove(member)
	changed(c, "srem", from)
	c.RemoveIfEmpty(from, source)
	if destination, err = engine.ChangeOrNew(c, to, set.New); err != nil {
		return err
	}
	keep(c, destination, member)
	if destination.Add(member) {
		changed(c, "sadd", to)
	}
	c.W.Int(1)
	return nil
}

const errNotPositive engine.Error = "ERR value is out of range, must be positive"

func spop(c *engine.Call) error {
	key, count := c.Args[1], int64(1)
	if len(c.Args) > 2 {
		var ok bool
		if count, ok = number.Int(c.Args[2]); !ok || count < 0 {
			return errNotPositive
		}
		if len(c.Args) > 3 {
			return engine.ErrSyntax
		}
	}
	s, err := engine.Change[*set.Set](c, key)
	switch {
	case err != nil:
		return err
	case len(c.Args) == 2:
		popOne(c, s)
		return nil
	case s == nil:
		c.W.Set(0)
		return nil
	case count >= int64(s.Len()):
		replySet(c.W, s)
		c.Remove(key)
		c.Notify(engine.EventSet, "spop", key)
		c.Notify(engine.EventGeneric, "del", key)
		c.Log("DEL", key)
		return nil
	}
	popSome(c, s, int(count))
	return nil
}

func popOne(c *engine.Call, s *set.Set) {
	if s == nil {
		c.W.Null()
		return
	}
	member := s.Random().String()
	pop(c, s, member)
	c.W.Bulk(member)
}

// popSome pops some members, but not all of them.
func popSome(c *engine.Call, s *set.Set, n int) {
	members := make([]string, 0, n)
	s.Sample(n, func(member packed.Text) { members = append(members, member.String()) })
	if n > 0 {
		pop(c, s, members...)
	}
	c.W.Set(n)
	for _, member := range members {
		c.W.Bulk(member)
	}
}

// pop removes members that were chosen, and logs which.
func pop(c *engine.Call, s *set.Set, members ...string) {
	key := c.Args[1]
	for _, member := range members {
		keep(c, s, member)
		s.Remove(member)
	}
	changed(c, "spop", key)
	c.RemoveIfEmpty(key, s)
	c.Log(append([]string{"SREM", key}, members...)...)
}
