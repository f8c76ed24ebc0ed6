package hashes_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

// TestFloatsAreLogged has sums logged, which another machine might round in another way.
func TestFloatsAreLogged(t *testing.T) {
	log := &enginetest.Records{}
	e := enginetest.New(t, engine.Config{Log: log})
	enginetest.Run(t, e, "HINCRBYFLOAT", "key", "field", "0.1")
	enginetest.Run(t, e, "HINCRBYFLOAT", "key", "field", "0.2")
	if want := "\x04\x04HSET\x03key\x05field\x030.3"; log.List[1] != want {
		t.Errorf("the log has %q, want %q", log.List[1], want)
	}
}

func TestEvents(t *testing.T) {
	for _, test := range []struct{ lines, want string }{
		{"HSET k a 1 b 2; HSET k a 1; HMSET k a 1", "new k; hset k; hset k; hset k"},
		{"HSETNX k a 1; HSETNX k a 2", "new k; hset k"},
		{"HINCRBY k a 1; HINCRBYFLOAT k a 1; HINCRBY k a x", "new k; hincrby k; hincrbyfloat k"},
		{"HSET k a 1 b 2; HDEL k c; HDEL k a c; HDEL k b", "new k; hset k; hdel k; hdel k; del k"},
		{"HGET k a; HRANDFIELD k; HSCAN k 0; HINCRBY k a x; HINCRBYFLOAT k a x", ""},
	} {
		if got := enginetest.Events(t, test.lines); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.lines, got, test.want)
		}
	}
}

// TestScanWhileItChanges has fields that stay all visited by HSCAN, while others come and go and the hash changes its form.
func TestScanWhileItChanges(t *testing.T) {
	enginetest.CheckScan(t, "HSCAN", 2, "HSET k STAYS v", "HSET k GOES GOES", "HDEL k GOES")
}

// TestUndone has many commands run in a transaction that is rolled back. Hashes are as they were, and what is counted for them
// is what they take.
func TestUndone(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		enginetest.CheckUndone(t, seed, 800, state, func() []string {
			key, field := "k"+strconv.Itoa(r.IntN(4)), "f"+strconv.Itoa(r.IntN(200))
			if r.IntN(3) > 0 {
				return []string{"HSET", key, field, strings.Repeat("v", r.IntN(40)), "f1", field}
			}
			all := [][]string{{"HSETNX", key, field, "x"}, {"HDEL", key, field}, {"HDEL", key, field, "f1", "f2"}, {"HINCRBY", key, field, "3"}, {"HINCRBYFLOAT", key, field, "0.5"},
				{"HSET", key, field, strings.Repeat("long", 30)}, {"COPY", key, "k1", "REPLACE"}, {"DEL", key}}
			return all[r.IntN(len(all)-3+3*(r.IntN(20)/19))]
		})
	}
}

// state returns the fields of all keys, and their encodings.
func state(t *testing.T, e *engine.Engine) map[string]string {
	all := map[string]string{}
	for i := range 4 {
		key := "k" + strconv.Itoa(i)
		var pairs []string
		for pair := range slices.Chunk(enginetest.Run(t, e, "HGETALL", key), 2) {
			pairs = append(pairs, strings.Join(pair, "="))
		}
		slices.Sort(pairs)
		all[key] = fmt.Sprint(pairs, enginetest.Run(t, e, "OBJECT", "ENCODING", key))
	}
	return all
}

// TestAtTheSameTime has hashes read and written by several goroutines, for the race detector.
func TestAtTheSameTime(t *testing.T) {
	enginetest.CheckAtTheSameTime(t, func(r *rand.Rand) []string {
		key, field := "k"+strconv.Itoa(r.IntN(3)), strconv.Itoa(r.IntN(200))
		all := [][]string{{"HSET", key, field, "v"}, {"HSET", key, field, strings.Repeat("v", r.IntN(66))}, {"HGETALL", key}, {"HRANDFIELD", key, "5", "WITHVALUES"}, {"HGET", key, field},
			{"HMGET", key, field, "1", "2"}, {"HDEL", key, field}, {"HSCAN", key, "0"}, {"HINCRBY", key, "n", "1"}, {"HSTRLEN", key, field}}
		return all[r.IntN(len(all))]
	})
}
