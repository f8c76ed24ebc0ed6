package drivertest

import (
	"math"
	"time"

	"github.com/peercache/peercache/data"
)

func (s *suite) typedRanges() {
	ctx, c := s.Context(), s.c.SortedSets()
	s.fresh()
	m := func(score float64, member string) data.Scored { return data.Scored{Member: member, Score: score} }
	s.want("4 ")(outcome(c.ZAdd(ctx, a, m(1, "w"), m(2, "x"), m(3, "y"), m(4, "z"))))
	s.want("2 ")(outcome(c.ZAdd(ctx, b, m(10, "x"), m(20, "q"))))
	upTo3 := data.ScoreRange{Min: math.Inf(-1), Max: 3, MaxExcluded: true}
	s.want("2 ")(outcome(c.ZCount(ctx, a, upTo3)))
	s.want("3 ")(outcome(c.ZLexCount(ctx, a, data.LexRange{Min: "w", MinExcluded: true, NoMax: true})))
	s.want("[w x] ")(outcome(c.ZRange(ctx, a, 0, 1, false)))
	s.want("[z y] ")(outcome(c.ZRange(ctx, a, 0, 1, true)))
	s.want("[{w 1} {x 2}] ")(outcome(c.ZRangeWithScores(ctx, a, 0, 1, false)))
	s.want("[w x] ")(outcome(c.ZRangeByScore(ctx, a, upTo3, data.ZRangeOptions{})))
	s.want("[x w] ")(outcome(c.ZRangeByScore(ctx, a, upTo3, data.ZRangeOptions{Rev: true})))
	s.want("[{x 2}] ")(outcome(c.ZRangeByScoreWithScores(ctx, a, upTo3, data.ZRangeOptions{Offset: 1})))
	s.want("[w x y] ")(outcome(c.ZRangeByLex(ctx, a, data.LexRange{NoMin: true, Max: "y"}, data.ZRangeOptions{})))
	s.want("[y] ")(outcome(c.ZRangeByLex(ctx, a, data.LexRange{NoMin: true, Max: "y"}, data.ZRangeOptions{Rev: true, Count: 1})))
	s.want("2 ")(outcome(c.ZRangeStore(ctx, "{test}c", a, 0, 1, false)))
	s.want("2 ")(outcome(c.ZRangeStoreByScore(ctx, "{test}c", a, upTo3, data.ZRangeOptions{})))
	s.want("1 ")(outcome(c.ZRangeStoreByLex(ctx, "{test}c", a, data.LexRange{Min: "z", NoMax: true}, data.ZRangeOptions{})))
	both := data.ZCombination{Keys: []string{a, b}, Weights: []float64{2, 1}, Aggregate: data.Max}
	s.want("[{x 10}] ")(outcome(c.ZInter(ctx, both)))
	s.want("[{w 2} {y 6} {z 8} {x 10} {q 20}] ")(outcome(c.ZUnion(ctx, both)))
	s.want("[{w 1} {y 3} {z 4}] ")(outcome(c.ZDiff(ctx, a, b)))
	s.want("1 ")(outcome(c.ZInterStore(ctx, "{test}c", both)))
	s.want("5 ")(outcome(c.ZUnionStore(ctx, "{test}c", both)))
	s.want("3 ")(outcome(c.ZDiffStore(ctx, "{test}c", a, b)))
	s.want("1 ")(outcome(c.ZInterCard(ctx, 0, a, b)))
	s.want("1 ")(outcome(c.ZRemRangeByRank(ctx, "{test}c", 0, 0)))
	s.want("1 ")(outcome(c.ZRemRangeByScore(ctx, "{test}c", data.ScoreRange{Min: 3, Max: 3})))
	for m, err := range c.ZScan(ctx, "{test}c", data.ScanOptions{}) {
		s.want("{z 4} ")(outcome(m, err))
	}
	s.want("[z] ")(outcome(c.ZRandMember(ctx, "{test}c", 5)))
	s.want("[{z 4} {z 4}] ")(outcome(c.ZRandMemberWithScores(ctx, "{test}c", -2)))
	s.want("1 ")(outcome(c.ZRemRangeByLex(ctx, "{test}c", data.LexRange{NoMin: true, NoMax: true})))
	s.want("[{w 1}] ")(outcome(c.ZPopMin(ctx, a, 1)))
	s.want("[{z 4} {y 3}] ")(outcome(c.ZPopMax(ctx, a, 2)))
	s.want("{" + b + " [{x 10}]} ")(outcome(c.ZMPop(ctx, data.Lowest, 1, "{test}none", b)))
	s.want("nil")(outcome(c.ZMPop(ctx, data.Lowest, 1, "{test}none")))
	key, member, err := c.BZPopMin(ctx, time.Second, a, b)
	s.want(a + " {x 2} ")(outcome(key, member, err))
	key, member, err = c.BZPopMax(ctx, time.Second, a, b)
	s.want(b + " {q 20} ")(outcome(key, member, err))
	s.want("nil")(outcome(c.BZMPop(ctx, time.Millisecond, data.Highest, 1, a, b)))
	s.want("1 ")(outcome(c.ZAdd(ctx, a, m(1, "w"))))
	s.want("{" + a + " [{w 1}]} ")(outcome(c.BZMPop(ctx, time.Second, data.Highest, 1, a, b)))
}
