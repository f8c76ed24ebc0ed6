package lists_test

import (
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

func TestD4ListsAsRedis(t *testing.T) {
	redistest.New(t).Events().Compare(t, `SET s 1`,
		`RPUSH l a b c`, `LPUSH l 1 -2 03 "" x`, `LPUSH s a`, `RPUSHX l d e`, `LPUSHX l f`, `LPUSHX no a`, `RPUSHX s a`, `LPUSH l`, `TYPE l`, `OBJECT ENCODING l`,
		`LLEN l`, `LLEN no`, `LLEN s`, `LRANGE l 0 -1`, `LRANGE l 2 4`, `LRANGE l -3 -2`, `LRANGE l -100 100`, `LRANGE l 5 3`, `LRANGE l 100 200`, `LRANGE no 0 -1`, `LRANGE s 0 1`, `LRANGE s a 1`, `LRANGE l 0 b`,
		`LRANGE l -9223372036854775808 9223372036854775807`, `LRANGE l 0 9223372036854775808`, `LRANGE l 01 2`,
		`LINDEX l 0`, `LINDEX l -1`, `LINDEX l 5`, `LINDEX l 100`, `LINDEX l -100`, `LINDEX l a`, `LINDEX no a`, `LINDEX s a`, `LINDEX l -9223372036854775808`,
		`LSET l 0 zero`, `LSET l -1 last`, `LSET l 100 x`, `LSET l -100 x`, `LSET l a x`, `LSET no a x`, `LSET s a x`, `LSET l 1 12345678901234567890`, `LINDEX l 1`,
		`LINSERT l BEFORE a new`, `LINSERT l after a new2`, `LINSERT l BEFORE zero first`, `LINSERT l AFTER last behind`, `LINSERT l BEFORE none x`, `LINSERT no BEFORE a b`, `LINSERT s BEFORE a b`, `LINSERT l NEXT a b`, `LINSERT no NEXT a b`, `LRANGE l 0 -1`,
		`RPUSH r a b a c a d a`, `LREM r 2 a`, `LRANGE r 0 -1`, `RPUSH r a b a`, `LREM r -2 a`, `LRANGE r 0 -1`, `LREM r 0 a`, `LRANGE r 0 -1`, `LREM r x a`, `LREM no x a`, `LREM s 0 a`, `LREM no 0 a`, `LREM r -9223372036854775808 b`, `LREM r 0 c`, `LREM r 0 d`, `LREM r 1 b`, `EXISTS r`,
		`RPUSH t a b c d e f`, `LTRIM t 1 -2`, `LRANGE t 0 -1`, `LTRIM t -100 2`, `LRANGE t 0 -1`, `LTRIM t a 1`, `LTRIM no a 1`, `LTRIM no 0 1`, `LTRIM s 0 1`, `LTRIM t 2 1`, `EXISTS t`, `RPUSH t a b`, `LTRIM t 5 10`, `EXISTS t`,
		`RPUSH p a b c 1 2 3 c c`, `LPOS p c`, `LPOS p c RANK 2`, `LPOS p c RANK -1`, `LPOS p c RANK -1 COUNT 0`, `LPOS p c COUNT 2`, `LPOS p c COUNT 0`, `LPOS p c COUNT 0 MAXLEN 3`, `LPOS p c MAXLEN 2`, `LPOS p c RANK -1 MAXLEN 1`, `LPOS p 2`, `LPOS p 02`, `LPOS p none`,
		`LPOS p none COUNT 0`, `LPOS no c`, `LPOS no c COUNT 1`, `LPOS s c`, `LPOS p c RANK 0`, `LPOS s c RANK 0`, `LPOS p c RANK a`, `LPOS p c COUNT -1`, `LPOS p c COUNT a`, `LPOS p c MAXLEN -1`, `LPOS p c nonsense 1`, `LPOS p c RANK`, `LPOS p c count 1 rank 2`, `LPOS p c RANK 4`, `LPOS p c RANK 4 COUNT 3`,
		`LPOS p c RANK -9223372036854775808`, `LPOS p c RANK -9223372036854775808 COUNT 0`,
		`LPOP p`, `RPOP p`, `LPOP p 2`, `RPOP p 2`, `LPOP p 0`, `LPOP p -1`, `LPOP p a`, `LPOP no`, `LPOP no 0`, `LPOP no 1`, `LPOP s`, `LPOP s 0`, `LPOP s -1`, `LPOP p 1 2`, `RPOP p 9223372036854775807`, `EXISTS p`,
		`RPUSH a 1 2 3 4`, `LMPOP 2 no a LEFT`, `LMPOP 2 no a right COUNT 2`, `LMPOP 1 no LEFT`, `LMPOP 2 s a LEFT`, `LMPOP 2 a s LEFT`, `LMPOP 0 a LEFT`, `LMPOP x a LEFT`, `LMPOP 2 a LEFT`, `LMPOP 1 a UP`, `LMPOP 1 a LEFT COUNT 0`, `LMPOP 1 a LEFT COUNT x`, `LMPOP 1 a LEFT COUNT 1 COUNT 1`, `LMPOP 1 a LEFT COUNT`, `LMPOP 99999999999 a LEFT`, `LMPOP -1 a LEFT`, `LMPOP 1 a`, `EXISTS a`,
		`RPUSH a 1 2 3 4`, `LMOVE a b LEFT RIGHT`, `LMOVE a b RIGHT LEFT`, `RPOPLPUSH a b`, `LRANGE b 0 -1`, `LMOVE b b LEFT RIGHT`, `LRANGE b 0 -1`, `RPOPLPUSH b b`, `RPOPLPUSH a b`, `EXISTS a`, `RPOPLPUSH a b`, `LMOVE b s LEFT LEFT`, `LMOVE s b LEFT LEFT`, `LMOVE no s LEFT LEFT`, `LMOVE b b UP LEFT`, `LMOVE b b LEFT UP`, `RPUSH one x`, `LMOVE one one LEFT LEFT`, `LRANGE one 0 -1`,
		`BLPOP b 0`, `BRPOP b 0`, `BLPOP no b 0.5`, `BLPOP s b 1`, `BLPOP b s 1`, `BLPOP no 0.001`, `BRPOP no no2 0.001`, `BLPOP b a`, `BLPOP b -1`, `BLPOP b 1e30`, `BLPOP b inf`, `BLPOP b nan`, `BLPOP b 9223372036854775.9`, `BLPOP b ""`, `BLPOP b`,
		`RPUSH b 1 2 3`, `BLMOVE b one LEFT LEFT 0`, `BLMOVE no b LEFT LEFT 0.001`, `BLMOVE no s LEFT LEFT 0.001`, `BLMOVE b s LEFT LEFT 0`, `BLMOVE s b LEFT LEFT 0`, `BLMOVE b b LEFT UP x`, `BLMOVE b b LEFT LEFT x`, `BRPOPLPUSH b one 0`, `BRPOPLPUSH no b 0.001`, `BRPOPLPUSH b one -1`, `LRANGE one 0 -1`,
		`BLMPOP 0 2 no one LEFT COUNT 2`, `BLMPOP 0.001 1 no LEFT`, `BLMPOP x 1 no LEFT`, `BLMPOP x 0 no LEFT`, `BLMPOP x 1 no UP`, `BLMPOP 1 1 s LEFT`, `BLMPOP -1 1 one LEFT`, `BLMPOP 0 2 one LEFT COUNT 1`, `BLMPOP 0 1 one LEFT COUNT 1`,
		`RENAME one two`, `COPY two three`, `RPUSH three more`, `LRANGE two 0 -1`, `LRANGE three 0 -1`, `RENAME s two`, `GET two`)
}

// element returns a string of a kind that lists keep in ways of their own.
func element(r *rand.Rand) string {
	switch r.Intn(8) {
	case 0:
		return strconv.FormatInt(int64(r.Uint64())>>r.Intn(64), 10)
	case 1:
		return strings.Repeat("long", r.Intn(500))
	}
	return redistest.Pick(r, "a", "b", "c", "d", "12", "-3")
}

func generate(r *rand.Rand) []string {
	key := redistest.Key(r, "list:", 4)
	other := redistest.Key(r, "list:", 4)
	place := func() string { return strconv.Itoa(r.Intn(24) - 12) }
	side := func() string { return redistest.Pick(r, "LEFT", "RIGHT") }
	switch r.Intn(22) {
	case 0, 1, 2, 3, 4:
		args := []string{redistest.Pick(r, "LPUSH", "RPUSH", "LPUSHX", "RPUSHX"), key}
		for range 1 + r.Intn(8) {
			args = append(args, element(r))
		}
		return args
	case 5:
		return []string{redistest.Pick(r, "LPOP", "RPOP", "LLEN"), key}
	case 6:
		return []string{redistest.Pick(r, "LPOP", "RPOP"), key, strconv.Itoa(r.Intn(5))}
	case 7:
		return []string{"LRANGE", key, place(), place()}
	case 8:
		return []string{"LINDEX", key, place()}
	case 9:
		return []string{"LSET", key, place(), element(r)}
	case 10, 11:
		return []string{"LINSERT", key, redistest.Pick(r, "BEFORE", "AFTER"), element(r), element(r)}
	case 12, 13:
		return []string{"LREM", key, strconv.Itoa(r.Intn(7) - 3), element(r)}
	case 14:
		return []string{"LTRIM", key, strconv.Itoa(r.Intn(3)), strconv.Itoa(-1 - r.Intn(3))}
	case 15:
		return []string{"LPOS", key, element(r), "RANK", redistest.Pick(r, "1", "-1", "2", "-2"), "MAXLEN", strconv.Itoa(r.Intn(20)), "COUNT", strconv.Itoa(r.Intn(3))}[:3+2*r.Intn(4)]
	case 16:
		return []string{"LMOVE", key, other, side(), side()}
	case 17:
		return []string{redistest.Pick(r, "RPOPLPUSH", "RENAME", "COPY"), key, other}
	case 18:
		return []string{"LMPOP", "2", key, other, side(), "COUNT", strconv.Itoa(1 + r.Intn(3))}[:5+2*r.Intn(2)]
	case 19:
		if r.Intn(20) > 0 { // Redis takes its time to say that there is nothing
			return []string{redistest.Pick(r, "RPOP", "LLEN"), key}
		}
		return []string{redistest.Pick(r, "BLPOP", "BRPOP"), key, other, "0.001"}
	case 20:
		if r.Intn(20) > 0 {
			return []string{"LMOVE", key, other, side(), side()}
		}
		return []string{"BLMOVE", key, other, side(), side(), "0.001"}
	}
	if r.Intn(4) == 0 {
		return []string{redistest.Pick(r, "SET", "GETSET"), key, "x"}
	}
	return []string{"DEL", key}
}

func TestD4ListsAtRandom(t *testing.T) {
	pair := redistest.New(t).Events()
	for seed := range int64(8) {
		pair.Random(t, seed, 3000, generate, redistest.Options{Encodings: true})
	}
}
