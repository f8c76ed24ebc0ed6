package strings_test

import (
	"math/rand"
	"strconv"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

func TestD4NumbersAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `INCR a`, `INCRBY a 41`, `DECR a`, `DECRBY a 100`, `GET a`, `OBJECT ENCODING a`, `EXPIRE a 100`, `INCR a`, `TTL a`, `INCRBY a`, `INCRBY a x`, `INCRBY a 1.5`, `INCRBY a 9223372036854775808`, `INCRBY a ""`,
		`SET a 9223372036854775807`, `INCR a`, `DECRBY a -1`, `DECR a`, `DECRBY a -9223372036854775808`, `SET a -9223372036854775808`, `DECR a`, `INCRBY a -1`, `INCRBY a 9223372036854775807`,
		`SET a x`, `INCR a`, `SET a ""`, `INCR a`, `SET a 01`, `INCR a`, `SET a " 1"`, `INCR a`, `SET a -0`, `INCR a`, `SET a 1.0`, `INCR a`,
		`INCRBYFLOAT f 10.50`, `INCRBYFLOAT f 0.1`, `INCRBYFLOAT f -5`, `INCRBYFLOAT f 5.0e3`, `INCRBYFLOAT f x`, `INCRBYFLOAT f`, `INCRBYFLOAT f inf`, `INCRBYFLOAT f nan`, `INCRBYFLOAT f 1e-400`, `INCRBYFLOAT f 1e-5000`, `INCRBYFLOAT f " 1"`, `INCRBYFLOAT f "1 "`, `INCRBYFLOAT f ""`,
		`SET f 3.0e3`, `INCRBYFLOAT f 1.123456789012345678`, `SET f 1`, `INCRBYFLOAT f 1.2`, `INCRBYFLOAT f 0x1F`, `INCRBYFLOAT f -33.2`, `SET f x`, `INCRBYFLOAT f 1`, `SET f 1e4000`, `INCRBYFLOAT f 1e4000`, `SET f 1e4932`, `INCRBYFLOAT f 1e4932`, `SET f 0.1 EX 100`, `INCRBYFLOAT f 0.2`, `TTL f`)
}

func TestD4RangesAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `APPEND a ""`, `EXISTS a`, `OBJECT ENCODING a`, `APPEND a x`, `OBJECT ENCODING a`, `APPEND a ""`, `GET a`, `SET a 1 EX 100`, `APPEND a 2`, `OBJECT ENCODING a`, `TTL a`, `COPY a z`, `OBJECT ENCODING z`, `RENAME z y`, `OBJECT ENCODING y`, `GET y`, `APPEND a`, `EXPIRE a 50`, `OBJECT ENCODING a`, `INCR a`, `OBJECT ENCODING a`,
		`SET a "hello world"`, `GETRANGE a 0 -1`, `GETRANGE a -3 -1`, `GETRANGE a -1 -3`, `GETRANGE a 3 1`, `GETRANGE a 0 100`, `GETRANGE a -100 2`, `GETRANGE a -100 -50`, `GETRANGE a -50 -100`, `GETRANGE a 100 200`, `GETRANGE a 9223372036854775807 -1`, `GETRANGE a -9223372036854775808 9223372036854775807`, `GETRANGE a x 1`, `GETRANGE a 1 x`, `GETRANGE x 0 -1`, `SUBSTR a 0 4`, `GETRANGE a 0`,
		`SETRANGE a 6 there`, `GET a`, `SETRANGE a 20 x`, `GET a`, `SETRANGE a 0 ""`, `SETRANGE x 5 ""`, `EXISTS x`, `SETRANGE x 5 y`, `GET x`, `OBJECT ENCODING x`, `SETRANGE a -1 x`, `SETRANGE a x x`, `SETRANGE a 536870911 xx`, `SETRANGE a 9223372036854775807 x`, `SETRANGE none 9223372036854775807 ""`, `SETRANGE a 536870912 ""`, `SETRANGE a 1`)
}

func TestD4BitsAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `SETBIT a 7 1`, `GET a`, `SETBIT a 7 1`, `SETBIT a 7 0`, `SETBIT a 100 0`, `STRLEN a`, `OBJECT ENCODING a`, `SETBIT a 0 2`, `SETBIT a 0 x`, `SETBIT a -1 0`, `SETBIT a x 0`, `SETBIT a 4294967296 1`, `SETBIT a 4294967295`, `SETBIT n 0 0`, `EXISTS n`, `GETBIT a 7`, `GETBIT a 1000`, `GETBIT a -1`, `GETBIT a x`, `GETBIT a 4294967296`, `GETBIT x 0`, `GETBIT x x`,
		`SET b foobar`, `BITCOUNT b`, `BITCOUNT b 0 0`, `BITCOUNT b 1 1`, `BITCOUNT b 0`, `BITCOUNT b 0 -1 BYTE`, `BITCOUNT b 5 30 BIT`, `BITCOUNT b 5 30 nonsense`, `BITCOUNT b x 1`, `BITCOUNT b 1 x`, `BITCOUNT b 0 -1 BIT x`, `BITCOUNT none x y`, `BITCOUNT none 0`, `BITCOUNT none 0 1 nonsense`, `BITCOUNT none 0 1 BIT x`, `BITCOUNT b -1 -3`, `BITCOUNT b -100 -90`, `BITCOUNT b 9223372036854775807 -1 BIT`,
		`BITPOS b 1`, `BITPOS b 0`, `BITPOS b 1 2`, `BITPOS b 0 2 3`, `BITPOS b 1 -1`, `BITPOS b 1 100`, `BITPOS b 2`, `BITPOS b x`, `BITPOS b 1 x`, `BITPOS b 1 0 x`, `BITPOS b 1 0 -1 nonsense`, `BITPOS b 1 5 30 BIT`, `BITPOS b 0 5 30 BIT`, `BITPOS b 1 0 -1 BIT x`, `BITPOS none 1`, `BITPOS none 0`, `BITPOS none 0 x`, `BITPOS none 0 0 1 nonsense`, `BITPOS b 1 9223372036854775807 -1 BIT`,
		`SET c "\xff\xff"`, `BITPOS c 0`, `BITPOS c 0 0`, `BITPOS c 0 1`, `BITPOS c 0 2`, `BITPOS c 0 0 -1`, `BITPOS c 0 0 -1 BIT`, `BITPOS c 1 -9 -8`, `BITPOS c 1 -8 -9`, `SET c ""`, `BITPOS c 0`, `BITPOS c 1`, `BITCOUNT c`, `BITPOS c 0 0`, `BITPOS c 0 0 -1`, `BITCOUNT c 0 -1 BIT`,
		`SET d "abc\x00\xff"`, `BITOP AND e b d`, `GET e`, `OBJECT ENCODING e`, `BITOP or e b d x`, `GET e`, `BITOP XOR e b d b`, `GET e`, `BITOP NOT e d`, `GET e`, `BITOP NOT e b d`, `BITOP nonsense e b`, `BITOP AND e`, `BITOP AND e x`, `EXISTS e`, `BITOP AND b b x d`, `GET b`, `SET b 1 EX 100`, `BITOP OR b b d`, `TTL b`)
}

func TestD4LCSAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `MSET a ohmytext b mynewtext`, `LCS a b`, `LCS a b LEN`, `LCS a b IDX`, `LCS a b IDX MINMATCHLEN 4`, `LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN`, `LCS a b IDX WITHMATCHLEN`, `LCS a b LEN IDX`, `LCS a b MINMATCHLEN`, `LCS a b MINMATCHLEN x`, `LCS a b IDX MINMATCHLEN -1`, `LCS a b nonsense`, `LCS a x`, `LCS x a LEN`, `LCS x y IDX`, `LCS a a IDX`, `LCS a`,
		`LCS a b WITHMATCHLEN`, `SETRANGE a 20000 x`, `SETRANGE b 20000 x`, `LCS a b`)
}

func TestD4ValuesAtRandom(t *testing.T) {
	key := func(r *rand.Rand) string { return redistest.Key(r, "key:", 5) }
	number := func(r *rand.Rand) string {
		return redistest.Pick(r, "0", "1", "-1", "7", "-8", "3", "12", "100", "-100", "9223372036854775807", "-9223372036854775808", "x", strconv.Itoa(r.Intn(70)-35))
	}
	float := func(r *rand.Rand) string {
		if r.Intn(2) == 0 {
			return strconv.FormatFloat(r.NormFloat64()*1e3, 'g', r.Intn(17)+1, 64)
		}
		return redistest.Pick(r, "0", "1", "1.5", "-1e3", "1e18", "0.1", "inf", "x", "123456789.123456789", "1e-18", "5e-18", "-0.0", "0x1p3")
	}
	gen := func(r *rand.Rand) []string {
		switch r.Intn(16) {
		case 0:
			return []string{"SET", key(r), value(r)}
		case 1:
			return []string{"SET", key(r), number(r), "EX", "10000"}
		case 2:
			return []string{redistest.Pick(r, "INCR", "DECR"), key(r)}
		case 3:
			return []string{redistest.Pick(r, "INCRBY", "DECRBY"), key(r), number(r)}
		case 4:
			return []string{"INCRBYFLOAT", key(r), float(r)}
		case 5, 6:
			return []string{"APPEND", key(r), value(r)}
		case 7:
			return []string{"GETRANGE", key(r), number(r), number(r)}
		case 8:
			return []string{"SETRANGE", key(r), strconv.Itoa(r.Intn(100) - 2), value(r)}
		case 9:
			return []string{"SETBIT", key(r), strconv.Itoa(r.Intn(600) - 2), redistest.Pick(r, "0", "1")}
		case 10:
			return []string{"BITCOUNT", key(r), number(r), number(r), redistest.Pick(r, "BIT", "BYTE")}[:2+r.Intn(4)]
		case 11:
			return []string{"BITPOS", key(r), redistest.Pick(r, "0", "1"), number(r), number(r), redistest.Pick(r, "BIT", "BYTE")}[:3+r.Intn(4)]
		case 12:
			return []string{"BITOP", redistest.Pick(r, "AND", "OR", "XOR", "NOT"), key(r), key(r), key(r), key(r)}[:4+r.Intn(3)]
		case 13:
			return []string{"LCS", key(r), key(r), redistest.Pick(r, "IDX", "LEN"), "WITHMATCHLEN", "MINMATCHLEN", number(r)}[:[]int{3, 4, 5, 7}[r.Intn(4)]]
		case 14:
			return []string{redistest.Pick(r, "COPY", "RENAME"), key(r), key(r)}
		}
		return []string{redistest.Pick(r, "DEL", "GET", "GETBIT"), key(r), strconv.Itoa(r.Intn(300))}[:2+r.Intn(2)]
	}
	for seed := range int64(6) {
		redistest.New(t).Events().Random(t, seed, 4000, gen, redistest.Options{})
	}
}
