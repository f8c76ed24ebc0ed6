package sets

import (
	"math"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/data/internal/set"
)

// readAll returns the sets of keys, nil where there is none.
func readAll(c *engine.Call, keys []string) ([]*set.Set, error) {
	sets := make([]*set.Set, len(keys))
	for i, key := range keys {
		var err error
		if sets[i], err = engine.Read[*set.Set](c, key); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// combination calls do with each member of a combination of sets, valid until do returns, until do returns false.
type combination func(sets []*set.Set, do func(member packed.Text) bool)

// intersect is a combination: what all have.
func intersect(sets []*set.Set, do func(member packed.Text) bool) {
	if slices.Contains(sets, nil) {
		return
	}
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b *set.Set) int { return a.Len() - b.Len() })
	sets[0].All(func(member packed.Text) bool {
		for _, other := range sets[1:] {
			if !other.Has(member.View()) {
				return true
			}
		}
		return do(member)
	})
}

// subtract is a combination: what the first has, and no other.
func subtract(sets []*set.Set, do func(member packed.Text) bool) {
	if sets[0] == nil {
		return
	}
	sets[0].All(func(member packed.Text) bool {
		for _, other := range sets[1:] {
			if other != nil && other.Has(member.View()) {
				return true
			}
		}
		return do(member)
	})
}

// unite is a combination: what any has.
func unite(sets []*set.Set, do func(member packed.Text) bool) {
	seen := set.New()
	repeat(sets, func(member packed.Text) bool { return !seen.Add(member.View()) || do(member) })
}

// repeat is unite, but calls do as often as there are sets that have a member.
func repeat(sets []*set.Set, do func(member packed.Text) bool) {
	more := true
	for _, s := range sets {
		if s != nil && more {
			s.All(func(member packed.Text) bool {
				more = do(member)
				return more
			})
		}
	}
}

// reply replies a combination of the sets of all arguments.
func reply(c *engine.Call, combine combination) error {
	sets, err := readAll(c, c.Args[1:])
	if err != nil {
		return err
	}
	if len(sets) == 1 {
		replySet(c.W, sets[0])
		return nil
	}
	var members []string
	combine(sets, func(member packed.Text) bool {
		members = append(members, member.String())
		return true
	})
	c.W.Set(len(members))
	for _, member := range members {
		c.W.Bulk(member)
	}
	return nil
}

// replySet replies all members of a set, or of none.
func replySet(w engine.Writer, s *set.Set) {
	w.Set(length(s))
	if s != nil {
		s.All(func(member packed.Text) bool {
			member.Write(w)
			return true
		})
	}
}

func sunion(c *engine.Call) error { return reply(c, unite) }
func sdiff(c *engine.Call) error  { return reply(c, subtract) }
func inter(c *engine.Call) error  { return reply(c, intersect) }

// store puts a combination of the sets of all arguments but the first into the first.
func store(c *engine.Call, combine combination) error {
	key := c.Args[1]
	sets, err := readAll(c, c.Args[2:])
	if err != nil {
		return err
	}
	result := set.New()
	combine(sets, func(member packed.Text) bool {
		result.Add(member.View())
		return true
	})
	if result.Len() > 0 {
		c.SetObject(key, result, 0)
		c.Notify(engine.EventSet, c.Name(), key)
	} else if c.Remove(key) {
		c.Notify(engine.EventGeneric, "del", key)
	}
	c.W.Int(int64(result.Len()))
	return nil
}

func sunionstore(c *engine.Call) error { return store(c, repeat) }
func sdiffstore(c *engine.Call) error  { return store(c, subtract) }
func sinterstore(c *engine.Call) error { return store(c, intersect) }

const (
	errNumKeys   engine.Error = "ERR numkeys should be greater than 0"
	errTooMany   engine.Error = "ERR Number of keys can't be greater than number of args"
	errLimit     engine.Error = "ERR LIMIT can't be negative"
	limitOption               = "limit"
	withoutLimit              = math.MaxInt64
)

func sintercard(c *engine.Call) error {
	n, ok := number.Int(c.Args[1])
	switch {
	case !ok || n < 1:
		return errNumKeys
	case n > int64(len(c.Args)-2):
		return errTooMany
	}
	limit := int64(0)
	options := c.Args[2+n:]
	for ; len(options) > 0; options = options[2:] {
		if len(options) < 2 || !strings.EqualFold(options[0], limitOption) {
			return engine.ErrSyntax
		}
		if limit, ok = number.Int(options[1]); !ok || limit < 0 {
			return errLimit
		}
	}
	if limit == 0 {
		limit = withoutLimit
	}
	sets, err := readAll(c, c.Args[2:2+n])
	if err != nil {
		return err
	}
	count := int64(0)
	intersect(sets, func(packed.Text) bool {
		count++
		return count < limit
	})
	c.W.Int(count)
	return nil
}
