package zsets

import (
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/zset"
)

const (
	errLimitRanks engine.Error = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	errScoresLex  engine.Error = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
)

// by says what a range is about.
type by uint8

const (
	byAny by = iota // not said yet
	byRank
	byScore
	byLex
)

// ranged is what ZRANGE and its relatives ask for.
type ranged struct {
	by      by
	reverse bool
	decided bool // reverse is not to be changed
	store   bool

	scores        bool
	offset, limit int64 // limit is less than zero: none
	span          span
}

// parse reads what follows the key: the two ends, and options.
func (r *ranged) parse(args []string) error {
	r.limit = -1
	for rest := args[2:]; len(rest) > 0; {
		n, err := r.option(rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	switch {
	case r.limit != -1 && (r.by == byAny || r.by == byRank):
		return errLimitRanks
	case r.scores && r.by == byLex:
		return errScoresLex
	}
	from, to := args[0], args[1]
	if r.reverse && (r.by == byScore || r.by == byLex) {
		from, to = to, from
	}
	parse := parseSpan(parseRanks)
	switch r.by {
	case byScore:
		parse = parseScores
	case byLex:
		parse = parseMembers
	}
	var err error
	r.span, err = parse(from, to)
	return err
}

// option reads the option that args begin with, and returns how many of them it takes.
func (r *ranged) option(args []string) (n int, err error) {
	switch option := args[0]; {
	case !r.store && strings.EqualFold(option, "withscores"):
		r.scores = true
	case len(args) > 2 && strings.EqualFold(option, "limit"):
		var ok, ok2 bool
		r.offset, ok = number.Int(args[1])
		r.limit, ok2 = number.Int(args[2])
		if !ok || !ok2 {
			return 0, engine.ErrNotInt
		}
		return 3, nil
	case !r.decided && !r.reverse && strings.EqualFold(option, "rev"):
		r.reverse = true
	case r.by == byAny && strings.EqualFold(option, "bylex"):
		r.by = byLex
	case r.by == byAny && strings.EqualFold(option, "byscore"):
		r.by = byScore
	default:
		return 0, engine.ErrSyntax
	}
	return 1, nil
}

// find returns the ranks that r means in z, which may be nil.
func (r *ranged) find(z *zset.Set) (from, to int) {
	if z == nil {
		return 0, 0
	}
	from, to = r.span(z)
	if r.by != byScore && r.by != byLex {
		if r.reverse {
			from, to = z.Len()-to, z.Len()-from
		}
		return from, max(from, to)
	}
	if r.offset < 0 || r.offset >= int64(to-from) {
		return 0, 0
	}
	size := int64(to-from) - r.offset
	if r.limit >= 0 {
		size = min(size, r.limit)
	}
	if r.reverse {
		to -= int(r.offset)
		return to - int(size), to
	}
	from += int(r.offset)
	return from, from + int(size)
}

// reply replies the range of a key.
func (r ranged) reply(c *engine.Call) error {
	if err := r.parse(c.Args[2:]); err != nil {
		return err
	}
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	from, to := r.find(z)
	replySpan(c.W, z, from, to, r.reverse, r.scores)
	return nil
}

func zrange(c *engine.Call) error { return ranged{}.reply(c) }

func zrevrange(c *engine.Call) error {
	return ranged{by: byRank, reverse: true, decided: true}.reply(c)
}

func zrangebyscore(c *engine.Call) error { return ranged{by: byScore, decided: true}.reply(c) }

func zrevrangebyscore(c *engine.Call) error {
	return ranged{by: byScore, reverse: true, decided: true}.reply(c)
}

func zrangebylex(c *engine.Call) error { return ranged{by: byLex, decided: true}.reply(c) }

func zrevrangebylex(c *engine.Call) error {
	return ranged{by: byLex, reverse: true, decided: true}.reply(c)
}

func zrangestore(c *engine.Call) error {
	r := ranged{store: true}
	if err := r.parse(c.Args[3:]); err != nil {
		return err
	}
	z, err := read(c, c.Args[2])
	if err != nil {
		return err
	}
	from, to := r.find(z)
	if r.by == byAny {
		store(c, c.Args[1], zset.From(appendSpan(nil, z, from, to, false)), "zrangestore")
		return nil
	}
	stored := zset.New() // it is small first, as Redis' is, which makes 0 of -0
	visitSpan(z, from, to, r.reverse, func(item zset.Item) { stored.Set(item.View(), item.Score) })
	store(c, c.Args[1], stored, "zrangestore")
	return nil
}

func zcount(c *engine.Call) error { return count(c, parseScores) }

func zlexcount(c *engine.Call) error { return count(c, parseMembers) }

func count(c *engine.Call, parse parseSpan) error {
	span, err := parse(c.Args[2], c.Args[3])
	if err != nil {
		return err
	}
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	n := 0
	if z != nil {
		from, to := span(z)
		n = max(0, to-from)
	}
	c.W.Int(int64(n))
	return nil
}

func zremrangebyrank(c *engine.Call) error { return removeRange(c, parseRanks) }

func zremrangebyscore(c *engine.Call) error { return removeRange(c, parseScores) }

func zremrangebylex(c *engine.Call) error { return removeRange(c, parseMembers) }

func removeRange(c *engine.Call, parse parseSpan) error {
	key := c.Args[1]
	span, err := parse(c.Args[2], c.Args[3])
	if err != nil {
		return err
	}
	z, err := change(c, key)
	if err != nil {
		return err
	}
	if z == nil {
		c.W.Int(0)
		return nil
	}
	from, to := span(z)
	pairs := appendSpan(nil, z, from, to, false)
	for _, p := range pairs {
		remove(c, z, p.Member)
	}
	if len(pairs) > 0 {
		removed(c, z, key, c.Name())
	}
	c.W.Int(int64(len(pairs)))
	return nil
}
