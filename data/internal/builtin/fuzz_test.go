package builtin_test

import (
	"context"
	"runtime/metrics"
	"testing"

	"github.com/peercache/peercache/data/internal/engine"
	"github.com/peercache/peercache/data/internal/enginetest"
)

func newEngine(t testing.TB) *engine.Engine {
	e := enginetest.New(t, engine.Config{})
	t.Cleanup(e.Close)
	return e
}

func run(t testing.TB, e *engine.Engine, args ...string) {
	t.Helper()
	cmd := e.Commands().Find(args[0])
	if cmd == nil || !cmd.Fits(len(args)) {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nobody waits
	if err := e.Run(ctx, cmd, args, enginetest.Nowhere{}); err != nil && ctx.Err() != err {
		t.Errorf("%q: %v", args, err)
	}
}

// allocated returns how many bytes were allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// uses are what is done with each value that was loaded.
var uses = [][]string{
	{"get"}, {"append", "x"}, {"object", "encoding"},
	{"lrange", "0", "-1"}, {"lindex", "-1"}, {"lset", "0", "y"}, {"linsert", "before", "a", "b"}, {"lrem", "0", "a"}, {"rpush", "x"}, {"lpop"}, {"rpop"},
	{"hgetall"}, {"hset", "f", "v"}, {"hdel", "f", "a"}, {"hrandfield", "5"}, {"hscan", "0", "count", "100"},
	{"smembers"}, {"sadd", "x", "1"}, {"srem", "1", "a"}, {"srandmember", "5"}, {"sscan", "0"}, {"spop"},
	{"zrange", "0", "-1", "withscores"}, {"zadd", "1", "x"}, {"zrank", "x"}, {"zrem", "a"}, {"zcount", "-inf", "+inf"}, {"zrandmember", "5"}, {"zpopmin"}, {"zscan", "0"},
	{"clen"}, {"cpush", "x", "0.001"}, {"cpop", "1", "0.001"}, {"cclean"},
}

// seeds are values of each kind, as snapshots have them.
func seeds(t testing.TB) (blocks [][]byte) {
	for _, args := range [][]string{
		{"set", "s", "value"}, {"rpush", "l", "a", "", "7", "-70000", "x"}, {"hset", "h", "f", "v", "a", ""}, {"sadd", "i", "1", "-5", "70000"}, {"sadd", "m", "a", "b"},
		{"zadd", "z", "1", "a", "-inf", "b", "0.5", "x"}, {"cmake", "c", "3"},
	} {
		e := newEngine(t)
		run(t, e, args...)
		run(t, e, "pexpire", args[1], "100000000")
		if args[0] == "cmake" {
			run(t, e, "cpush", args[1], "a")
		}
		e.Snapshot(context.Background(), func() error { return nil }, func(b []byte) error {
			blocks = append(blocks, append([]byte(nil), b...))
			return nil
		})
	}
	return blocks
}

// FuzzLoad loads what may be no snapshot: it takes memory by its size, and what it has can be used.
func FuzzLoad(f *testing.F) {
	for _, block := range seeds(f) {
		f.Add(block)
		f.Add(append(append([]byte(nil), block...), block...))
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		e := newEngine(t)
		e.Replaying(true)
		before := allocated()
		err := e.Load(block)
		if got, most := allocated()-before, uint64(1<<20+200*len(block)); got > most {
			t.Errorf("%d bytes are allocated to load %d", got, len(block))
		}
		e.Replaying(false)
		if err != nil {
			return
		}
		var keys []string
		e.Entries(block, func(key string, _ *engine.Entry) error {
			keys = append(keys, key)
			return nil
		})
		for _, key := range keys {
			for _, use := range uses {
				args := append([]string{use[0], key}, use[1:]...)
				if use[0] == "object" {
					args = append(use, key)
				}
				run(t, e, args...)
			}
		}
	})
}

// FuzzReplay replays what may be no record.
func FuzzReplay(f *testing.F) {
	record := func(args ...string) (b []byte) {
		b = append(b, byte(len(args)))
		for _, a := range args {
			b = append(append(b, byte(len(a))), a...)
		}
		return b
	}
	for _, cmd := range newEngine(f).Commands().All() {
		n := max(cmd.Arity, -cmd.Arity)
		for _, extra := range []int{0, 1, 3} {
			args := []string{cmd.Name}
			for i := 1; i < n+extra; i++ {
				args = append(args, []string{"2", "k", "left", "1", "0"}[i%5])
			}
			f.Add(record(args...))
		}
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		e := newEngine(t)
		e.Replaying(true)
		e.Replay(string(block))
	})
}
