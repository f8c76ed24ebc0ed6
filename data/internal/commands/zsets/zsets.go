// Package zsets has the commands of sorted sets.
//
// The table is in table.go. Which members a command is about is a span of ranks (span.go), in the forms in which ZRANGE and
// its relatives have it (range.go). Every change of a set is made by setScore and remove, which can be undone.
package zsets

import (
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/data/internal/zset"
)

// errRange is what Redis says of a count below zero, or of one beyond the range.
const errRange engine.Error = "ERR value is out of range, must be positive"

// read returns the sorted set of a key, not to be changed, or nil.
func read(c *engine.Call, key string) (*zset.Set, error) { return engine.Read[*zset.Set](c, key) }

// change returns the sorted set of a key, to be changed, or nil.
func change(c *engine.Call, key string) (*zset.Set, error) {
	z, err := engine.Change[*zset.Set](c, key)
	if z != nil {
		willChange(c, z)
	}
	return z, err
}

// willChange has what setScore and remove do to a flat set undone at once.
func willChange(c *engine.Call, z *zset.Set) {
	if c.Undoing() && z.Flat() {
		c.Undo(z.Saved())
	}
}

// setScore gives a member a score.
func setScore(c *engine.Call, z *zset.Set, member string, score float64) {
	undoing := c.Undoing() && !z.Flat()
	before, was := z.Set(member, score)
	if !undoing {
		return
	}
	member = strings.Clone(member)
	c.Undo(func() {
		if was {
			z.Set(member, before)
		} else {
			z.Remove(member)
		}
	})
}

// remove takes a member away, and reports whether it was there.
func remove(c *engine.Call, z *zset.Set, member string) bool {
	undoing := c.Undoing() && !z.Flat()
	before, was := z.Remove(member)
	if was && undoing {
		member = strings.Clone(member)
		c.Undo(func() { z.Set(member, before) })
	}
	return was
}

// removed tells of a command that has taken members away.
func removed(c *engine.Call, z *zset.Set, key, event string) {
	c.Changed(key)
	c.Notify(engine.EventSortedSet, event, key)
	c.RemoveIfEmpty(key, z)
}

// reply writes a list of members, with or without their scores.
type reply struct {
	w      engine.Writer
	scores bool
	nested bool // each member is a list with its score
}

// newReply begins a reply of n members. With scores it is one list of all in version 2, and a list of pairs in version 3.
func newReply(w engine.Writer, n int, scores bool) reply {
	r := reply{w, scores, scores && w.Proto() > 2}
	r.begin(n)
	return r
}

func (r *reply) begin(n int) {
	if r.scores && !r.nested {
		n *= 2
	}
	r.w.Array(n)
}

func (r *reply) item(item zset.Item) {
	if r.nested {
		r.w.Array(2)
	}
	item.Write(r.w)
	if r.scores {
		r.w.Double(item.Score)
	}
}

func (r *reply) pairs(pairs []zset.Pair) {
	r.begin(len(pairs))
	for _, p := range pairs {
		r.item(zset.Item{Text: packed.Own(p.Member), Score: p.Score})
	}
}

// store puts a sorted set at a key, or removes the key if it is empty, and replies how many members it has.
func store(c *engine.Call, key string, z *zset.Set, event string) {
	if z.Len() == 0 {
		if c.Remove(key) {
			c.Notify(engine.EventGeneric, "del", key)
		}
	} else {
		c.SetObject(key, z, 0)
		c.Notify(engine.EventSortedSet, event, key)
	}
	c.W.Int(int64(z.Len()))
}

// keysAfter returns the places of keys whose number is the argument at a place. before are places of other keys.
func keysAfter(at int, before ...int) engine.Keys {
	return engine.Keys{Find: func(args []string) []int {
		if at >= len(args) {
			return before
		}
		n, ok := number.Int(args[at])
		if !ok || n < 1 || n > int64(len(args)-at-1) {
			return before
		}
		places := append(make([]int, 0, len(before)+int(n)), before...)
		for i := range int(n) {
			places = append(places, at+1+i)
		}
		return places
	}}
}
