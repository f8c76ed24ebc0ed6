package zsets_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

func newEngine(tb testing.TB, log engine.Log) *engine.Engine {
	return enginetest.New(tb, engine.Config{Log: log})
}

func run(tb testing.TB, e *engine.Engine, args ...string) {
	var w enginetest.Failed
	if err := e.Run(context.Background(), e.Commands().Find(args[0]), args, &w); err != nil || w.Text != "" {
		tb.Errorf("%q: %v, %s", args, err, w.Text)
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
