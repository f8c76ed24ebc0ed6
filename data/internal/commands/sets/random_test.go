package sets_test

import (
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

// member returns one of the members that random commands use.
func member(r *rand.Rand, key string) string {
	switch {
	case r.Intn(40) == 0:
		return strings.Repeat("long", 10+r.Intn(10)) + strconv.Itoa(r.Intn(3))
	case r.Intn(40) == 0:
		return strconv.FormatInt(int64(r.Uint64())>>r.Intn(64), 10)
	case key < "s4" && r.Intn(200) > 0:
		return strconv.Itoa(r.Intn(700))
	case key < "s7":
		return redistest.Key(r, "m", 60)
	}
	return redistest.Key(r, "m", 700)
}

func command(r *rand.Rand) []string {
	keys := make([]string, 1+r.Intn(4))
	for i := range keys {
		keys[i] = redistest.Key(r, "s", 10)
	}
	key := keys[0]
	if r.Intn(200) == 0 {
		return redistest.Words(redistest.Pick(r, "SET s0 x", "DEL "+key, "COPY "+key+" s1 REPLACE", "RENAME "+key+" s2", "EXPIRE "+key+" 5000"))
	}
	several := func(name string, most int) []string {
		args := []string{name, key}
		for range 1 + r.Intn(most) {
			args = append(args, member(r, key))
		}
		return args
	}
	switch name := redistest.Pick(r, "SADD", "SADD", "SADD", "SADD", "SREM", "SREM", "SMOVE", "SPOP", "SCARD", "SISMEMBER", "SMISMEMBER", "SMEMBERS",
		"SRANDMEMBER", "SSCAN", "SINTER", "SUNION", "SDIFF", "SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE", "SINTERCARD"); name {
	case "SADD":
		return several(name, 30)
	case "SREM", "SMISMEMBER":
		return several(name, 10)
	case "SISMEMBER":
		return several(name, 1)
	case "SMOVE":
		return []string{name, key, keys[len(keys)-1], member(r, key)}
	case "SPOP":
		if r.Intn(10) > 0 { // both sides would choose others
			return []string{name, key, redistest.Pick(r, "0", "-1", "x")}
		}
		return []string{name, key, "5000"}
	case "SRANDMEMBER":
		return []string{name, key, strconv.Itoa(r.Intn(100) - 50)}[:2+r.Intn(2)]
	case "SSCAN":
		return redistest.Words(name + " " + key + " 0 " + redistest.Pick(r, "", "COUNT 5", "MATCH m1*", "MATCH *2 COUNT 1000"))
	case "SINTER", "SUNION", "SDIFF":
		return append([]string{name}, keys...)
	case "SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE":
		return append([]string{name, redistest.Key(r, "s", 10)}, keys...)
	case "SINTERCARD":
		args := append([]string{name, strconv.Itoa(len(keys))}, keys...)
		return append(args, redistest.Words(redistest.Pick(r, "LIMIT 5", "LIMIT 0", "LIMIT -1", "limit x"))...)[:len(args)+r.Intn(3)]
	default:
		return []string{name, key}
	}
}

// TestD4RandomCommands has redis-server and the engine run the same.
func TestD4RandomCommands(t *testing.T) {
	p := redistest.New(t).Events()
	for seed := range int64(2) {
		p.Random(t, seed, 4000, command, redistest.Options{Every: 400, Encodings: true})
	}
}
