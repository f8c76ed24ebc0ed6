package zsets

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/number"
	"github.com/peercache/peercache/data/internal/packed"
	"github.com/peercache/peercache/data/internal/set"
	"github.com/peercache/peercache/data/internal/zset"
)

const (
	errWeight engine.Error = "ERR weight value is not a float"
	errLimit  engine.Error = "ERR LIMIT can't be negative"
)

// source is an input of ZUNION and its relatives.
type source struct {
	members
	weight float64
}

// members are those of an input, with scores.
type members interface {
	Len() int
	// All calls yield with each member, which stays valid.
	All(yield func(member string, score float64) bool)
	Score(member string) (score float64, ok bool)
}

// ofZset are the members of a sorted set, which may be nil.
type ofZset struct{ z *zset.Set }

func (o ofZset) Len() int { return length(o.z) }

func (o ofZset) All(yield func(member string, score float64) bool) {
	if o.z == nil {
		return
	}
	o.z.All(func(item zset.Item) bool { return yield(item.String(), item.Score) })
}

func (o ofZset) Score(member string) (score float64, ok bool) {
	if o.z == nil {
		return 0, false
	}
	return o.z.Score(member)
}

// ofSet are the members of a set, whose scores are 1.
type ofSet struct{ *set.Set }

func (o ofSet) All(yield func(member string, score float64) bool) {
	o.Set.All(func(member packed.Text) bool { return yield(member.String(), 1) })
}

func (o ofSet) Score(member string) (score float64, ok bool) { return 1, o.Has(member) }

// inputOf returns the members of a key, which has a sorted set, a set, or nothing.
func inputOf(c *engine.Call, key string) (members, error) {
	n := c.Find(key)
	if n == nil {
		return ofZset{}, nil
	}
	switch object := n.Value.Object.(type) {
	case *zset.Set:
		return ofZset{object}, nil
	case *set.Set:
		return ofSet{object}, nil
	}
	return nil, engine.ErrWrongType
}

// aggregate makes one score of two.
type aggregate func(a, b float64) float64

func sum(a, b float64) float64 { return zeroIfNaN(a + b) } // Inf and -Inf

func least(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func most(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

func zeroIfNaN(f float64) float64 {
	if math.IsNaN(f) {
		return 0
	}
	return f
}

// allows are the options that a command knows.
type allows struct{ weights, scores, limit bool }

// combination is what ZUNION and its relatives ask for.
type combination struct {
	sources   []source
	aggregate aggregate
	scores    bool
	limit     int64 // 0: none
}

// parseCombination reads numkeys, which args begin with, keys and options. As Redis does, it looks at the keys before it looks at the
// options.
func parseCombination(c *engine.Call, args []string, allowed allows) (*combination, error) {
	n, ok := number.Int(args[0])
	switch args = args[1:]; {
	case !ok:
		return nil, engine.ErrNotInt
	case n < 1:
		return nil, engine.Error("ERR at least 1 input key is needed for '" + c.Name() + "' command")
	case n > int64(len(args)):
		return nil, engine.ErrSyntax
	}
	com := &combination{aggregate: sum, sources: make([]source, n)}
	for i, key := range args[:n] {
		m, err := inputOf(c, key)
		if err != nil {
			return nil, err
		}
		com.sources[i] = source{m, 1}
	}
	for args = args[n:]; len(args) > 0; {
		n, err := com.option(args, allowed)
		if err != nil {
			return nil, err
		}
		args = args[n:]
	}
	return com, nil
}

// option reads the option that args begin with, and returns how many of them it takes.
func (com *combination) option(args []string, allowed allows) (n int, err error) {
	switch option := args[0]; {
	case allowed.weights && len(args) > len(com.sources) && strings.EqualFold(option, "weights"):
		for i := range com.sources {
			weight, ok := number.Float(args[1+i])
			if !ok {
				return 0, errWeight
			}
			com.sources[i].weight = weight
		}
		return 1 + len(com.sources), nil
	case allowed.weights && len(args) > 1 && strings.EqualFold(option, "aggregate"):
		switch strings.ToLower(args[1]) {
		case "sum":
			com.aggregate = sum
		case "min":
			com.aggregate = least
		case "max":
			com.aggregate = most
		default:
			return 0, engine.ErrSyntax
		}
		return 2, nil
	case allowed.scores && strings.EqualFold(option, "withscores"):
		com.scores = true
		return 1, nil
	case allowed.limit && len(args) > 1 && strings.EqualFold(option, "limit"):
		limit, ok := number.Int(args[1])
		if !ok || limit < 0 {
			return 0, errLimit
		}
		com.limit = limit
		return 2, nil
	}
	return 0, engine.ErrSyntax
}

// bySize sorts the inputs by their sizes: the order in which scores are added is that of Redis.
func (com *combination) bySize() {
	slices.SortStableFunc(com.sources, func(a, b source) int { return cmp.Compare(a.Len(), b.Len()) })
}

func (com *combination) union() []zset.Pair {
	com.bySize()
	var pairs []zset.Pair
	places := make(map[string]int)
	for _, s := range com.sources {
		for member, score := range s.All {
			score = zeroIfNaN(score * s.weight)
			if i, ok := places[member]; ok {
				pairs[i].Score = com.aggregate(pairs[i].Score, score)
				continue
			}
			places[member] = len(pairs)
			pairs = append(pairs, zset.Pair{Member: member, Score: score})
		}
	}
	return pairs
}

func (com *combination) intersection() []zset.Pair {
	com.bySize()
	var pairs []zset.Pair
	first, others := com.sources[0], com.sources[1:]
next:
	for member, score := range first.All {
		score = zeroIfNaN(score * first.weight)
		for _, s := range others {
			other, ok := s.Score(member)
			if !ok {
				continue next
			}
			score = com.aggregate(score, other*s.weight)
		}
		pairs = append(pairs, zset.Pair{Member: member, Score: score})
		if int64(len(pairs)) == com.limit {
			break
		}
	}
	return pairs
}

func (com *combination) difference() []zset.Pair {
	var pairs []zset.Pair
	first, others := com.sources[0], com.sources[1:]
	for member, score := range first.All {
		if !slices.ContainsFunc(others, func(s source) bool { _, ok := s.Score(member); return ok }) {
			pairs = append(pairs, zset.Pair{Member: member, Score: score})
		}
	}
	return pairs
}
