package zsets_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/peercache/peercache/data/internal/builtin"
	"github.com/peercache/peercache/data/internal/engine"
)

// discard is a Writer that keeps the last error.
type discard struct{ err string }

func (d *discard) Proto() int        { return 3 }
func (d *discard) Simple(string)     {}
func (d *discard) Error(text string) { d.err = text }
func (d *discard) Int(int64)         {}
func (d *discard) Bulk(string)       {}
func (d *discard) Bytes([]byte)      {}
func (d *discard) Null()             {}
func (d *discard) NullArray()        {}
func (d *discard) Double(float64)    {}
func (d *discard) Array(int)         {}
func (d *discard) Map(int)           {}
func (d *discard) Set(int)           {}

func newEngine(tb testing.TB, log engine.Log) *engine.Engine {
	table, err := engine.NewTable(builtin.Commands()...)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := engine.New(engine.Config{Commands: table, Kinds: builtin.Kinds(), Log: log})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func run(tb testing.TB, e *engine.Engine, args ...string) {
	var w discard
	if err := e.Run(context.Background(), e.Commands().Find(args[0]), args, &w); err != nil || w.err != "" {
		tb.Errorf("%q: %v, %s", args, err, w.err)
	}
}

const benchMembers = 100_000

// BenchmarkCommands runs commands on a set of 100,000 members, one for each goroutine.
func BenchmarkCommands(b *testing.B) {
	scores := make([]string, benchMembers)
	ranks := make([]string, benchMembers)
	for i := range scores {
		scores[i], ranks[i] = fmt.Sprint(float64(i)/2), fmt.Sprint(i)
	}
	name := func(i int) string { return "member:" + strconv.Itoa(i) }
	member := func() string { return name(rand.IntN(benchMembers)) }
	score := func() string { return scores[rand.IntN(benchMembers)] }
	for _, bench := range []struct {
		name string
		args func(key string) []string
	}{
		{"ZSCORE", func(key string) []string { return []string{"ZSCORE", key, member()} }},
		{"ZCARD", func(key string) []string { return []string{"ZCARD", key} }},
		{"ZRANK", func(key string) []string { return []string{"ZRANK", key, member()} }},
		{"ZCOUNT", func(key string) []string { return []string{"ZCOUNT", key, score(), score()} }},
		{"ZRANGE of one", func(key string) []string { i := ranks[rand.IntN(benchMembers)]; return []string{"ZRANGE", key, i, i} }},
		{"ZRANGE of ten", func(key string) []string {
			i := rand.IntN(benchMembers - 10)
			return []string{"ZRANGE", key, ranks[i], ranks[i+9]}
		}},
		{"ZRANGEBYSCORE of ten", func(key string) []string {
			i := rand.IntN(benchMembers - 10)
			return []string{"ZRANGEBYSCORE", key, scores[i], scores[i+9]}
		}},
		{"ZRANDMEMBER", func(key string) []string { return []string{"ZRANDMEMBER", key} }},
		{"ZADD", func(key string) []string { return []string{"ZADD", key, score(), member()} }},
		{"ZADD little", func(key string) []string {
			i := rand.IntN(benchMembers - 1)
			return []string{"ZADD", key, scores[i+1], name(i)}
		}},
		{"ZINCRBY", func(key string) []string { return []string{"ZINCRBY", key, "1", member()} }},
		{"ZPOPMIN", func(key string) []string { return []string{"ZPOPMIN", key} }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e := newEngine(b, nil)
			keys := make(chan string, 64)
			for k := range cap(keys) {
				keys <- fmt.Sprint("key", k)
			}
			fill := func(key string) {
				for i := range scores {
					run(b, e, "ZADD", key, scores[i], name(i))
				}
			}
			for k := range 2 {
				fill(fmt.Sprint("key", k))
			}
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				key := <-keys
				for pb.Next() {
					run(b, e, bench.args(key)...)
				}
			})
		})
	}
}
