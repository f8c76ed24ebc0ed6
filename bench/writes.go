package main

import (
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"

	"github.com/peercache/peercache/internal/store"
)

var writes = command{
	name:  "writes",
	about: "adding to a cache that is full, by several goroutines",
	run:   runWrites,
}

// writesMost is the target: times otter's time.
const writesMost = 1

// A writtenCache is full of entries. Each one copies the value, as a cache must whose callers go on
// to use their slice.
type writtenCache struct {
	add   func(key string, value []byte) bool
	get   func(key string) bool
	drain func() // waits until what was added is in the cache, and what is too much has left
	close func()
}

// A writtenKind makes caches for so many entries.
type writtenKind struct {
	name string
	make func(entries, valueBytes int) (writtenCache, error)
}

var writtenKinds = []writtenKind{
	{"peercache store", writtenStore},
	{"otter v2", writtenOtter},
	{"ristretto v2", writtenRistretto},
	{"theine", writtenTheine},
}

func runWrites(w io.Writer, m measuring) error {
	entries := 100_000
	if m.quick {
		entries = 2000
	}
	fmt.Fprintf(w, `
%d cores: more goroutines than cores show what it costs to wait for each other, not what more cores would bring.
Each turn makes a cache for about %d entries, fills it twice over, collects garbage, and then measures %[2]d operations,
until all that was added is in the cache and what was too much has left: otter, ristretto and theine do that later, in
goroutines of their own. Keys are made before. Each cache copies the value. Median of %d turns.
`, runtime.NumCPU(), entries, m.repeats)
	var reached targets
	for _, load := range []writeLoad{
		{"new keys, values of 100 bytes", 100, 1},
		{"new keys, values of 1 KiB", 1 << 10, 1},
		{"75 % reads, values of 1 KiB", 1 << 10, 4},
	} {
		t := newTable(load.name, "goroutines", "ns/op", "× ours", "× otter's", "not taken, %")
		for _, workers := range []int{1, 2, 4, 8} {
			figures, err := m.writes(load, entries, workers)
			if err != nil {
				return fmt.Errorf("%s: %w", load.name, err)
			}
			ours, otters := figures[0].ns, figures[1].ns
			for i, kind := range writtenKinds {
				f := figures[i]
				t.add(kind.name, workers, f.ns, f.ns/ours, f.ns/otters, f.refused)
			}
			reached.add(fmt.Sprintf("%s, %d goroutines, × otter's time", load.name, workers), ours/otters, true, writesMost)
		}
		fmt.Fprintln(w)
		if err := t.print(w); err != nil {
			return err
		}
	}
	reached.print(w, "Targets")
	return nil
}

// A writeLoad is what the goroutines do: one in every operations adds a new key, the others are
// reads of keys that were added before.
type writeLoad struct {
	name       string
	valueBytes int
	every      int
}

// A writeFigure is what an operation took, and which part of the adds, in percent, the cache has
// refused.
type writeFigure struct{ ns, refused float64 }

// writes returns a figure for each kind of cache.
func (m measuring) writes(load writeLoad, entries, workers int) ([]writeFigure, error) {
	ns, refused := make([][]float64, len(writtenKinds)), make([][]float64, len(writtenKinds))
	for turn := range m.repeats {
		for i := range writtenKinds {
			i := (i + turn) % len(writtenKinds)
			f, err := writeTurn(writtenKinds[i], load, entries, workers)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", writtenKinds[i].name, err)
			}
			ns[i], refused[i] = append(ns[i], f.ns), append(refused[i], f.refused)
		}
	}
	figures := make([]writeFigure, len(writtenKinds))
	for i := range figures {
		figures[i] = writeFigure{median(ns[i]), median(refused[i])}
	}
	return figures, nil
}

// writeTurn measures one cache, once.
func writeTurn(kind writtenKind, load writeLoad, entries, workers int) (writeFigure, error) {
	c, err := kind.make(entries, load.valueBytes)
	if err != nil {
		return writeFigure{}, err
	}
	defer c.close()
	value := make([]byte, load.valueBytes)
	for i := range 2 * entries {
		c.add(memoryKey(i), value)
	}
	c.drain()
	fresh := make([]string, entries/load.every)
	for i := range fresh {
		fresh[i] = memoryKey(2*entries + i)
	}
	read := zipfKeys(entries/2, entries)
	for _, key := range read {
		c.add(key, value)
	}
	c.drain()
	runtime.GC()

	var refused atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for worker := range workers {
		mine := fresh[worker*len(fresh)/workers : (worker+1)*len(fresh)/workers]
		reads := read[worker*len(read)/workers:]
		value := append([]byte(nil), value...)
		all.Go(func() {
			<-begin
			lost := 0
			for i, key := range mine {
				if !c.add(key, value) {
					lost++
				}
				for k := range load.every - 1 {
					c.get(reads[(i*load.every+k)%len(reads)])
				}
			}
			refused.Add(int64(lost))
		})
	}
	start := time.Now()
	close(begin)
	all.Wait()
	c.drain()
	took := time.Since(start)
	return writeFigure{
		ns:      float64(took.Nanoseconds()) / float64(len(fresh)*load.every),
		refused: 100 * float64(refused.Load()) / float64(len(fresh)),
	}, nil
}

func writtenStore(entries, valueBytes int) (writtenCache, error) {
	// What an entry takes with its key, and its part of the tables.
	s, err := store.New(store.Config{MaxBytes: int64(entries) * int64(valueBytes+memoryKeyBytes+64)})
	if err != nil {
		return writtenCache{}, err
	}
	return writtenCache{
		add:   func(key string, value []byte) bool { _, kept := s.Add(key, value, 0, 0); return kept },
		get:   func(key string) bool { _, ok := s.Get(key); return ok },
		drain: func() {}, // nothing is left for later
		close: func() {},
	}, nil
}

func writtenOtter(entries, _ int) (writtenCache, error) {
	cache, err := otter.New(&otter.Options[string, []byte]{MaximumSize: entries})
	if err != nil {
		return writtenCache{}, err
	}
	return writtenCache{
		add:   func(key string, value []byte) bool { cache.Set(key, append([]byte(nil), value...)); return true },
		get:   func(key string) bool { _, ok := cache.GetIfPresent(key); return ok },
		drain: cache.CleanUp,
		close: func() { cache.StopAllGoroutines() },
	}, nil
}

func writtenRistretto(entries, _ int) (writtenCache, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, []byte]{
		NumCounters: int64(10 * entries), MaxCost: int64(entries), BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return writtenCache{}, err
	}
	return writtenCache{
		add:   func(key string, value []byte) bool { return cache.Set(key, append([]byte(nil), value...), 1) },
		get:   func(key string) bool { _, ok := cache.Get(key); return ok },
		drain: cache.Wait,
		close: cache.Close,
	}, nil
}

func writtenTheine(entries, _ int) (writtenCache, error) {
	cache, err := theine.NewBuilder[string, []byte](int64(entries)).Build()
	if err != nil {
		return writtenCache{}, err
	}
	return writtenCache{
		add:   func(key string, value []byte) bool { return cache.Set(key, append([]byte(nil), value...), 1) },
		get:   func(key string) bool { _, ok := cache.Get(key); return ok },
		drain: cache.Wait,
		close: cache.Close,
	}, nil
}
