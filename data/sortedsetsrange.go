package data

import "context"

// ScoreRange is the scores from Min to Max, both included. math.Inf is a bound as well.
type ScoreRange struct {
	Min, Max                 float64
	MinExcluded, MaxExcluded bool
}

func (r ScoreRange) bounds() (min, max string) {
	min, max = ftoa(r.Min), ftoa(r.Max)
	if r.MinExcluded {
		min = "(" + min
	}
	if r.MaxExcluded {
		max = "(" + max
	}
	return min, max
}

// LexRange is the members from Min to Max, both included, in the order of their bytes. With NoMin, or NoMax, there is no such bound.
type LexRange struct {
	Min, Max                 string
	MinExcluded, MaxExcluded bool
	NoMin, NoMax             bool
}

func (r LexRange) bounds() (min, max string) {
	min, max = "["+r.Min, "["+r.Max
	if r.MinExcluded {
		min = "(" + r.Min
	}
	if r.MaxExcluded {
		max = "(" + r.Max
	}
	if r.NoMin {
		min = "-"
	}
	if r.NoMax {
		max = "+"
	}
	return min, max
}

// ZRangeOptions say which members of a range are meant, and in which order.
type ZRangeOptions struct {
	Rev bool // from the highest to the lowest
	// Offset and Count leave some out: those before, and those behind. Count 0 is all. They are not for ranges of ranks.
	Offset, Count int64
}

// ordered returns the bounds in the order of the members.
func (o ZRangeOptions) ordered(args []string, by, min, max string) []string {
	if o.Rev {
		min, max = max, min
	}
	args = append(args, min, max, by)
	if o.Rev {
		args = append(args, "rev")
	}
	if o.Offset != 0 || o.Count != 0 {
		count := o.Count
		if count == 0 {
			count = -1
		}
		args = append(args, "limit", itoa(o.Offset), itoa(count))
	}
	return args
}

// byRank is ordered for ranks, which count from the end at which the order begins.
func byRank(args []string, start, end int64, rev bool) []string {
	args = append(args, itoa(start), itoa(end))
	if rev {
		args = append(args, "rev")
	}
	return args
}

// ZRange returns the members with the ranks from start to end, end included. Less than zero counts from the last one, which is -1. If rev is true, rank 0 is
// the highest.
func (z SortedSets) ZRange(ctx context.Context, key string, start, end int64, rev bool) ([]string, error) {
	return z.c.texts(ctx, byRank([]string{"zrange", key}, start, end, rev)...)
}

// ZRangeWithScores does what ZRange does, and returns the scores as well.
func (z SortedSets) ZRangeWithScores(ctx context.Context, key string, start, end int64, rev bool) ([]Scored, error) {
	return z.c.scored(ctx, append(byRank([]string{"zrange", key}, start, end, rev), "withscores")...)
}

// ZRangeByScore returns the members with scores in a range.
func (z SortedSets) ZRangeByScore(ctx context.Context, key string, r ScoreRange, o ZRangeOptions) ([]string, error) {
	min, max := r.bounds()
	return z.c.texts(ctx, o.ordered([]string{"zrange", key}, "byscore", min, max)...)
}

// ZRangeByScoreWithScores does what ZRangeByScore does, and returns the scores as well.
func (z SortedSets) ZRangeByScoreWithScores(ctx context.Context, key string, r ScoreRange, o ZRangeOptions) ([]Scored, error) {
	min, max := r.bounds()
	return z.c.scored(ctx, append(o.ordered([]string{"zrange", key}, "byscore", min, max), "withscores")...)
}

// ZRangeByLex returns the members in a range, if all have the same score.
func (z SortedSets) ZRangeByLex(ctx context.Context, key string, r LexRange, o ZRangeOptions) ([]string, error) {
	min, max := r.bounds()
	return z.c.texts(ctx, o.ordered([]string{"zrange", key}, "bylex", min, max)...)
}

// ZRangeStore gives the key destination what ZRange finds, with the scores, and returns how many members that are.
func (z SortedSets) ZRangeStore(ctx context.Context, destination, key string, start, end int64, rev bool) (int64, error) {
	return z.c.integer(ctx, byRank([]string{"zrangestore", destination, key}, start, end, rev)...)
}

// ZRangeStoreByScore gives the key destination what ZRangeByScore finds, and returns how many members that are.
func (z SortedSets) ZRangeStoreByScore(ctx context.Context, destination, key string, r ScoreRange, o ZRangeOptions) (int64, error) {
	min, max := r.bounds()
	return z.c.integer(ctx, o.ordered([]string{"zrangestore", destination, key}, "byscore", min, max)...)
}

// ZRangeStoreByLex gives the key destination what ZRangeByLex finds, and returns how many members that are.
func (z SortedSets) ZRangeStoreByLex(ctx context.Context, destination, key string, r LexRange, o ZRangeOptions) (int64, error) {
	min, max := r.bounds()
	return z.c.integer(ctx, o.ordered([]string{"zrangestore", destination, key}, "bylex", min, max)...)
}

// ZRemRangeByRank removes the members with the ranks from start to end, end included, and returns how many that were.
func (z SortedSets) ZRemRangeByRank(ctx context.Context, key string, start, end int64) (int64, error) {
	return z.c.integer(ctx, "zremrangebyrank", key, itoa(start), itoa(end))
}

// ZRemRangeByScore removes the members with scores in a range, and returns how many that were.
func (z SortedSets) ZRemRangeByScore(ctx context.Context, key string, r ScoreRange) (int64, error) {
	min, max := r.bounds()
	return z.c.integer(ctx, "zremrangebyscore", key, min, max)
}

// ZRemRangeByLex removes the members in a range, if all have the same score, and returns how many that were.
func (z SortedSets) ZRemRangeByLex(ctx context.Context, key string, r LexRange) (int64, error) {
	min, max := r.bounds()
	return z.c.integer(ctx, "zremrangebylex", key, min, max)
}

// ZCombination is sorted sets that are made one.
type ZCombination struct {
	Keys      []string
	Weights   []float64 // with which scores are multiplied, one for each key; nil: 1
	Aggregate Aggregate // what a member gets that is in several; "" is Sum
}

// Aggregate makes one score of several.
type Aggregate string

// The aggregates.
const (
	Sum Aggregate = "sum"
	Min Aggregate = "min"
	Max Aggregate = "max"
)

func (c ZCombination) args(args []string) []string {
	args = append(append(args, itoa(int64(len(c.Keys)))), c.Keys...)
	if c.Weights != nil {
		args = append(args, "weights")
		for _, w := range c.Weights {
			args = append(args, ftoa(w))
		}
	}
	if c.Aggregate != "" {
		args = append(args, "aggregate", string(c.Aggregate))
	}
	return args
}

// ZInter returns the members that all sorted sets have.
func (z SortedSets) ZInter(ctx context.Context, c ZCombination) ([]Scored, error) {
	return z.c.scored(ctx, append(c.args([]string{"zinter"}), "withscores")...)
}

// ZUnion returns the members that any of the sorted sets has.
func (z SortedSets) ZUnion(ctx context.Context, c ZCombination) ([]Scored, error) {
	return z.c.scored(ctx, append(c.args([]string{"zunion"}), "withscores")...)
}

// ZDiff returns the members of the first sorted set that none of the others has.
func (z SortedSets) ZDiff(ctx context.Context, keys ...string) ([]Scored, error) {
	return z.c.scored(ctx, append(numbered("zdiff", keys), "withscores")...)
}

// ZInterStore gives the key destination what ZInter returns, and returns how many members that are.
func (z SortedSets) ZInterStore(ctx context.Context, destination string, c ZCombination) (int64, error) {
	return z.c.integer(ctx, c.args([]string{"zinterstore", destination})...)
}

// ZUnionStore gives the key destination what ZUnion returns, and returns how many members that are.
func (z SortedSets) ZUnionStore(ctx context.Context, destination string, c ZCombination) (int64, error) {
	return z.c.integer(ctx, c.args([]string{"zunionstore", destination})...)
}

// ZDiffStore gives the key destination what ZDiff returns, and returns how many members that are.
func (z SortedSets) ZDiffStore(ctx context.Context, destination string, keys ...string) (int64, error) {
	return z.c.integer(ctx, append([]string{"zdiffstore", destination}, counted(keys)...)...)
}

// ZInterCard returns how many members all sorted sets have, but counts no further than limit, unless that is 0.
func (z SortedSets) ZInterCard(ctx context.Context, limit int64, keys ...string) (int64, error) {
	return z.c.integer(ctx, append(numbered("zintercard", keys), "limit", itoa(limit))...)
}
