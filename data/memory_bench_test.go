package data_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/peercache/peercache/data"
)

// BenchmarkMemory runs commands in process, on 1 of 10 000 keys each, beside the short way of a string.
func BenchmarkMemory(b *testing.B) {
	const keys = 10_000
	ctx := context.Background()
	m, err := data.NewMemory()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprint("key:", i)
		for _, command := range [][]string{
			{"SET", "s" + names[i], "value"}, {"SET", "n" + names[i], "1"}, {"HSET", "h" + names[i], "field", "value"},
			{"RPUSH", "l" + names[i], "value"}, {"SADD", "m" + names[i], "member"}, {"ZADD", "z" + names[i], "1", "member"},
		} {
			m.Do(ctx, data.Cmd{Name: command[0], Args: command[1:]})
		}
	}
	parallel := func(name string, do func(key string)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var seeds atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for i := int(seeds.Add(1)) * 1234; pb.Next(); i++ {
					do(names[i*7%keys])
				}
			})
		})
	}
	parallel("GetString", func(key string) { m.GetString(ctx, key) })
	for _, command := range [][]string{
		{"GET", "s"}, {"SET", "s", "other value"}, {"INCR", "n"}, {"EXPIRE", "s", "1000"}, {"HGET", "h", "field"}, {"HSET", "h", "field", "value"},
		{"LPUSH", "l", "value"}, {"LPOP", "l"}, {"SISMEMBER", "m", "member"}, {"SADD", "m", "member"}, {"ZSCORE", "z", "member"}, {"ZADD", "z", "2", "member"},
		{"EXISTS", "s"}, {"TTL", "s"},
	} {
		parallel(command[0], func(key string) {
			args := append([]string{command[1] + key}, command[2:]...)
			if _, err := m.Do(ctx, data.Cmd{Name: command[0], Args: args}); err != nil {
				b.Error(err)
			}
		})
	}
	for _, tenths := range []int{0, 1, 10} { // of SETs
		keys := make([]string, 100)
		for i := range keys {
			keys[i] = "s" + names[i]
		}
		b.Run(fmt.Sprintf("pipeline of 100, %d0%% SET", tenths), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				cmds := make([]data.Cmd, len(keys))
				for more := true; more; {
					for j := range cmds {
						if cmds[j] = data.Command("GET", keys[j]); j%10 < tenths {
							cmds[j] = data.Command("SET", keys[j], "other value")
						}
					}
					if _, err := m.Do(ctx, cmds...); err != nil {
						b.Error(err)
					}
					for i := 0; i < len(cmds) && more; i++ {
						more = pb.Next()
					}
				}
			})
		})
	}
	client := data.New(m)
	parallel("client Get", func(key string) { client.Strings().Get(ctx, key) })
	parallel("client Set", func(key string) { client.Strings().Set(ctx, key, "other value") })
	parallel("client Incr", func(key string) { client.Strings().Incr(ctx, key) })
}
