package drivertest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/peercache/peercache/data"
)

// outcome writes what a method has returned.
func outcome(values ...any) string {
	text := ""
	for i, v := range values {
		if err, ok := v.(error); ok || i == len(values)-1 {
			if errors.Is(err, data.ErrNil) {
				return "nil"
			}
			if err != nil {
				return err.Error()
			}
			continue
		}
		if m, ok := v.(map[string]string); ok {
			for _, key := range slices.Sorted(maps.Keys(m)) {
				text += key + "=" + m[key] + " "
			}
			continue
		}
		text += fmt.Sprintf("%v ", v)
	}
	return text
}

// want checks what a method of the client has returned.
func (s *suite) want(want string) func(got string) {
	return func(got string) {
		s.Helper()
		if got != want {
			s.Errorf("%q, want %q", got, want)
		}
	}
}

// typed checks that the client understands the replies to its commands.
func (s *suite) typed() {
	s.typedStrings()
	s.typedKeys()
	s.typedHashes()
	s.typedLists()
	s.typedSets()
	s.typedSortedSets()
	s.typedRanges()
}

func (s *suite) fresh() {
	s.Helper()
	if err := s.c.Keys().FlushDB(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s *suite) typedStrings() {
	ctx, c := s.Context(), s.c.Strings()
	s.fresh()
	s.want("")(outcome(c.Set(ctx, a, "1")))
	s.want("1 ")(outcome(c.Get(ctx, a)))
	s.want("nil")(outcome(c.Get(ctx, b)))
	s.want("false ")(outcome(c.SetWith(ctx, a, "2", data.SetOptions{IfAbsent: true})))
	s.want("true ")(outcome(c.SetWith(ctx, a, "2", data.SetOptions{IfPresent: true, TTL: time.Hour})))
	s.want("true ")(outcome(c.SetWith(ctx, a, "3", data.SetOptions{KeepTTL: true})))
	s.want("3 ")(outcome(c.SetGet(ctx, a, "4", data.SetOptions{At: time.Now().Add(time.Hour)})))
	s.want("nil")(outcome(c.SetGet(ctx, b, "4", data.SetOptions{})))
	s.want("false ")(outcome(c.SetNX(ctx, a, "1")))
	s.want("4 ")(outcome(c.GetSet(ctx, a, "5")))
	s.want("5 ")(outcome(c.GetEX(ctx, a, time.Hour)))
	s.want("5 ")(outcome(c.GetEX(ctx, a, 0)))
	s.want("[{5 true} { false}] ")(outcome(c.MGet(ctx, a, "{test}none")))
	s.want("")(outcome(c.MSet(ctx, map[string]string{a: "6", b: "7"})))
	s.want("false ")(outcome(c.MSetNX(ctx, map[string]string{a: "6", "{test}c": "7"})))
	s.want("7 ")(outcome(c.Incr(ctx, a)))
	s.want("17 ")(outcome(c.IncrBy(ctx, a, 10)))
	s.want("16 ")(outcome(c.Decr(ctx, a)))
	s.want("-4 ")(outcome(c.DecrBy(ctx, a, 20)))
	s.want("-3.5 ")(outcome(c.IncrByFloat(ctx, a, 0.5)))
	s.want("5 ")(outcome(c.Append(ctx, a, "!")))
	s.want("5 ")(outcome(c.StrLen(ctx, a)))
	s.want("5 ")(outcome(c.SetRange(ctx, a, 1, "abc")))
	s.want("abc ")(outcome(c.GetRange(ctx, a, 1, -2)))
	s.want("-abc! ")(outcome(c.GetDel(ctx, a)))
	s.want("")(outcome(c.MSet(ctx, map[string]string{a: "ohmytext", b: "mynewtext"})))
	s.want("mytext ")(outcome(c.LCS(ctx, a, b)))
	s.want("6 ")(outcome(c.LCSLen(ctx, a, b)))
	s.want("")(outcome(c.Set(ctx, a, "\xff\x0f")))
	s.want("true ")(outcome(c.SetBit(ctx, a, 0, false)))
	s.want("false ")(outcome(c.GetBit(ctx, a, 0)))
	s.want("11 ")(outcome(c.BitCount(ctx, a)))
	s.want("4 ")(outcome(c.BitCountIn(ctx, a, data.BitRange{Start: 8, End: -1, Bits: true})))
	s.want("1 ")(outcome(c.BitPos(ctx, a, true)))
	s.want("12 ")(outcome(c.BitPosIn(ctx, a, true, data.BitRange{Start: 1, End: -1})))
	s.want("nil")(outcome(c.BitPosIn(ctx, a, false, data.BitRange{Start: 12, End: 15, Bits: true})))
	s.want("2 ")(outcome(c.BitOp(ctx, data.BitNot, b, a)))
}

func (s *suite) typedKeys() {
	ctx, c := s.Context(), s.c.Keys()
	s.fresh()
	s.do("SET", a, "1")
	s.want("true ")(outcome(c.Copy(ctx, a, b, false)))
	s.want("false ")(outcome(c.Copy(ctx, a, b, false)))
	s.want("true ")(outcome(c.Copy(ctx, a, b, true)))
	s.want("string ")(outcome(c.Type(ctx, a)))
	s.want("nil")(outcome(c.Type(ctx, "{test}none")))
	s.want("false ")(outcome(c.RenameNX(ctx, a, b)))
	s.want("")(outcome(c.Rename(ctx, a, b)))
	s.want("1 ")(outcome(c.Touch(ctx, a, b)))
	s.want(b + " ")(outcome(c.RandomKey(ctx)))
	s.want("[" + b + "] ")(outcome(c.Keys(ctx, "*b")))
	s.want("int ")(outcome(c.ObjectEncoding(ctx, b)))
	s.want("false ")(outcome(c.Expire(ctx, b, time.Hour, data.IfExpires)))
	s.want("true ")(outcome(c.Expire(ctx, b, time.Hour)))
	at := time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
	s.want("true ")(outcome(c.ExpireAt(ctx, b, at, data.IfLater)))
	s.want(fmt.Sprint(at) + " ")(outcome(c.ExpireTime(ctx, b)))
	s.want("nil")(outcome(c.ExpireTime(ctx, a)))
	s.want("true ")(outcome(c.Persist(ctx, b)))
	s.want(fmt.Sprint(time.Time{}) + " ")(outcome(c.ExpireTime(ctx, b)))
	s.want("0s ")(outcome(c.ObjectIdleTime(ctx, b)))
	s.want("1 ")(outcome(c.Unlink(ctx, a, b)))
	s.want("nil")(outcome(c.RandomKey(ctx)))
}

func (s *suite) typedHashes() {
	ctx, c := s.Context(), s.c.Hashes()
	s.fresh()
	s.want("2 ")(outcome(c.HSet(ctx, a, map[string]string{"f": "1", "g": "x"})))
	s.want("f=1 g=x ")(outcome(c.HGetAll(ctx, a)))
	s.want("")(outcome(c.HGetAll(ctx, b)))
	s.want("false ")(outcome(c.HSetNX(ctx, a, "f", "2")))
	s.want("1 ")(outcome(c.HGet(ctx, a, "f")))
	s.want("nil")(outcome(c.HGet(ctx, a, "none")))
	s.want("[{1 true} { false}] ")(outcome(c.HMGet(ctx, a, "f", "none")))
	s.want("1 ")(outcome(c.HDel(ctx, a, "g", "none")))
	s.want("true ")(outcome(c.HExists(ctx, a, "f")))
	s.want("1 ")(outcome(c.HLen(ctx, a)))
	s.want("[f] ")(outcome(c.HKeys(ctx, a)))
	s.want("[1] ")(outcome(c.HVals(ctx, a)))
	s.want("1 ")(outcome(c.HStrLen(ctx, a, "f")))
	s.want("3 ")(outcome(c.HIncrBy(ctx, a, "f", 2)))
	s.want("3.5 ")(outcome(c.HIncrByFloat(ctx, a, "f", 0.5)))
	s.want("[f] ")(outcome(c.HRandField(ctx, a, 2)))
	s.want("[{f 3.5} {f 3.5}] ")(outcome(c.HRandFieldWithValues(ctx, a, -2)))
	for f, err := range c.HScan(ctx, a, data.ScanOptions{}) {
		s.want("{f 3.5} ")(outcome(f, err))
	}
	type user struct {
		Name string `data:"name"`
		Age  int    `data:"age"`
	}
	s.want("2 ")(outcome(data.HSetStruct(ctx, s.c, b, user{"Tom", 3})))
	s.want("{Tom 3} ")(outcome(data.HGetAllAs[user](ctx, s.c, b)))
	s.want("{Tom 3} ")(outcome(data.HMGetStruct[user](ctx, s.c, b)))
	s.want("nil")(outcome(data.HGetAllAs[user](ctx, s.c, "{test}none")))
}

func (s *suite) typedLists() {
	ctx, c := s.Context(), s.c.Lists()
	s.fresh()
	s.want("0 ")(outcome(c.LPushX(ctx, a, "x")))
	s.want("3 ")(outcome(c.RPush(ctx, a, "b", "c", "d")))
	s.want("4 ")(outcome(c.LPush(ctx, a, "a")))
	s.want("5 ")(outcome(c.RPushX(ctx, a, "e")))
	s.want("5 ")(outcome(c.LLen(ctx, a)))
	s.want("[b c] ")(outcome(c.LRange(ctx, a, 1, 2)))
	s.want("e ")(outcome(c.LIndex(ctx, a, -1)))
	s.want("nil")(outcome(c.LIndex(ctx, a, 9)))
	s.want("")(outcome(c.LSet(ctx, a, 0, "A")))
	s.want("6 ")(outcome(c.LInsert(ctx, a, data.Right, "A", "B")))
	s.want("nil")(outcome(c.LInsert(ctx, a, data.Left, "none", "B")))
	s.want("nil")(outcome(c.LInsert(ctx, b, data.Left, "none", "B")))
	s.want("1 ")(outcome(c.LRem(ctx, a, 0, "B")))
	s.want("1 ")(outcome(c.LPos(ctx, a, "b", data.LPosOptions{})))
	s.want("nil")(outcome(c.LPos(ctx, a, "none", data.LPosOptions{})))
	s.want("[1] ")(outcome(c.LPosN(ctx, a, "b", 0, data.LPosOptions{Rank: -1, MaxLen: 100})))
	s.want("A ")(outcome(c.LPop(ctx, a)))
	s.want("e ")(outcome(c.RPop(ctx, a)))
	s.want("nil")(outcome(c.LPop(ctx, b)))
	s.want("[] ")(outcome(c.LPopN(ctx, b, 2)))
	s.want("d ")(outcome(c.LMove(ctx, a, b, data.Right, data.Left)))
	s.want("c ")(outcome(c.RPopLPush(ctx, a, b)))
	s.want("b ")(outcome(c.BLMove(ctx, time.Second, a, b, data.Left, data.Left)))
	s.want("nil")(outcome(c.BLMove(ctx, time.Millisecond, a, b, data.Left, data.Left)))
	s.want("{" + b + " [b c]} ")(outcome(c.LMPop(ctx, data.Left, 2, a, b)))
	s.want("nil")(outcome(c.LMPop(ctx, data.Left, 2, a)))
	s.want("{" + b + " [d]} ")(outcome(c.BLMPop(ctx, time.Second, data.Right, 2, a, b)))
	s.want("nil")(outcome(c.BLMPop(ctx, time.Millisecond, data.Right, 2, a, b)))
	s.want("3 ")(outcome(c.RPush(ctx, a, "1", "2", "3")))
	s.want("3 ")(outcome(c.BRPopLPush(ctx, time.Second, a, a)))
	key, element, err := c.BRPop(ctx, time.Second, b, a)
	s.want(a + " 2 ")(outcome(key, element, err))
	var numbers []int
	s.want("")(outcome(c.LRangeAndScan(ctx, a, 0, -1, &numbers)))
	s.want("[3 1]")(fmt.Sprint(numbers))
	s.want("")(outcome(c.LTrim(ctx, a, 1, 1)))
	s.want("[1] ")(outcome(c.RPopN(ctx, a, 5)))
}

func sorted(list []string, err error) (string, error) {
	list = slices.Clone(list)
	slices.Sort(list)
	return fmt.Sprint(list), err
}

func (s *suite) typedSets() {
	ctx, c := s.Context(), s.c.Sets()
	s.fresh()
	s.want("3 ")(outcome(c.SAdd(ctx, a, "1", "2", "3")))
	s.want("2 ")(outcome(c.SAdd(ctx, b, "3", "4")))
	s.want("1 ")(outcome(c.SRem(ctx, a, "1", "none")))
	s.want("2 ")(outcome(c.SCard(ctx, a)))
	s.want("true ")(outcome(c.SIsMember(ctx, a, "2")))
	s.want("[true false] ")(outcome(c.SMIsMember(ctx, a, "2", "none")))
	s.want("[2 3] ")(outcome(sorted(c.SMembers(ctx, a))))
	s.want("[3] ")(outcome(c.SInter(ctx, a, b)))
	s.want("1 ")(outcome(c.SInterCard(ctx, 0, a, b)))
	s.want("[2 3 4] ")(outcome(sorted(c.SUnion(ctx, a, b))))
	s.want("[2] ")(outcome(c.SDiff(ctx, a, b)))
	s.want("1 ")(outcome(c.SInterStore(ctx, "{test}c", a, b)))
	s.want("3 ")(outcome(c.SUnionStore(ctx, "{test}c", a, b)))
	s.want("1 ")(outcome(c.SDiffStore(ctx, "{test}c", a, b)))
	s.want("[2] ")(outcome(c.SRandMember(ctx, "{test}c", 5)))
	s.want("true ")(outcome(c.SMove(ctx, a, b, "2")))
	s.want("[2 3 4] ")(outcome(sorted(c.SMembers(ctx, b))))
	s.want("3 ")(outcome(c.SPop(ctx, a)))
	s.want("nil")(outcome(c.SPop(ctx, a)))
	for m, err := range c.SScan(ctx, "{test}c", data.ScanOptions{Match: "*"}) {
		s.want("2 ")(outcome(m, err))
	}
	s.want("[2 3 4] ")(outcome(sorted(c.SPopN(ctx, b, 5))))
}

func (s *suite) typedSortedSets() {
	ctx, c := s.Context(), s.c.SortedSets()
	s.fresh()
	m := func(score float64, member string) data.Scored { return data.Scored{Member: member, Score: score} }
	s.want("3 ")(outcome(c.ZAdd(ctx, a, m(1, "x"), m(2.5, "y"), m(math.Inf(1), "z"))))
	s.want("1 ")(outcome(c.ZAddWith(ctx, a, data.ZAddOptions{IfPresent: true, IfGreater: true, Changed: true}, m(1.5, "x"), m(2, "y"))))
	s.want("nil")(outcome(c.ZAddIncr(ctx, a, data.ZAddOptions{IfAbsent: true}, 1, "x")))
	s.want("2.5 ")(outcome(c.ZAddIncr(ctx, a, data.ZAddOptions{}, 1, "x")))
	s.want("1 ")(outcome(c.ZIncrBy(ctx, a, -1.5, "x")))
	s.want("3 ")(outcome(c.ZCard(ctx, a)))
	s.want("+Inf ")(outcome(c.ZScore(ctx, a, "z")))
	s.want("nil")(outcome(c.ZScore(ctx, a, "none")))
	s.want("[{1 true} {0 false}] ")(outcome(c.ZMScore(ctx, a, "x", "none")))
	s.want("1 ")(outcome(c.ZRank(ctx, a, "y")))
	s.want("0 ")(outcome(c.ZRevRank(ctx, a, "z")))
	s.want("nil")(outcome(c.ZRank(ctx, a, "none")))
	s.want("1 ")(outcome(c.ZRem(ctx, a, "z", "none")))
}
