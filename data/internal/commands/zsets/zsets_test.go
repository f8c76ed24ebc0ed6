package zsets_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

// TestD4AsRedis has cases at the edges of what the commands take.
func TestD4AsRedis(t *testing.T) {
	pair := redistest.New(t).Events()
	for name, lines := range cases {
		t.Run(name, func(t *testing.T) { pair.Compare(t, lines...) })
	}
}

var cases = map[string][]string{
	"add": {`ZADD k 1 a`, `ZADD k 1 a`, `ZADD k 2 a 3 b`, `ZADD k CH 2 a 4 b 5 c`, `ZADD k NX 9 a 9 d`, `ZADD k XX 8 a 8 e`, `ZADD k XX CH 7 a 8 e`, `ZADD none XX 1 a`,
		`ZADD none XX INCR 1 a`, `EXISTS none`, `ZADD k GT CH 1 a`, `ZADD k GT CH 100 a`, `ZADD k LT CH 200 a`, `ZADD k LT CH 2 a`, `ZADD k GT 1 new`, `ZADD k LT XX 1 newer`,
		`ZADD k INCR 5 a`, `ZADD k NX INCR 5 a`, `ZADD k XX INCR 5 nobody`, `ZADD k GT INCR -5 a`, `ZADD k LT INCR -5 a`, `ZADD k INCR 0 a`, `ZADD k CH INCR 1 a`,
		`ZADD k nx xx 1 a`, `ZADD k gt lt 1 a`, `ZADD k nx gt 1 a`, `ZADD k nx lt 1 a`, `ZADD k nx xx gt 1 a`, `ZADD k incr 1 a 2 b`, `ZADD k 1 a 2`, `ZADD k`, `ZADD k 1`, `ZADD k nx`, `ZADD k nx 1`, `ZADD k nx xx`, `ZADD k nx xx 1`,
		`ZADD k x a`, `ZADD k 1 a x b`, `ZADD k nan a`, `ZADD k inf a`, `ZADD k INCR -inf a`, `ZADD k -Infinity a`, `ZADD k INCR +inf a`, `ZINCRBY k inf a`, `ZADD k 0x10 h`, `ZADD k 1e400 h`, `ZADD k 1e-400 h`,
		`ZADD k " 1" a`, `ZADD k "1 " a`, `ZADD k "" a`, `ZADD k 1_0 a`, `ZADD k +5 plus`, `ZADD k .5 half`, `ZADD k 5. five`, `ZADD k -0 zero`, `ZSCORE k zero`, `ZADD k INCR -0 zero2`,
		`ZADD k 3.0 "" 4.5 "\x00\xff"`, `ZADD k 0.1 tenth 1e21 big 123456789012345678 long 1e-10 small 12345678901234567890 longer 1.7976931348623157e308 most 4.9e-324 least`,
		`ZRANGE k 0 -1 WITHSCORES`, `SET str 1`, `ZADD str 1 a`, `ZADD str x a`, `ZADD str XX 1 a`, `ZINCRBY str 1 a`, `ZADD dup 1 a 2 a 1 a`, `ZADD dup CH 2 a 1 a`},
	"increment": {`ZINCRBY k 1 m`, `ZINCRBY k 1.5 m`, `ZINCRBY k -3 m`, `ZINCRBY k nx m`, `ZINCRBY k x m`, `ZINCRBY k nan m`, `ZINCRBY k 0.1 f`, `ZINCRBY k 0.2 f`, `ZINCRBY k inf m`, `ZINCRBY k -inf m`, `ZINCRBY k 1`, `ZINCRBY k 1 m x`, `ZINCRBY k 1e308 n`, `ZINCRBY k 1e308 n`, `ZSCORE k n`},
	"remove":    {`ZADD k 1 a 2 b 3 c`, `ZREM k a x a`, `ZREM none a`, `ZREM k`, `ZREM k b c`, `EXISTS k`, `SET s 1`, `ZREM s a`, `ZADD k 1 a`, `ZADD k NX 2 b`, `ZREM k a b`, `TYPE k`},
	"look": {`ZADD k 1 a 2 b 2 c 3 d`, `ZCARD k`, `ZCARD none`, `ZSCORE k a`, `ZSCORE k x`, `ZSCORE none x`, `ZMSCORE k a x b`, `ZMSCORE none a b`, `ZMSCORE k`, `ZRANK k a`, `ZRANK k c`, `ZRANK k x`, `ZRANK none x`, `ZREVRANK k a`, `ZREVRANK k d`, `ZREVRANK k x`,
		`SET s 1`, `ZCARD s`, `ZSCORE s a`, `ZMSCORE s a`, `ZRANK s a`, `ZREVRANK s a`, `ZCARD`, `ZSCORE k`, `ZRANK k`, `TYPE k`, `OBJECT ENCODING k`},
	"count": {`ZADD k 1 a 2 b 3 c 4 d 5 e`, `ZCOUNT k -inf +inf`, `ZCOUNT k 2 4`, `ZCOUNT k (2 4`, `ZCOUNT k (2 (4`, `ZCOUNT k 4 2`, `ZCOUNT k (2 (2`, `ZCOUNT k 2 2`, `ZCOUNT k (2 2`, `ZCOUNT none 1 2`, `ZCOUNT k x 2`, `ZCOUNT k 1 x`, `ZCOUNT k nan 2`, `ZCOUNT k (nan 2`, `ZCOUNT k "" 3`, `ZCOUNT k ( 3`,
		`ZCOUNT k " 2" 3`, `ZCOUNT k "( 2" 3`, `ZCOUNT k "2 " 3`, `ZCOUNT k 1e999 1`, `ZCOUNT k -1e999 1e999`, `ZCOUNT k 1e-999 1`, `ZCOUNT k 0x2 0x3`, `ZCOUNT k 1_0 2`, `ZCOUNT k [1 2`, `ZCOUNT k - +`, `SET s 1`, `ZCOUNT s 1 2`, `ZCOUNT s x 2`, `ZCOUNT k 1`, `ZCOUNT k 1 2 3`},
	"lex": {`ZADD k 0 a 0 b 0 c 0 d 0 "" 0 ab`, `ZLEXCOUNT k - +`, `ZLEXCOUNT k [a [c`, `ZLEXCOUNT k (a (c`, `ZLEXCOUNT k (a [c`, `ZLEXCOUNT k [c [a`, `ZLEXCOUNT k + -`, `ZLEXCOUNT k - -`, `ZLEXCOUNT k + +`, `ZLEXCOUNT k [ [a`, `ZLEXCOUNT k ( [a`, `ZLEXCOUNT k a b`, `ZLEXCOUNT k - ++`, `ZLEXCOUNT k -- +`, `ZLEXCOUNT k "" +`, `ZLEXCOUNT none - +`,
		`ZRANGEBYLEX k - +`, `ZRANGEBYLEX k - [c`, `ZRANGEBYLEX k - (c`, `ZRANGEBYLEX k [aa +`, `ZRANGEBYLEX k - + LIMIT 1 2`, `ZRANGEBYLEX k - + LIMIT -1 2`, `ZRANGEBYLEX k - + LIMIT 1 -1`, `ZRANGEBYLEX k - + LIMIT 100 1`, `ZRANGEBYLEX k - + LIMIT 0 0`, `ZRANGEBYLEX k - + WITHSCORES`, `ZRANGEBYLEX k a +`, `ZRANGEBYLEX k + - `, `ZRANGEBYLEX k - + REV`,
		`ZREVRANGEBYLEX k + -`, `ZREVRANGEBYLEX k [c -`, `ZREVRANGEBYLEX k (c [aa`, `ZREVRANGEBYLEX k - +`, `ZREVRANGEBYLEX k + - LIMIT 1 2`, `ZREVRANGEBYLEX k + - LIMIT 4 20`, `ZREVRANGEBYLEX k x -`, `ZREMRANGEBYLEX k (a [b`, `ZREMRANGEBYLEX k x y`, `ZREMRANGEBYLEX none - +`, `ZREMRANGEBYLEX k - +`, `EXISTS k`, `SET s 1`, `ZRANGEBYLEX s - +`, `ZREMRANGEBYLEX s - +`, `ZREMRANGEBYLEX s x +`},
	"range": {`ZADD k 1 a 2 b 3 c 4 d 5 e`, `ZRANGE k 0 -1`, `ZRANGE k 0 -1 WITHSCORES`, `ZRANGE k 1 2`, `ZRANGE k -2 -1`, `ZRANGE k -100 1`, `ZRANGE k 3 100`, `ZRANGE k 5 10`, `ZRANGE k 3 1`, `ZRANGE k -1 -3`, `ZRANGE k 0 -100`, `ZRANGE k 1 2 REV`, `ZRANGE k 0 -1 REV WITHSCORES`, `ZRANGE k 0 0 REV`, `ZRANGE k -1 -1 REV`, `ZRANGE k 0 -1 REV REV`, `ZRANGE k 0 -1 WITHSCORES WITHSCORES`,
		`ZRANGE k 2 4 BYSCORE`, `ZRANGE k (2 +inf BYSCORE WITHSCORES`, `ZRANGE k 4 2 BYSCORE`, `ZRANGE k 4 2 BYSCORE REV`, `ZRANGE k +inf (2 REV BYSCORE LIMIT 1 1`, `ZRANGE k 2 4 BYSCORE BYSCORE`, `ZRANGE k 2 4 BYSCORE BYLEX`, `ZRANGE k - + BYLEX`, `ZRANGE k + - BYLEX REV`, `ZRANGE k - + BYLEX WITHSCORES`, `ZRANGE k - + BYLEX LIMIT 1 2`, `ZRANGE k x y BYSCORE`, `ZRANGE k x y BYLEX`,
		`ZRANGE k 0 -1 LIMIT 0 1`, `ZRANGE k 0 -1 LIMIT 0 -1`, `ZRANGE k 0 10 BYSCORE LIMIT 0`, `ZRANGE k 0 10 BYSCORE LIMIT x 1`, `ZRANGE k 0 10 BYSCORE LIMIT 1 x`, `ZRANGE k 0 10 BYSCORE LIMIT 1 9223372036854775807`, `ZRANGE k 0 10 BYSCORE LIMIT 9223372036854775807 1`, `ZRANGE k 0 10 BYSCORE LIMIT -1 1`, `ZRANGE k 0 10 BYSCORE LIMIT 1 -5`, `ZRANGE k 0 10 BYSCORE LIMIT 1 1 LIMIT 2 2`, `ZRANGE k 10 0 REV BYSCORE LIMIT 1 2 WITHSCORES`,
		`ZRANGE k x 1`, `ZRANGE k 1 x`, `ZRANGE k 1.5 2`, `ZRANGE k 0 1 nonsense`, `ZRANGE none 0 -1`, `ZRANGE none x -1`, `ZRANGE none 0 -1 WITHSCORES`, `ZRANGE k 0`, `SET s 1`, `ZRANGE s 0 -1`, `ZRANGE s 0 x`, `ZRANGE k -9223372036854775808 9223372036854775807`,
		`ZREVRANGE k 0 -1`, `ZREVRANGE k 1 2 WITHSCORES`, `ZREVRANGE k 0 -1 REV`, `ZREVRANGE k 0 -1 BYSCORE`, `ZREVRANGE k 0 1 LIMIT 0 1`, `ZREVRANGE s 0 1`, `ZRANGEBYSCORE k -inf +inf`, `ZRANGEBYSCORE k (1 3 WITHSCORES`, `ZRANGEBYSCORE k 1 3 LIMIT 1 1 WITHSCORES`, `ZRANGEBYSCORE k 1 3 REV`, `ZRANGEBYSCORE k x 3`, `ZRANGEBYSCORE s 1 3`, `ZREVRANGEBYSCORE k 3 1`, `ZREVRANGEBYSCORE k 3 (1 WITHSCORES`, `ZREVRANGEBYSCORE k +inf -inf LIMIT 1 2`, `ZREVRANGEBYSCORE k 1 3`, `ZREVRANGEBYSCORE k 1 x`},
	"store a range": {`ZADD k 1 a 2 b 3 c 4 d 5 e`, `ZRANGESTORE d k 1 2`, `ZRANGE d 0 -1 WITHSCORES`, `ZRANGESTORE d k 2 4 BYSCORE LIMIT 1 1`, `ZRANGE d 0 -1`, `ZRANGESTORE d k 0 1 REV`, `ZRANGE d 0 -1`, `ZRANGESTORE d k 4 2 BYSCORE REV LIMIT 0 1`, `ZRANGE d 0 -1`, `ZRANGESTORE d none 0 -1`, `EXISTS d`, `ZRANGESTORE d k 0 -1 WITHSCORES`, `SET s 1`, `ZRANGESTORE d s 0 -1`, `ZRANGESTORE s k 0 -1`, `TYPE s`, `ZRANGESTORE k k 0 1`, `ZRANGE k 0 -1`,
		`ZRANGESTORE d k x 1`, `ZRANGESTORE d k 0`, `ZRANGESTORE d k - + BYLEX`, `EXPIRE d 100`, `ZRANGESTORE d k 0 -1`, `TTL d`, `ZRANGESTORE d k 5 6`, `EXISTS d`},
	"remove a range": {`ZADD k 1 a 2 b 3 c 4 d 5 e`, `ZREMRANGEBYRANK k 1 1`, `ZREMRANGEBYRANK k -1 -1`, `ZREMRANGEBYRANK k 5 1`, `ZREMRANGEBYRANK k x 1`, `ZREMRANGEBYRANK none 0 1`, `ZREMRANGEBYSCORE k (1 3`, `ZREMRANGEBYSCORE k x 3`, `ZREMRANGEBYSCORE none 1 3`, `ZRANGE k 0 -1`, `ZREMRANGEBYSCORE k -inf inf`, `EXISTS k`, `ZADD k 1 a`, `ZREMRANGEBYRANK k 0 -1`, `EXISTS k`, `SET s 1`, `ZREMRANGEBYRANK s 0 1`, `ZREMRANGEBYSCORE s 0 1`, `ZREMRANGEBYSCORE s x 1`, `ZREMRANGEBYRANK s x 1`},
	"pop": {`ZADD k 1 a 2 b 3 c 4 d 5 e 6 f 7 g`, `ZPOPMIN k`, `ZPOPMAX k`, `ZPOPMIN k 2`, `ZPOPMAX k 1`, `ZPOPMIN k 0`, `ZPOPMIN k -1`, `ZPOPMIN k x`, `ZPOPMIN k 1 2`, `ZPOPMIN none`, `ZPOPMIN none 2`, `ZPOPMIN none -1`, `SET s 1`, `ZPOPMIN s`, `ZPOPMIN s 0`, `ZPOPMIN s x`, `ZPOPMAX k 100`, `EXISTS k`, `ZPOPMIN k 9223372036854775808`,
		`ZADD k 1 a 2 b 3 c 4 d 5 e 6 f 7 g`, `ZMPOP 1 k MIN`, `ZMPOP 2 none k MAX COUNT 2`, `ZMPOP 1 none MIN`, `ZMPOP 2 none none MAX COUNT 10`, `ZMPOP 0 k MIN`, `ZMPOP x k MIN`, `ZMPOP -1 k MIN`, `ZMPOP 2 k MIN`, `ZMPOP 5 k MIN`, `ZMPOP 1 k nonsense`, `ZMPOP 1 k MIN COUNT`, `ZMPOP 1 k MIN COUNT 0`, `ZMPOP 1 k MIN COUNT x`, `ZMPOP 1 k MIN COUNT -1`, `ZMPOP 1 k MIN COUNT 1 COUNT 1`, `ZMPOP 1 k MIN COUNT 1 x`, `ZMPOP 1 k MIN COUNT x x`, `ZMPOP 1 k MIN x 1`, `ZMPOP 2 s k MIN`, `ZMPOP 2 k s MIN`, `ZMPOP 1 k`, `ZMPOP 1 k MAX COUNT 100`, `EXISTS k`,
		`ZADD k 1 a 2 b 3 c 4 d`, `BZPOPMIN k 0`, `BZPOPMAX none k 1`, `BZPOPMIN k x`, `BZPOPMIN k -1`, `BZPOPMIN k nan`, `BZPOPMIN k inf`, `BZPOPMIN k 1e300`, `BZPOPMIN s 0`, `BZPOPMIN none s 0`, `BZPOPMIN none 0.001`, `BZPOPMIN k`, `BZMPOP 0 1 k MIN`, `BZMPOP 0.001 1 none MIN`, `BZMPOP x 1 k MIN`, `BZMPOP -1 1 k MIN`, `BZMPOP 0 0 k MIN`, `BZMPOP 0 1 k nonsense`, `BZMPOP 0 1 k MIN COUNT 0`, `BZMPOP 0 5 k MIN`, `BZMPOP 0 1 k MAX COUNT 10`, `EXISTS k`},
	"random": {`ZADD k 1 a 2 b 3 c`, `ZRANDMEMBER none`, `ZRANDMEMBER none 2`, `ZRANDMEMBER none x`, `ZRANDMEMBER k`, `ZRANDMEMBER k 2`, `ZRANDMEMBER k 10`, `ZRANDMEMBER k -10`, `ZRANDMEMBER k 0`, `ZRANDMEMBER k 2 WITHSCORES`, `ZRANDMEMBER k -5 WITHSCORES`, `ZRANDMEMBER k 10 WITHSCORES`, `ZRANDMEMBER k x`, `ZRANDMEMBER k 1 nonsense`, `ZRANDMEMBER k 1 WITHSCORES x`, `ZRANDMEMBER k x nonsense x`, `ZRANDMEMBER k 9223372036854775807`, `ZRANDMEMBER k -9223372036854775808`,
		`ZRANDMEMBER k 9223372036854775807 WITHSCORES`, `ZRANDMEMBER k -9223372036854775807 WITHSCORES`, `ZRANDMEMBER k 4611686018427387904 WITHSCORES`, `SET s 1`, `ZRANDMEMBER s`, `ZRANDMEMBER s 1`, `ZRANDMEMBER s x`},
	"combine": {`ZADD a 1 x 2 y 3 z`, `ZADD b 10 y 20 z 30 w`, `ZADD c inf x -inf y 0 z`, `ZADD d -inf x inf y 0.5 q`, `ZUNION 2 a b`, `ZUNION 2 a b WITHSCORES`, `ZUNION 2 a b WEIGHTS 2 3 WITHSCORES`, `ZUNION 2 a b WEIGHTS 2 3 AGGREGATE MIN WITHSCORES`, `ZUNION 2 a b AGGREGATE max WITHSCORES`, `ZUNION 2 a none WITHSCORES`, `ZUNION 1 none`, `ZUNION 2 c d WITHSCORES`, `ZUNION 2 c d WEIGHTS 0 0 WITHSCORES`, `ZUNION 2 a a WITHSCORES`, `ZUNION 2 a a WEIGHTS 1 -1 WITHSCORES`, `ZUNION 1 c WEIGHTS -1 WITHSCORES`,
		`ZINTER 2 a b`, `ZINTER 2 a b WITHSCORES`, `ZINTER 2 c d WITHSCORES`, `ZINTER 2 c d WEIGHTS 0 0 WITHSCORES`, `ZINTER 2 c d WEIGHTS 0 0 AGGREGATE MIN WITHSCORES`, `ZINTER 2 c d WEIGHTS 0 1 AGGREGATE MAX WITHSCORES`, `ZINTER 3 a b c AGGREGATE MIN WITHSCORES`, `ZINTER 2 a none`, `ZINTER 2 a a WITHSCORES`, `ZINTER 1 a WEIGHTS inf WITHSCORES`, `ZINTER 2 a a WEIGHTS nan 1`, `ZDIFF 1 a`, `ZDIFF 2 a b WITHSCORES`, `ZDIFF 2 a a`, `ZDIFF 2 none a`, `ZDIFF 3 a none b WITHSCORES`, `ZDIFF 2 a b WEIGHTS 1 1`, `ZDIFF 2 a b AGGREGATE MIN`,
		`ZINTERCARD 2 a b`, `ZINTERCARD 2 a b LIMIT 1`, `ZINTERCARD 2 a b LIMIT 0`, `ZINTERCARD 2 a b LIMIT -1`, `ZINTERCARD 2 a b LIMIT x`, `ZINTERCARD 2 a b LIMIT`, `ZINTERCARD 2 a b WITHSCORES`, `ZINTERCARD 2 a b WEIGHTS 1 1`, `ZINTERCARD 0 a`, `ZINTERCARD x a`, `ZINTERCARD 3 a b`, `ZINTERCARD 1 none`,
		`ZUNION 0 a`, `ZUNION -1 a`, `ZUNION x a`, `ZUNION 5 a`, `ZUNION 1 a WEIGHTS`, `ZUNION 1 a WEIGHTS x`, `ZUNION 2 a b WEIGHTS 1`, `ZUNION 1 a AGGREGATE`, `ZUNION 1 a AGGREGATE nonsense`, `ZUNION 1 a nonsense`, `ZUNION 1 a LIMIT 1`, `ZUNION 1 a WITHSCORES WITHSCORES WEIGHTS 2 WEIGHTS 3`, `SET s 1`, `ZUNION 1 s`, `ZUNION 2 s a nonsense`, `ZINTER 2 none s`, `ZDIFF 2 none s`, `ZINTERCARD 2 a s LIMIT x`,
		`ZUNIONSTORE r 2 a b WEIGHTS 1 0.5`, `ZRANGE r 0 -1 WITHSCORES`, `ZUNIONSTORE r 2 a b WITHSCORES`, `ZINTERSTORE r 2 a b AGGREGATE MAX`, `ZRANGE r 0 -1 WITHSCORES`, `ZDIFFSTORE r 2 a b`, `ZRANGE r 0 -1 WITHSCORES`, `ZDIFFSTORE r 2 a b WITHSCORES`, `ZINTERSTORE r 2 a none`, `EXISTS r`, `ZINTERSTORE r 2 a none`, `ZUNIONSTORE s 1 a`, `TYPE s`, `ZUNIONSTORE a 2 a b`, `ZRANGE a 0 -1 WITHSCORES`, `ZUNIONSTORE r 0 a`, `ZINTERSTORE r -1 a`, `ZDIFFSTORE r x a`, `ZUNIONSTORE r 3 a`, `EXPIRE a 100`, `ZUNIONSTORE a 1 b`, `TTL a`, `ZUNIONSTORE neg 1 c WEIGHTS -1`, `ZUNION 1 c WEIGHTS -1 WITHSCORES`},
	"combine with sets": {`ZADD a 1 x 2 y 3 z`, `SADD b y z w`, `SADD n 1 2 3`, `ZADD m 5 1 6 2 7 x`, `ZUNION 2 a b WITHSCORES`, `ZUNION 2 b a WEIGHTS 5 1 WITHSCORES`, `ZINTER 2 a b WITHSCORES`, `ZINTER 2 n m WITHSCORES`, `ZINTER 2 b b WITHSCORES`, `ZDIFF 2 a b WITHSCORES`, `ZDIFF 2 b a WITHSCORES`, `ZDIFF 2 n m`, `ZINTERCARD 2 b a`, `ZUNION 1 b`, `ZUNION 2 b n WITHSCORES`, `ZUNIONSTORE b 2 a b`, `TYPE b`,
		`ZRANGE b 0 -1 WITHSCORES`, `SADD c x`, `ZADD c 1 a`, `ZINTERSTORE c 2 a c AGGREGATE MAX`, `ZRANGE c 0 -1 WITHSCORES`, `HSET h a b`, `ZUNION 2 a h`},
	"scan": {`ZADD k 1 a 2.5 b inf c 4 ab`, `ZSCAN k 0`, `ZADD k 1e17 large 4611686018427387904 larger 4611686018427388928 largest -4611686018427387904 least 1e300 most`, `ZSCAN k 0`, `ZSCAN k 0 MATCH a*`, `ZSCAN k 0 COUNT 1`, `ZSCAN k 0 MATCH z`, `ZSCAN k x`, `ZSCAN k 0 COUNT 0`, `ZSCAN k 0 COUNT x`, `ZSCAN k 0 COUNT`, `ZSCAN k 0 nonsense 1`, `ZSCAN none 0`, `ZSCAN none 0 nonsense`, `ZSCAN none x`, `SET s 1`, `ZSCAN s 0`, `ZSCAN s x`, `ZSCAN k`},
	"encodings": {`ZADD k 1 ` + strings.Repeat("x", 64), `OBJECT ENCODING k`, `ZADD k 1 ` + strings.Repeat("x", 65), `OBJECT ENCODING k`, `ZADD l 1 ` + strings.Repeat("x", 65), `OBJECT ENCODING l`, `ZREM l ` + strings.Repeat("x", 65), `EXISTS l`, many("m", 128), `OBJECT ENCODING m`, `ZADD m 5 m5`, `OBJECT ENCODING m`, `ZADD m 1 new`, `OBJECT ENCODING m`, `ZREM m new`, `OBJECT ENCODING m`, `ZADD m -0 zero`, `ZSCORE m zero`, `ZADD m 0 zero`, `ZSCORE m zero`, `ZADD m 1e17 long`, `ZSCAN m 0`,
		`ZUNIONSTORE u 1 m`, `OBJECT ENCODING u`, `ZADD m 1 other`, `ZUNIONSTORE u 1 m`, `OBJECT ENCODING u`, `ZRANGESTORE u m 0 10`, `OBJECT ENCODING u`, `ZRANGESTORE u m 0 -1`, `OBJECT ENCODING u`, `ZADD m -0 zero2`, `ZRANGESTORE v m -inf inf BYSCORE`, `ZRANGE v 0 -1 WITHSCORES`, `ZRANGESTORE v m inf -inf BYSCORE REV`, `ZRANGE v 0 -1 WITHSCORES`, `ZRANGE m 3 6 WITHSCORES`, `ZRANDMEMBER m 5`, `ZRANDMEMBER m 100`, `ZRANDMEMBER m 1000`, `ZRANDMEMBER m -1000`, `ZSCAN m 0 COUNT 7`, `COPY m n`, `OBJECT ENCODING n`, `ZRANGE n 0 -1 WITHSCORES`},
}

// many returns a ZADD of n members.
func many(key string, n int) string {
	var b strings.Builder
	b.WriteString("ZADD " + key)
	for i := range n {
		fmt.Fprintf(&b, " %d m%d", i%50, i)
	}
	return b.String()
}

// TestD4AtRandom has random commands replied as Redis does: with small sets, and with large ones.
func TestD4AtRandom(t *testing.T) {
	pair := redistest.New(t).Events()
	for _, size := range []int{6, 40, 400} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			for seed := range int64(2) {
				g := generator{members: size}
				pair.Random(t, seed, 4000, g.command, redistest.Options{Encodings: true, Every: 400})
			}
		})
	}
}

// TestD4LexAtRandom has random commands for members of one score.
func TestD4LexAtRandom(t *testing.T) {
	pair := redistest.New(t).Events()
	for seed := range int64(2) {
		g := generator{members: 300, lex: true}
		pair.Random(t, seed, 3000, g.command, redistest.Options{Encodings: true, Every: 400})
	}
}

// generator makes random commands.
type generator struct {
	members int
	lex     bool // all scores are the same
}

func (g *generator) key(r *rand.Rand) string { return redistest.Key(r, "z", 5) }

func (g *generator) member(r *rand.Rand) string {
	m := redistest.Key(r, "m", g.members)
	if r.Intn(300) == 0 {
		m += strings.Repeat("-", 60)
	}
	return m
}

func (g *generator) score(r *rand.Rand) string {
	if g.lex {
		return "0"
	}
	switch r.Intn(30) {
	case 0:
		return redistest.Pick(r, "inf", "-inf", "-0", "1e300", "-1e-300", "x", "nan", "1e17", "0x11")
	case 1, 2, 3:
		return fmt.Sprint(r.NormFloat64() * 10)
	}
	return fmt.Sprint(r.Intn(40) - 10)
}

func (g *generator) end(r *rand.Rand) string {
	if g.lex {
		return redistest.Pick(r, "[", "(") + g.member(r)
	}
	return redistest.Pick(r, "", "", "(") + g.score(r)
}

func (g *generator) ends(r *rand.Rand) []string {
	switch {
	case g.lex && r.Intn(3) == 0:
		return []string{"-", "+"}
	case !g.lex && r.Intn(4) == 0:
		return []string{"-inf", g.end(r)}
	}
	return []string{g.end(r), g.end(r)}
}

func (g *generator) rank(r *rand.Rand) string { return fmt.Sprint(r.Intn(2*g.members) - g.members) }

func (g *generator) count(r *rand.Rand) string { return fmt.Sprint(r.Intn(12) - 1) }

// some returns some of options, each as often as it may be.
func some(r *rand.Rand, args []string, options ...[]string) []string {
	for _, option := range options {
		if r.Intn(3) == 0 {
			args = append(args, option...)
		}
	}
	return args
}

func (g *generator) command(r *rand.Rand) []string {
	switch r.Intn(22) {
	case 0:
		return []string{redistest.Pick(r, "ZSCORE", "ZRANK", "ZREVRANK"), g.key(r), g.member(r)}
	case 1:
		return []string{"ZMSCORE", g.key(r), g.member(r), g.member(r)}
	case 2, 3:
		args := []string{"ZREM", g.key(r)}
		for range 1 + r.Intn(4) {
			args = append(args, g.member(r))
		}
		return args
	case 4:
		return []string{"ZINCRBY", g.key(r), g.score(r), g.member(r)}
	case 5:
		name := redistest.Pick(r, "ZCOUNT", "ZREMRANGEBYSCORE")
		if g.lex {
			name = redistest.Pick(r, "ZLEXCOUNT", "ZREMRANGEBYLEX")
		}
		if ends := g.ends(r); name == "ZCOUNT" || name == "ZLEXCOUNT" || r.Intn(4) == 0 {
			return append([]string{name, g.key(r)}, ends...)
		}
		return []string{"ZCARD", g.key(r)}
	case 6:
		if r.Intn(3) > 0 {
			from := r.Intn(g.members)
			return []string{"ZREMRANGEBYRANK", g.key(r), fmt.Sprint(from), fmt.Sprint(from + r.Intn(10))}
		}
		return []string{"ZREMRANGEBYRANK", g.key(r), g.rank(r), g.rank(r)}
	case 7:
		return some(r, []string{redistest.Pick(r, "ZRANGE", "ZREVRANGE"), g.key(r), g.rank(r), g.rank(r)}, []string{"WITHSCORES"}, []string{"REV"})
	case 8:
		return g.ranged(r, []string{"ZRANGE", g.key(r)}, true)
	case 9:
		names := []string{"ZRANGEBYSCORE", "ZREVRANGEBYSCORE"}
		if g.lex {
			names = []string{"ZRANGEBYLEX", "ZREVRANGEBYLEX"}
		}
		args := append([]string{redistest.Pick(r, names...), g.key(r)}, g.ends(r)...)
		return some(r, args, []string{"LIMIT", g.count(r), g.count(r)}, []string{"WITHSCORES"})
	case 10:
		if r.Intn(4) > 0 {
			return []string{"DBSIZE"}
		}
		return g.ranged(r, []string{"ZRANGESTORE", g.key(r), g.key(r)}, false)
	case 11:
		return some(r, []string{redistest.Pick(r, "ZPOPMIN", "ZPOPMAX"), g.key(r)}, []string{g.count(r)})
	case 12:
		return some(r, []string{"ZMPOP", "2", g.key(r), g.key(r), redistest.Pick(r, "MIN", "MAX")}, []string{"COUNT", g.count(r)})
	case 13:
		if r.Intn(4) > 0 {
			return []string{"ZCARD", g.key(r)} // as the others may wait
		}
		if r.Intn(2) == 0 {
			return []string{redistest.Pick(r, "BZPOPMIN", "BZPOPMAX"), g.key(r), g.key(r), "0.001"}
		}
		return some(r, []string{"BZMPOP", "0.001", "2", g.key(r), g.key(r), redistest.Pick(r, "MIN", "MAX")}, []string{"COUNT", g.count(r)})
	case 14:
		return []string{"ZRANDMEMBER", g.key(r), g.rank(r), "WITHSCORES"}[:2+r.Intn(3)]
	case 15, 16:
		return g.combined(r)
	case 17:
		return some(r, []string{"ZSCAN", g.key(r), "0"}, []string{"MATCH", "m1*"}, []string{"COUNT", "3"})
	case 18:
		switch r.Intn(12) {
		case 0:
			return []string{redistest.Pick(r, "DEL", "TYPE"), g.key(r)}
		case 1, 2, 3:
			return []string{"SADD", redistest.Key(r, "s", 3), g.member(r), g.member(r), fmt.Sprint(r.Intn(g.members))}
		}
		return []string{redistest.Pick(r, "COPY", "RENAMENX"), g.key(r), g.key(r)}
	}
	return g.add(r)
}

func (g *generator) add(r *rand.Rand) []string {
	args := []string{"ZADD", g.key(r)}
	for r.Intn(4) == 0 {
		args = append(args, redistest.Pick(r, "NX", "XX", "GT", "LT", "CH", "CH", "INCR"))
	}
	for range 1 + r.Intn(min(60, g.members)) {
		args = append(args, g.score(r), g.member(r))
	}
	return args
}

func (g *generator) ranged(r *rand.Rand, args []string, scores bool) []string {
	switch r.Intn(3) {
	case 0:
		args = some(r, append(args, g.rank(r), g.rank(r)), []string{"REV"})
	default:
		by := "BYSCORE"
		if g.lex {
			by = "BYLEX"
		}
		args = some(r, append(append(args, g.ends(r)...), by), []string{"REV"}, []string{"LIMIT", g.count(r), g.count(r)})
	}
	if scores {
		args = some(r, args, []string{"WITHSCORES"})
	}
	return args
}

func (g *generator) combined(r *rand.Rand) []string {
	name := redistest.Pick(r, "ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE")
	args := []string{name}
	if strings.HasSuffix(name, "STORE") {
		if r.Intn(3) > 0 {
			return g.add(r)
		}
		args = append(args, g.key(r))
	}
	n := 1 + r.Intn(3)
	args = append(args, fmt.Sprint(n))
	weights := []string{"WEIGHTS"}
	for range n {
		key := g.key(r)
		if !g.lex && r.Intn(3) == 0 {
			key = redistest.Key(r, "s", 3) // a set, whose scores are 1
		}
		args = append(args, key)
		weights = append(weights, g.score(r))
	}
	return some(r, args, weights, []string{"AGGREGATE", redistest.Pick(r, "SUM", "MIN", "MAX")}, []string{"WITHSCORES"}, []string{"LIMIT", g.count(r)})
}
