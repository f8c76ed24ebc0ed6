package zsets

import (
	"math"
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/scan"
	"github.com/peercache/peercache/data/internal/zset"
)

func zcard(c *engine.Call) error {
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	c.W.Int(int64(length(z)))
	return nil
}

// length returns the number of members of z, which may be nil.
func length(z *zset.Set) int {
	if z == nil {
		return 0
	}
	return z.Len()
}

func zscore(c *engine.Call) error {
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	replyScore(c.W, z, c.Args[2])
	return nil
}

func zmscore(c *engine.Call) error {
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	c.W.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		replyScore(c.W, z, member)
	}
	return nil
}

// replyScore writes the score of a member of z, which may be nil.
func replyScore(w engine.Writer, z *zset.Set, member string) {
	if z != nil {
		if score, ok := z.Score(member); ok {
			w.Double(score)
			return
		}
	}
	w.Null()
}

func zrank(c *engine.Call) error { return rank(c, false) }

func zrevrank(c *engine.Call) error { return rank(c, true) }

func rank(c *engine.Call, reverse bool) error {
	withScore := len(c.Args) > 3
	switch {
	case len(c.Args) > 4:
		return engine.Error("ERR wrong number of arguments for '" + c.Name() + "' command")
	case withScore && !strings.EqualFold(c.Args[3], "withscore"):
		return engine.ErrSyntax
	}
	z, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	var rank int
	var score float64
	ok := false
	if z != nil {
		rank, score, ok = z.Rank(c.Args[2])
	}
	if reverse && ok {
		rank = z.Len() - 1 - rank
	}
	switch {
	case !ok && withScore:
		c.W.NullArray()
	case !ok:
		c.W.Null()
	case withScore:
		c.W.Array(2)
		c.W.Int(int64(rank))
		c.W.Double(score)
	default:
		c.W.Int(int64(rank))
	}
	return nil
}

func zscan(c *engine.Call) error {
	return scan.Elements(c, func(z *zset.Set, place uint64, found *scan.Found) uint64 {
		return z.Scan(place, func(item zset.Item) {
			if found.Visit(item.View()) {
				found.Add(item.String(), scanScore(z, item.Score))
			}
		})
	})
}

// scanScore returns a score as ZSCAN replies it: that of a small set in all its digits if it is an integer.
func scanScore(z *zset.Set, score float64) string {
	if z.Flat() && score == math.Trunc(score) && math.Abs(score) <= math.MaxInt64/2 {
		return strconv.FormatInt(int64(score), 10)
	}
	return number.Format(score)
}
