package hashes_test

import (
	"math/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/redistest"
)

// field returns one of the fields that random commands use.
func field(r *rand.Rand) string {
	switch r.Intn(12) {
	case 0:
		return strconv.Itoa(r.Intn(300))
	case 1:
		return strings.Repeat("long", 10+r.Intn(10)) + strconv.Itoa(r.Intn(3))
	}
	return redistest.Key(r, "f", 40)
}

func randomValue(r *rand.Rand) string {
	switch r.Intn(8) {
	case 0:
		return strings.Repeat("x", r.Intn(100))
	case 1:
		return strconv.FormatInt(int64(r.Uint64()), 10)
	case 2:
		return redistest.Pick(r, "", "a b", "\x00\xff", "-0", "007", "9223372036854775807", "inf", "1e400", " 1")
	case 3:
		return strconv.FormatFloat(r.NormFloat64()*1000, 'g', 1+r.Intn(12), 64)
	}
	return strconv.Itoa(r.Intn(2000) - 1000)
}

func command(r *rand.Rand) []string {
	key := redistest.Key(r, "h", 6)
	if r.Intn(200) == 0 {
		return redistest.Words(redistest.Pick(r, "SET h0 x", "DEL "+key, "COPY "+key+" h1 REPLACE", "RENAME "+key+" h2", "EXPIRE "+key+" 5000"))
	}
	switch name := redistest.Pick(r, "HSET", "HSET", "HMSET", "HSETNX", "HGET", "HMGET", "HGETALL", "HDEL", "HDEL", "HEXISTS", "HLEN", "HKEYS", "HVALS",
		"HSTRLEN", "HINCRBY", "HINCRBYFLOAT", "HRANDFIELD", "HSCAN"); name {
	case "HSET", "HMSET":
		args := []string{name, key}
		for range 1 + r.Intn(5)*r.Intn(5) {
			args = append(args, field(r), randomValue(r))
		}
		if r.Intn(50) == 0 {
			args = append(args, "odd")
		}
		return args
	case "HSETNX":
		return []string{name, key, field(r), randomValue(r)}
	case "HMGET", "HDEL":
		args := []string{name, key}
		for range 1 + r.Intn(6) {
			args = append(args, field(r))
		}
		return args
	case "HINCRBY", "HINCRBYFLOAT":
		return []string{name, key, field(r), randomValue(r)}
	case "HRANDFIELD":
		args := []string{name, key, strconv.Itoa(r.Intn(40) - 20)}
		return append(args, redistest.Words(redistest.Pick(r, "WITHVALUES", "withvalues", "x WITHVALUES"))...)[:2+r.Intn(3)]
	case "HSCAN":
		return redistest.Words(name + " " + key + " 0 " + redistest.Pick(r, "", "COUNT 5", "MATCH f1*", "MATCH *2 COUNT 1000"))
	case "HGETALL", "HLEN", "HKEYS", "HVALS":
		return []string{name, key}
	default:
		return []string{name, key, field(r)}
	}
}

// TestD4RandomCommands has redis-server and the engine run the same.
func TestD4RandomCommands(t *testing.T) {
	p := redistest.New(t).Events()
	for seed := range int64(4) {
		p.Random(t, seed, 4000, command, redistest.Options{Every: 400})
	}
}
