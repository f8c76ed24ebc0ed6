package sets

import (
	"math"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/data/internal/scan"
	"github.com/peercache/peercache/data/internal/set"
)

// length returns the number of members, of no set as well.
func length(s *set.Set) int {
	if s == nil {
		return 0
	}
	return s.Len()
}

func scard(c *engine.Call) error {
	s, err := engine.Read[*set.Set](c, c.Args[1])
	if err != nil {
		return err
	}
	c.W.Int(int64(length(s)))
	return nil
}

// has returns 1 if a set has a member, or 0. There may be no set.
func has(s *set.Set, member string) int64 {
	if s != nil && s.Has(member) {
		return 1
	}
	return 0
}

func sismember(c *engine.Call) error {
	s, err := engine.Read[*set.Set](c, c.Args[1])
	if err != nil {
		return err
	}
	c.W.Int(has(s, c.Args[2]))
	return nil
}

func smismember(c *engine.Call) error {
	s, err := engine.Read[*set.Set](c, c.Args[1])
	if err != nil {
		return err
	}
	c.W.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		c.W.Int(has(s, member))
	}
	return nil
}

const errCount engine.Error = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"

// mostRepeated is how many members are returned at most where they may repeat. Redis has no such bound, and runs out of memory.
const mostRepeated = 1 << 20

func srandmember(c *engine.Call) error {
	if len(c.Args) == 2 {
		return randomMember(c)
	}
	count, ok := number.Int(c.Args[2])
	switch {
	case len(c.Args) > 3:
		return engine.ErrSyntax
	case !ok:
		return engine.ErrNotInt
	case count == math.MinInt64:
		return errCount
	case count < -mostRepeated:
		return engine.Error("ERR value is out of range")
	}
	s, err := engine.Read[*set.Set](c, c.Args[1])
	switch {
	case err != nil:
		return err
	case s == nil:
		c.W.Array(0)
	case count < 0:
		c.W.Array(int(-count))
		for range -count {
			s.Random().Write(c.W)
		}
	default:
		n := int(min(count, int64(s.Len())))
		c.W.Array(n)
		s.Sample(n, func(member packed.Text) { member.Write(c.W) })
	}
	return nil
}

func randomMember(c *engine.Call) error {
	s, err := engine.Read[*set.Set](c, c.Args[1])
	if err != nil {
		return err
	}
	if s == nil {
		c.W.Null()
	} else {
		s.Random().Write(c.W)
	}
	return nil
}

func sscan(c *engine.Call) error {
	return scan.Elements(c, func(s *set.Set, place uint64, found *scan.Found) uint64 {
		return s.Scan(place, func(member packed.Text) {
			if found.Visit(member.View()) {
				found.Add(member.String())
			}
		})
	})
}
