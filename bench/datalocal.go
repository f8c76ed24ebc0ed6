package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/data"
)

const (
	dataKeys  = 100_000
	dataBytes = 100 // of each value
	// mostLocal is how long a command of O(1) may take.
	mostLocal = 1000
)

// runDataLocal measures commands in this process.
func runDataLocal(w io.Writer, m measuring, all *targets) error {
	keys := dataKeys
	if m.quick {
		keys = 1000
	}
	fmt.Fprintf(w, `
In this process: commands of time O(1), by 2 goroutines, each on one of %d keys, values of %d bytes; median of %d turns of %v
each. A group's hit is one of as many values of that size.
`, keys, dataBytes, m.repeats, m.turn)
	memory, err := data.NewMemory()
	if err != nil {
		return err
	}
	defer memory.Close()
	hit, err := dataHits(keys)
	if err != nil {
		return err
	}
	subjects := []subject{hit, dataGets(memory, keys)}
	for _, c := range localCommands {
		subjects = append(subjects, dataCommands(memory, c, keys))
	}
	figures := m.sideBySide(2, subjects)
	t := newTable("", "ns", "× a group's hit", "allocs")
	for i, s := range subjects {
		t.add(s.name, figures[i].ns, figures[i].ns/figures[0].ns, figures[i].allocs)
		switch {
		case i == 1:
			all.add("in process: a string GET, × a group's hit", figures[i].ns/figures[0].ns, true, 2)
		case i > 1:
			all.add("in process: "+s.name+", ns", figures[i].ns, true, mostLocal)
		}
	}
	return t.print(w)
}

// dataHits returns a group's hits.
func dataHits(keys int) (subject, error) {
	value := make([]byte, dataBytes)
	group, err := peercache.NewGroup("data", int64(keys)*1024, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return value, nil }))
	if err != nil {
		return subject{}, err
	}
	names := dataNames("s:", keys)
	for _, name := range names {
		_, err := group.Get(context.Background(), name)
		wantNoError("a load", err)
	}
	return subject{"a group's hit", func(worker, n int) (sum int) {
		for i := range n {
			view, err := group.Get(context.Background(), names[(worker*7919+i*31)%keys])
			wantNoError("a hit", err)
			sum += view.Len()
		}
		return sum
	}}, nil
}

// dataNames returns keys.
func dataNames(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = prefix + strconv.Itoa(i)
	}
	return names
}

// dataGets returns GETs by the typed client.
func dataGets(memory *data.Memory, keys int) subject {
	names, value, ctx := dataNames("s:", keys), string(make([]byte, dataBytes)), context.Background()
	client := data.New(memory)
	for _, name := range names {
		wantNoError("SET", client.Strings().Set(ctx, name, value))
	}
	strings := client.Strings()
	return subject{"GET, by the typed client", func(worker, n int) (sum int) {
		for i := range n {
			value, err := strings.Get(ctx, names[(worker*7919+i*31)%keys])
			wantNoError("GET", err)
			sum += len(value)
		}
		return sum
	}}
}

// localCommand is a command of time O(1) with arguments for its i-th run, after those of before.
type localCommand struct {
	name   string
	args   func(key string, i int) []string
	before []string // a command that makes what it needs, of each key; KEY stands for the key
}

const keyOf = "KEY"

var localCommands = []localCommand{
	{"SET", func(key string, _ int) []string { return []string{key, localText} }, nil},
	{"GET", func(key string, _ int) []string { return []string{key} }, []string{"SET", keyOf, localText}},
	{"INCR", func(key string, _ int) []string { return []string{key} }, nil},
	{"APPEND", func(key string, _ int) []string { return []string{key, "x"} }, nil},
	{"GETSET", func(key string, _ int) []string { return []string{key, localText} }, nil},
	{"EXPIRE", func(key string, i int) []string { return []string{key, strconv.Itoa(1000 + i%1000)} }, []string{"SET", keyOf, localText}},
	{"TTL", func(key string, _ int) []string { return []string{key} }, []string{"SET", keyOf, localText, "EX", "1000"}},
	{"EXISTS", func(key string, _ int) []string { return []string{key} }, []string{"SET", keyOf, localText}},
	{"HSET", func(key string, i int) []string { return []string{key, "field" + strconv.Itoa(i%10), localText} }, nil},
	{"HGET", func(key string, i int) []string { return []string{key, "c"} }, []string{"HSET", keyOf, "a", "1", "b", "2", "c", "3"}},
	{"LPUSH", func(key string, _ int) []string { return []string{key, localText} }, nil},
	{"RPUSH", func(key string, _ int) []string { return []string{key, localText} }, nil},
	{"LPOP", func(key string, _ int) []string { return []string{key} }, []string{"RPUSH", keyOf, "a", "b", "c", "d"}},
	{"LLEN", func(key string, _ int) []string { return []string{key} }, []string{"RPUSH", keyOf, "a", "b"}},
	{"SADD", func(key string, i int) []string { return []string{key, "member" + strconv.Itoa(i%20)} }, nil},
	{"SISMEMBER", func(key string, _ int) []string { return []string{key, "b"} }, []string{"SADD", keyOf, "a", "b", "c"}},
	{"SCARD", func(key string, _ int) []string { return []string{key} }, []string{"SADD", keyOf, "a", "b", "c"}},
	{"ZADD", func(key string, i int) []string { return []string{key, strconv.Itoa(i), "member" + strconv.Itoa(i%20)} }, nil},
	{"ZSCORE", func(key string, _ int) []string { return []string{key, "b"} }, []string{"ZADD", keyOf, "1", "a", "2", "b"}},
	{"ZCARD", func(key string, _ int) []string { return []string{key} }, []string{"ZADD", keyOf, "1", "a", "2", "b"}},
	{"TYPE", func(key string, _ int) []string { return []string{key} }, []string{"SET", keyOf, localText}},
	{"DEL", func(key string, _ int) []string { return []string{key} }, nil},
}

var localText = string(make([]byte, dataBytes))

// dataCommands returns runs of a command.
func dataCommands(memory *data.Memory, c localCommand, keys int) subject {
	keys /= 10 // of each command
	names, ctx := dataNames(c.name+":", keys), context.Background()
	for _, name := range names {
		if c.before == nil {
			break
		}
		args := make([]string, len(c.before)-1)
		for i, arg := range c.before[1:] {
			if args[i] = arg; arg == keyOf {
				args[i] = name
			}
		}
		_, err := dataDo(ctx, memory, data.Command(c.before[0], args...))
		wantNoError(c.name, err)
	}
	return subject{c.name, func(worker, n int) (sum int) {
		for i := range n {
			r, err := dataDo(ctx, memory, data.Command(c.name, c.args(names[(worker*7919+i*31)%keys], i)...))
			wantNoError(c.name, err)
			sum += int(r.Kind)
		}
		return sum
	}}
}

// dataDo runs one command.
func dataDo(ctx context.Context, d data.Driver, cmd data.Cmd) (data.Reply, error) {
	replies, err := d.Do(ctx, cmd)
	if err != nil {
		return data.Reply{}, err
	}
	if replies[0].Kind == data.ErrorReply {
		return data.Reply{}, replies[0].Err()
	}
	return replies[0], nil
}

// runDataPipeline compares SETs and GETs in this process with those that rueidis sends to redis-server. Both have the same keys, and no others.
func runDataPipeline(w io.Writer, m measuring, all *targets) error {
	addr, stop, err := startRedis(w)
	if err != nil || addr == "" {
		return err
	}
	defer stop()
	memory, err := data.NewMemory()
	if err != nil {
		return err
	}
	defer memory.Close()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, names := context.Background(), dataNames("p:", 1000)
	const inPipeline = 100
	ours := subject{"peercache, in process", func(worker, n int) (sum int) {
		cmds := make([]data.Cmd, inPipeline)
		for i := range (n + inPipeline - 1) / inPipeline {
			for j := range cmds {
				name := names[(worker+i*inPipeline+j)%len(names)]
				if cmds[j] = data.Command("GET", name); j%10 == 0 {
					cmds[j] = data.Command("SET", name, localText)
				}
			}
			replies, err := memory.Do(ctx, cmds...)
			wantNoError("Do", err)
			sum += len(replies)
		}
		return sum
	}}
	theirs := subject{"redis-server, rueidis' DoMulti", func(worker, n int) (sum int) {
		for i := range (n + inPipeline - 1) / inPipeline {
			cmds := make(rueidis.Commands, inPipeline)
			for j := range cmds {
				name := names[(worker+i*inPipeline+j)%len(names)]
				if cmds[j] = c.B().Get().Key(name).Build(); j%10 == 0 {
					cmds[j] = c.B().Set().Key(name).Value(localText).Build()
				}
			}
			replies := c.DoMulti(ctx, cmds...)
			for _, r := range replies {
				if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
					wantNoError("DoMulti", err)
				}
			}
			sum += len(replies)
		}
		return sum
	}}
	subjects := []subject{ours, theirs}
	figures := m.sideBySide(8, subjects)
	fmt.Fprintf(w, "\nCommands in pipelines of %d, a tenth of them SET, by 8 goroutines:\n", inPipeline)
	t := newTable("", "commands/s", "× ours")
	for i, s := range subjects {
		t.add(s.name, 1e9/figures[i].ns, figures[0].ns/figures[i].ns)
	}
	all.add("in process: throughput, × rueidis' pipelines to redis-server", figures[1].ns/figures[0].ns, false, 5)
	return t.print(w)
}
