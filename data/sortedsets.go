package data

import (
	"context"
	"iter"
	"strconv"
	"time"
)

// SortedSets are the commands of sorted sets: members with scores, in the order of the scores, then of the members. Those that return
// many are in sortedsetsrange.go. They are made by Commands.SortedSets.
type SortedSets struct{ c Commands }

// SortedSets returns the commands of sorted sets.
func (c Commands) SortedSets() SortedSets { return SortedSets{c} }

// Scored is a member of a sorted set.
type Scored struct {
	Member string
	Score  float64
}

// ZAddOptions say how members are added.
type ZAddOptions struct {
	IfAbsent, IfPresent bool // only such as are not there, or are
	IfGreater, IfLess   bool // one that is there gets a score only if it is more than it has, or less
	Changed             bool // count those that got another score, besides new ones
}

func (o ZAddOptions) args(args []string) []string {
	for _, a := range []struct {
		is   bool
		name string
	}{{o.IfAbsent, "nx"}, {o.IfPresent, "xx"}, {o.IfGreater, "gt"}, {o.IfLess, "lt"}, {o.Changed, "ch"}} {
		if a.is {
			args = append(args, a.name)
		}
	}
	return args
}

// ZAdd adds members, or gives them other scores, and returns how many are new.
func (z SortedSets) ZAdd(ctx context.Context, key string, members ...Scored) (int64, error) {
	return z.ZAddWith(ctx, key, ZAddOptions{}, members...)
}

// ZAddWith is ZAdd with options.
func (z SortedSets) ZAddWith(ctx context.Context, key string, o ZAddOptions, members ...Scored) (int64, error) {
	if len(members) == 0 {
		return 0, nil
	}
	args := o.args([]string{"zadd", key})
	for _, m := range members {
		args = append(args, ftoa(m.Score), m.Member)
	}
	return z.c.integer(ctx, args...)
}

// ZAddIncr adds to the score of a member, 0 if there is none, and returns it. ErrNil says that the options did not allow it.
func (z SortedSets) ZAddIncr(ctx context.Context, key string, o ZAddOptions, by float64, member string) (float64, error) {
	return z.c.number(ctx, append(o.args([]string{"zadd", key}), "incr", ftoa(by), member)...)
}

// ZIncrBy adds to the score of a member, 0 if there is none, and returns it.
func (z SortedSets) ZIncrBy(ctx context.Context, key string, by float64, member string) (float64, error) {
	return z.c.number(ctx, "zincrby", key, ftoa(by), member)
}

// ZRem removes members, and returns how many were there.
func (z SortedSets) ZRem(ctx context.Context, key string, members ...string) (int64, error) {
	return z.c.manyOf(ctx, "zrem", key, members)
}

// ZCard returns how many members there are.
func (z SortedSets) ZCard(ctx context.Context, key string) (int64, error) {
	return z.c.integer(ctx, "zcard", key)
}

// ZScore returns the score of a member.
func (z SortedSets) ZScore(ctx context.Context, key, member string) (float64, error) {
	return z.c.number(ctx, "zscore", key, member)
}

// Score is a score that may not be there.
type Score struct {
	Score float64
	OK    bool // it is there
}

// ZMScore returns a Score for each member, in their order.
func (z SortedSets) ZMScore(ctx context.Context, key string, members ...string) ([]Score, error) {
	if len(members) == 0 {
		return nil, nil
	}
	list, err := z.c.list(ctx, append([]string{"zmscore", key}, members...)...)
	if err != nil {
		return nil, err
	}
	scores := make([]Score, len(list))
	for i, r := range list {
		if r.Kind == NullReply {
			continue
		}
		f, err := r.Number()
		if err != nil {
			return nil, err
		}
		scores[i] = Score{f, true}
	}
	return scores, nil
}

// ZRank returns how many members are before one.
func (z SortedSets) ZRank(ctx context.Context, key, member string) (int64, error) {
	return z.c.integer(ctx, "zrank", key, member)
}

// ZRevRank returns how many members are behind one.
func (z SortedSets) ZRevRank(ctx context.Context, key, member string) (int64, error) {
	return z.c.integer(ctx, "zrevrank", key, member)
}

// ZCount returns how many members have scores in a range.
func (z SortedSets) ZCount(ctx context.Context, key string, r ScoreRange) (int64, error) {
	min, max := r.bounds()
	return z.c.integer(ctx, "zcount", key, min, max)
}

// ZLexCount returns how many members are in a range, if all have the same score.
func (z SortedSets) ZLexCount(ctx context.Context, key string, r LexRange) (int64, error) {
	min, max := r.bounds()
	return z.c.integer(ctx, "zlexcount", key, min, max)
}

// ZPopMin removes up to n members with the lowest scores, and returns them.
func (z SortedSets) ZPopMin(ctx context.Context, key string, n int64) ([]Scored, error) {
	return z.c.scored(ctx, "zpopmin", key, itoa(n))
}

// ZPopMax removes up to n members with the highest scores, and returns them, the highest first.
func (z SortedSets) ZPopMax(ctx context.Context, key string, n int64) ([]Scored, error) {
	return z.c.scored(ctx, "zpopmax", key, itoa(n))
}

// scored runs a command that returns members with scores.
func (c Commands) scored(ctx context.Context, args ...string) ([]Scored, error) {
	list, err := c.list(ctx, args...)
	if err != nil {
		return nil, err
	}
	return scoredOf(list)
}

// scoredOf makes members of pairs, which may be lists of their own, or one behind the other.
func scoredOf(list []Reply) ([]Scored, error) {
	texts, err := flatTexts(list)
	if err != nil {
		return nil, err
	}
	members := make([]Scored, 0, len(texts)/2)
	for i := 0; i+1 < len(texts); i += 2 {
		f, err := strconv.ParseFloat(texts[i+1], 64)
		if err != nil {
			return nil, err
		}
		members = append(members, Scored{texts[i], f})
	}
	return members, nil
}

// PoppedScored is what was removed from one of several sorted sets.
type PoppedScored struct {
	Key     string
	Members []Scored
}

// Extreme is which members of a sorted set are meant.
type Extreme string

// The extremes.
const (
	Lowest  Extreme = "min"
	Highest Extreme = "max"
)

// ZMPop removes up to n members with the lowest or the highest scores from the first of the sorted sets that has any.
func (z SortedSets) ZMPop(ctx context.Context, which Extreme, n int64, keys ...string) (PoppedScored, error) {
	return z.c.poppedScored(ctx, append(numbered("zmpop", keys), string(which), "count", itoa(n)))
}

// poppedScored runs a command that returns a key, and members of it: a list, or one with its score behind.
func (c Commands) poppedScored(ctx context.Context, args []string) (p PoppedScored, err error) {
	r, err := single(c.doer.do(ctx, args))
	if err != nil || r.Kind == QueuedReply {
		return p, err
	}
	if len(r.List) < 2 {
		return p, r.not("a key with members")
	}
	if p.Key, err = r.List[0].Text(); err != nil {
		return p, err
	}
	p.Members, err = scoredOf(r.List[1:])
	return p, err
}

// BZPopMin is ZPopMin of one member that waits until one of the sorted sets has one.
func (z SortedSets) BZPopMin(ctx context.Context, wait time.Duration, keys ...string) (key string, m Scored, err error) {
	return z.c.poppedMember(ctx, waiting("bzpopmin", keys, wait))
}

// BZPopMax is ZPopMax of one member that waits until one of the sorted sets has one.
func (z SortedSets) BZPopMax(ctx context.Context, wait time.Duration, keys ...string) (key string, m Scored, err error) {
	return z.c.poppedMember(ctx, waiting("bzpopmax", keys, wait))
}

func (c Commands) poppedMember(ctx context.Context, args []string) (key string, m Scored, err error) {
	p, err := c.poppedScored(ctx, args)
	if err != nil || len(p.Members) == 0 {
		return "", m, err
	}
	return p.Key, p.Members[0], nil
}

// BZMPop is ZMPop that waits until one of the sorted sets has a member.
func (z SortedSets) BZMPop(ctx context.Context, wait time.Duration, which Extreme, n int64, keys ...string) (PoppedScored, error) {
	args := append([]string{"bzmpop", seconds(wait)}, counted(keys)...)
	return z.c.poppedScored(ctx, append(args, string(which), "count", itoa(n)))
}

// ZRandMember returns up to n members by chance, each once; if n is less than zero, -n members, of which some may be the same.
func (z SortedSets) ZRandMember(ctx context.Context, key string, n int64) ([]string, error) {
	return z.c.texts(ctx, "zrandmember", key, itoa(n))
}

// ZRandMemberWithScores does what ZRandMember does, and returns the scores as well.
func (z SortedSets) ZRandMemberWithScores(ctx context.Context, key string, n int64) ([]Scored, error) {
	return z.c.scored(ctx, "zrandmember", key, itoa(n), "withscores")
}

// ZScan goes through all members, as Keys.Scan goes through keys. An error is the last that is yielded.
func (z SortedSets) ZScan(ctx context.Context, key string, o ScanOptions) iter.Seq2[Scored, error] {
	return func(yield func(Scored, error) bool) {
		z.c.scan(ctx, o.args([]string{"zscan", key, "0"}), 2, 2, func(of []string, err error) bool {
			var m Scored
			if err == nil {
				m.Member = of[0]
				m.Score, err = strconv.ParseFloat(of[1], 64)
			}
			return yield(m, err) && err == nil
		})
	}
}
