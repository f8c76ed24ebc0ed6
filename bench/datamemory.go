package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/peercache/peercache/data"
)

// dataSet is data of which the memory is compared.
type dataSet struct {
	name string
	n    int // commands
	cmd  func(i int) (name string, args []string)
}

// dataSets returns them, a thousandth of each if quick is true.
func dataSets(quick bool) []dataSet {
	of := func(n int) int {
		if quick {
			n /= 1000
		}
		return n
	}
	return []dataSet{
		{"1,000,000 strings, keys of 16 bytes, values of 32", of(1_000_000), func(i int) (string, []string) {
			return "SET", []string{fmt.Sprintf("key:%012d", i), fmt.Sprintf("value:%026d", i)}
		}},
		{"100,000 hashes of 20 fields", of(100_000), func(i int) (string, []string) {
			args := []string{fmt.Sprintf("hash:%011d", i)}
			for f := range 20 {
				args = append(args, fmt.Sprintf("field%02d", f), fmt.Sprintf("value:%06d", i))
			}
			return "HSET", args
		}},
		{"a sorted set of 1,000,000 members", of(1_000_000), func(i int) (string, []string) {
			return "ZADD", []string{"zset", strconv.Itoa(i * 7919 % 1_000_000), fmt.Sprintf("member:%09d", i)}
		}},
	}
}

// runDataMemory compares the memory of data with Redis', which is its used_memory.
func runDataMemory(w io.Writer, m measuring, all *targets) error {
	addr, stop, err := startRedis(w)
	if err != nil || addr == "" {
		return err
	}
	defer stop()
	fmt.Fprint(w, `
Memory: what the heap grows by, after a garbage collection, what is counted for the bound, and what Redis' used_memory grows by.
`)
	t := newTable("", "MiB, heap", "MiB, counted", "MiB, Redis", "heap × Redis", "counted × heap")
	for _, s := range dataSets(m.quick) {
		heap, counted, err := dataHeap(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		theirs, err := redisMemory(addr, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		t.add(s.name, heap/(1<<20), counted/(1<<20), theirs/(1<<20), heap/theirs, counted/heap)
		all.add("memory: "+s.name+", × Redis", heap/theirs, true, 1.2)
	}
	return t.print(w)
}

// dataHeap returns what the heap grows by if s is put into a Memory, and what that counts.
func dataHeap(s dataSet) (heap, counted float64, err error) {
	memory, err := data.NewMemory()
	if err != nil {
		return 0, 0, err
	}
	defer memory.Close()
	before := liveHeap()
	for i := range s.n {
		name, args := s.cmd(i)
		if _, err := dataDo(context.Background(), memory, data.Command(name, args...)); err != nil {
			return 0, 0, err
		}
	}
	heap = liveHeap() - before
	return heap, float64(memory.Stats().Bytes), nil
}

func liveHeap() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// redisMemory returns what used_memory grows by if s is put into a Redis, and empties it.
func redisMemory(addr string, s dataSet) (float64, error) {
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	before, err := usedMemory(c)
	if err != nil {
		return 0, err
	}
	const inPipeline = 1000
	for from := 0; from < s.n; from += inPipeline {
		var cmds rueidis.Commands
		for i := from; i < min(from+inPipeline, s.n); i++ {
			name, args := s.cmd(i)
			cmds = append(cmds, c.B().Arbitrary(name).Args(args...).Build())
		}
		for _, r := range c.DoMulti(context.Background(), cmds...) {
			if err := r.Error(); err != nil {
				return 0, err
			}
		}
	}
	after, err := usedMemory(c)
	if err != nil {
		return 0, err
	}
	return after - before, c.Do(context.Background(), c.B().Flushall().Build()).Error()
}

// usedMemory returns what INFO says.
func usedMemory(c rueidis.Client) (float64, error) {
	info, err := c.Do(context.Background(), c.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(line, "used_memory:"); ok {
			return strconv.ParseFloat(strings.TrimSpace(n), 64)
		}
	}
	return 0, errors.New("INFO has no used_memory")
}
