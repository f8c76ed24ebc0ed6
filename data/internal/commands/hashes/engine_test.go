package hashes_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
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
		var got []string
		e := enginetest.New(t, engine.Config{})
		e.OnEvent(^engine.Class(0), func(_ engine.Class, event, key string) { got = append(got, event+" "+key) })
		for line := range strings.SplitSeq(test.lines, "; ") {
			enginetest.Run(t, e, strings.Fields(line)...)
		}
		if got := strings.Join(got, "; "); got != test.want {
			t.Errorf("%s:\n%s, want\n%s", test.lines, got, test.want)
		}
	}
}

// TestScanWhileItChanges has fields that stay all visited by HSCAN, while others come and go and the hash changes its form.
func TestScanWhileItChanges(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		e := enginetest.New(t, engine.Config{})
		stay := 1 + r.IntN(400)
		for i := range stay {
			enginetest.Run(t, e, "HSET", "key", strconv.Itoa(i), "v")
		}
		seen := map[string]bool{}
		for cursor, first := "0", true; cursor != "0" || first; first = false {
			reply := enginetest.Run(t, e, "HSCAN", "key", cursor, "COUNT", strconv.Itoa(1+r.IntN(30)))
			cursor = reply[0]
			for pair := range slices.Chunk(reply[1:], 2) {
				seen[pair[0]] = true
			}
			for range r.IntN(60) {
				field := fmt.Sprint("goes", r.IntN(1000))
				enginetest.Run(t, e, [][]string{{"HSET", "key", field, field}, {"HDEL", "key", field}}[r.IntN(2)]...)
			}
		}
		for i := range stay {
			if !seen[strconv.Itoa(i)] {
				t.Fatalf("seed %d: %d is not visited", seed, i)
			}
		}
	}
}

// TestUndone has many commands run in a transaction that is rolled back. Hashes are as they were, and what is counted for them
// is what they take.
func TestUndone(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0))
		e := enginetest.New(t, engine.Config{})
		command := func() []string {
			key, field := "k"+strconv.Itoa(r.IntN(4)), "f"+strconv.Itoa(r.IntN(200))
			if r.IntN(3) > 0 {
				return []string{"HSET", key, field, strings.Repeat("v", r.IntN(40)), "f1", field}
			}
			all := [][]string{{"HSETNX", key, field, "x"}, {"HDEL", key, field}, {"HDEL", key, field, "f1", "f2"}, {"HINCRBY", key, field, "3"}, {"HINCRBYFLOAT", key, field, "0.5"},
				{"HSET", key, field, strings.Repeat("long", 30)}, {"COPY", key, "k1", "REPLACE"}, {"DEL", key}}
			return all[r.IntN(len(all)-3+3*(r.IntN(20)/19))]
		}
		for range 1000 {
			enginetest.Run(t, e, command()...)
		}
		before := state(t, e)
		tx, err := e.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			args := command()
			if err := tx.Run(e.Commands().Find(args[0]), args, &enginetest.Words{}); err != nil {
				t.Fatal(err)
			}
		}
		tx.Rollback()
		if after := state(t, e); !maps.Equal(after, before) {
			t.Fatalf("seed %d: %.500v\nwant %.500v", seed, after, before)
		}
		for i := range 4 {
			enginetest.Run(t, e, "DEL", "k"+strconv.Itoa(i))
		}
		if e.Used() != 0 {
			t.Fatalf("seed %d: %d bytes are counted for nothing", seed, e.Used())
		}
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
	e := enginetest.New(t, engine.Config{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range 3000 {
				key, field := "k"+strconv.Itoa(r.IntN(3)), strconv.Itoa(r.IntN(200))
				all := [][]string{{"HSET", key, field, "v"}, {"HSET", key, field, strings.Repeat("v", r.IntN(66))}, {"HGETALL", key}, {"HRANDFIELD", key, "5", "WITHVALUES"}, {"HGET", key, field},
					{"HMGET", key, field, "1", "2"}, {"HDEL", key, field}, {"HSCAN", key, "0"}, {"HINCRBY", key, "n", "1"}, {"HSTRLEN", key, field}}
				enginetest.Run(t, e, all[r.IntN(len(all))]...)
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		key := "k" + strconv.Itoa(i)
		for _, field := range enginetest.Run(t, e, "HKEYS", key) {
			enginetest.Run(t, e, "HDEL", key, field)
		}
	}
	if e.Used() != 0 {
		t.Errorf("%d bytes are counted for nothing", e.Used())
	}
}
