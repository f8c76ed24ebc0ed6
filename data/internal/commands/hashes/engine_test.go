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

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// words is a Writer that keeps the words of replies.
type words struct {
	nowhere
	list []string
}

func (w *words) Bulk(s string)     { w.list = append(w.list, s) }
func (w *words) Bytes(b []byte)    { w.list = append(w.list, string(b)) }
func (w *words) Int(n int64)       { w.list = append(w.list, strconv.FormatInt(n, 10)) }
func (w *words) Error(text string) { w.list = append(w.list, text) }

// records is a Log that keeps records.
type records struct{ list []string }

func (r *records) Append(record []byte) (uint64, error) {
	r.list = append(r.list, string(record))
	return uint64(len(r.list)), nil
}
func (r *records) Wait(context.Context, uint64) error { return nil }
func (r *records) Position() uint64                   { return uint64(len(r.list)) }
func (r *records) Err() error                         { return nil }

func newEngine(t *testing.T, cfg engine.Config) *engine.Engine {
	t.Helper()
	var err error
	if cfg.Commands, err = engine.NewTable(builtin.Commands()...); err != nil {
		t.Fatal(err)
	}
	cfg.Kinds = builtin.Kinds()
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs a command, and returns the words of its reply.
func run(t *testing.T, e *engine.Engine, args ...string) []string {
	t.Helper()
	var w words
	if err := e.Run(context.Background(), e.Commands().Find(args[0]), args, &w); err != nil {
		t.Fatal(err)
	}
	return w.list
}

// TestFloatsAreLogged has sums logged, which another machine might round in another way.
func TestFloatsAreLogged(t *testing.T) {
	log := &records{}
	e := newEngine(t, engine.Config{Log: log})
	run(t, e, "HINCRBYFLOAT", "key", "field", "0.1")
	run(t, e, "HINCRBYFLOAT", "key", "field", "0.2")
	if want := "\x04\x04HSET\x03key\x05field\x030.3"; log.list[1] != want {
		t.Errorf("the log has %q, want %q", log.list[1], want)
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
		e := newEngine(t, engine.Config{})
		e.OnEvent(^engine.Class(0), func(_ engine.Class, event, key string) { got = append(got, event+" "+key) })
		for line := range strings.SplitSeq(test.lines, "; ") {
			run(t, e, strings.Fields(line)...)
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
		e := newEngine(t, engine.Config{})
		stay := 1 + r.IntN(400)
		for i := range stay {
			run(t, e, "HSET", "key", strconv.Itoa(i), "v")
		}
		seen := map[string]bool{}
		for cursor, first := "0", true; cursor != "0" || first; first = false {
			reply := run(t, e, "HSCAN", "key", cursor, "COUNT", strconv.Itoa(1+r.IntN(30)))
			cursor = reply[0]
			for pair := range slices.Chunk(reply[1:], 2) {
				seen[pair[0]] = true
			}
			for range r.IntN(60) {
				field := fmt.Sprint("goes", r.IntN(1000))
				run(t, e, [][]string{{"HSET", "key", field, field}, {"HDEL", "key", field}}[r.IntN(2)]...)
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
		e := newEngine(t, engine.Config{})
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
			run(t, e, command()...)
		}
		before := state(t, e)
		tx, err := e.Begin(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			args := command()
			if err := tx.Run(e.Commands().Find(args[0]), args, &words{}); err != nil {
				t.Fatal(err)
			}
		}
		tx.Rollback()
		if after := state(t, e); !maps.Equal(after, before) {
			t.Fatalf("seed %d: %.500v\nwant %.500v", seed, after, before)
		}
		for i := range 4 {
			run(t, e, "DEL", "k"+strconv.Itoa(i))
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
		for pair := range slices.Chunk(run(t, e, "HGETALL", key), 2) {
			pairs = append(pairs, strings.Join(pair, "="))
		}
		slices.Sort(pairs)
		all[key] = fmt.Sprint(pairs, run(t, e, "OBJECT", "ENCODING", key))
	}
	return all
}

// TestAtTheSameTime has hashes read and written by several goroutines, for the race detector.
func TestAtTheSameTime(t *testing.T) {
	e := newEngine(t, engine.Config{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for range 3000 {
				key, field := "k"+strconv.Itoa(r.IntN(3)), strconv.Itoa(r.IntN(200))
				all := [][]string{{"HSET", key, field, "v"}, {"HSET", key, field, strings.Repeat("v", r.IntN(66))}, {"HGETALL", key}, {"HRANDFIELD", key, "5", "WITHVALUES"}, {"HGET", key, field},
					{"HMGET", key, field, "1", "2"}, {"HDEL", key, field}, {"HSCAN", key, "0"}, {"HINCRBY", key, "n", "1"}, {"HSTRLEN", key, field}}
				run(t, e, all[r.IntN(len(all))]...)
			}
		})
	}
	wg.Wait()
	for i := range 3 {
		key := "k" + strconv.Itoa(i)
		for _, field := range run(t, e, "HKEYS", key) {
			run(t, e, "HDEL", key, field)
		}
	}
	if e.Used() != 0 {
		t.Errorf("%d bytes are counted for nothing", e.Used())
	}
}
