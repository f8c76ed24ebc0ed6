package zsets

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/zset"
)

const (
	errScoreRange engine.Error = "ERR min or max is not a float"
	errLexRange   engine.Error = "ERR min or max not valid string range item"
)

// span finds the members that are meant: those of the ranks from from to before to. There are none if to is not larger.
type span func(z *zset.Set) (from, to int)

// parseSpan reads the two ends of a span.
type parseSpan func(min, max string) (span, error)

// parseRanks reads ranks: less than zero they count from the end.
func parseRanks(first, last string) (span, error) {
	lowest, ok := number.Int(first)
	highest, ok2 := number.Int(last)
	if !ok || !ok2 {
		return nil, engine.ErrNotInt
	}
	return func(z *zset.Set) (from, to int) {
		size := int64(z.Len())
		start, end := lowest, highest
		if start < 0 {
			start = max(start+size, 0)
		}
		if end < 0 {
			end += size
		}
		if start > end || start >= size {
			return 0, 0
		}
		return int(start), int(min(end, size-1)) + 1
	}, nil
}

// scoreEnd is one end of a span of scores.
type scoreEnd struct {
	score     float64
	exclusive bool
}

func parseScoreEnd(s string) (end scoreEnd, ok bool) {
	s, end.exclusive = strings.CutPrefix(s, "(")
	end.score, ok = strtod(s)
	return end, ok
}

// strtod returns the number that s is, as C's strtod reads it: with spaces in front, beyond the range, and none at all, which is 0.
func strtod(s string) (f float64, ok bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if s == "" {
		return 0, true
	}
	if f, ok := number.Float(s); ok {
		return f, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) || math.IsNaN(f) || strings.Contains(s, "_") {
		return 0, false
	}
	return f, true
}

// parseScores reads scores.
func parseScores(min, max string) (span, error) {
	low, ok := parseScoreEnd(min)
	high, ok2 := parseScoreEnd(max)
	if !ok || !ok2 {
		return nil, errScoreRange
	}
	return func(z *zset.Set) (from, to int) {
		return z.Below(low.score, low.exclusive), z.Below(high.score, !high.exclusive)
	}, nil
}

// lexEnd is one end of a span of members that have the same score.
type lexEnd struct {
	member    string
	exclusive bool
	beyond    int // -1: before all members; 1: behind all
}

func parseLexEnd(s string) (end lexEnd, ok bool) {
	switch {
	case s == "-":
		return lexEnd{beyond: -1}, true
	case s == "+":
		return lexEnd{beyond: 1}, true
	case s == "" || s[0] != '(' && s[0] != '[':
		return lexEnd{}, false
	}
	return lexEnd{member: s[1:], exclusive: s[0] == '('}, true
}

// compare compares a member with the end.
func (end lexEnd) compare(member string) int {
	if end.beyond != 0 {
		return -end.beyond
	}
	return strings.Compare(member, end.member)
}

// parseMembers reads members.
func parseMembers(min, max string) (span, error) {
	low, ok := parseLexEnd(min)
	high, ok2 := parseLexEnd(max)
	if !ok || !ok2 {
		return nil, errLexRange
	}
	return func(z *zset.Set) (from, to int) {
		from = z.Search(func(member string) bool {
			cmp := low.compare(member)
			return cmp < 0 || low.exclusive && cmp == 0
		})
		to = z.Search(func(member string) bool {
			cmp := high.compare(member)
			return cmp < 0 || !high.exclusive && cmp == 0
		})
		return from, to
	}, nil
}

// visitSpan calls visit with the items of a span, in their order or in the opposite one.
func visitSpan(z *zset.Set, from, to int, reverse bool, visit func(item zset.Item)) {
	left := to - from
	if left <= 0 {
		return
	}
	count := func(item zset.Item) bool {
		visit(item)
		left--
		return left > 0
	}
	if reverse {
		z.Descend(to-1, count)
	} else {
		z.Ascend(from, count)
	}
}

// replySpan replies the items of a span.
func replySpan(w engine.Writer, z *zset.Set, from, to int, reverse, scores bool) {
	r := newReply(w, to-from, scores)
	visitSpan(z, from, to, reverse, func(item zset.Item) { r.item(item) })
}

// appendSpan appends the items of a span.
func appendSpan(pairs []zset.Pair, z *zset.Set, from, to int, reverse bool) []zset.Pair {
	pairs = slices.Grow(pairs, max(0, to-from))
	visitSpan(z, from, to, reverse, func(item zset.Item) {
		pairs = append(pairs, zset.Pair{Member: item.String(), Score: item.Score})
	})
	return pairs
}
