package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/coocood/freecache"
	"github.com/golang/groupcache/lru"
	"github.com/maypok86/otter/v2"

	"github.com/peercache/peercache/internal/store"
)

var memory = command{
	name:  "memory",
	about: "the heap that entries take beyond key and value, and what they cost the collector",
	run:   runMemory,
}

const (
	memoryKeyBytes   = 16
	memoryValueBytes = 100
)

// A keeper keeps entries. Its keys and values are memory of their own for each entry.
type keeper struct {
	name string
	// fill makes a cache with that many entries, and returns it and how many it has.
	fill func(entries int) (cache any, items int64, err error)
}

func runMemory(w io.Writer, m measuring) error {
	entries := 2_000_000
	if m.quick {
		entries = 20_000
	}
	fmt.Fprintf(w, "\n%d entries, keys of %d and values of %d bytes; nothing is evicted. One full GC: median of %d.\n",
		entries, memoryKeyBytes, memoryValueBytes, m.repeats)
	t := newTable("", "bytes/entry", "× ours", "objects/entry", "full GC ms", "× ours")
	var first *footprint
	for _, k := range []keeper{
		{"peercache store", fillStore},
		{"golang/groupcache lru", fillGroupcache},
		{"otter v2", fillOtter},
		{"freecache", fillFreecache},
	} {
		f, err := m.footprint(k, entries)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		if first == nil {
			first = &f
		}
		t.add(k.name, f.bytes, f.bytes/first.bytes, f.objects, f.gc, f.gc/first.gc)
	}
	return t.print(w)
}

// A footprint is what an entry takes, and the time of one full collection in milliseconds.
type footprint struct{ bytes, objects, gc float64 }

func (m measuring) footprint(k keeper, entries int) (footprint, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	cache, items, err := k.fill(entries)
	if err != nil {
		return footprint{}, err
	}
	if items < int64(entries)*95/100 { // freecache's parts fill unevenly
		return footprint{}, fmt.Errorf("keeps %d of %d entries", items, entries)
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	var gc []float64
	for range m.repeats {
		start := time.Now()
		runtime.GC()
		gc = append(gc, time.Since(start).Seconds()*1000)
	}
	runtime.KeepAlive(cache)
	n := float64(items)
	return footprint{
		bytes:   float64(after.HeapAlloc-before.HeapAlloc)/n - memoryKeyBytes - memoryValueBytes,
		objects: float64(after.HeapObjects-before.HeapObjects) / n,
		gc:      median(gc),
	}, nil
}

func memoryKey(i int) string { return fmt.Sprintf("key-%012d", i) }

func fillStore(entries int) (any, int64, error) {
	s, err := store.New(store.Config{MaxBytes: int64(entries) * 1024})
	if err != nil {
		return nil, 0, err
	}
	value := make([]byte, memoryValueBytes)
	for i := range entries {
		s.Add(memoryKey(i), value, 0, 0)
	}
	return s, s.Stats().Items, nil
}

func fillGroupcache(entries int) (any, int64, error) {
	// What groupcache keeps as a value, whose fields are not exported.
	type byteView struct {
		b []byte
		_ string
	}
	cache := lru.New(0)
	for i := range entries {
		cache.Add(memoryKey(i), byteView{b: make([]byte, memoryValueBytes)})
	}
	return cache, int64(cache.Len()), nil
}

func fillOtter(entries int) (any, int64, error) {
	cache, err := otter.New(&otter.Options[string, []byte]{MaximumSize: 2 * entries})
	if err != nil {
		return nil, 0, err
	}
	for i := range entries {
		cache.Set(memoryKey(i), make([]byte, memoryValueBytes))
	}
	cache.CleanUp()
	return cache, int64(cache.EstimatedSize()), nil
}

// fillFreecache gives freecache what its entries take, and a tenth: its 256 parts fill unevenly.
func fillFreecache(entries int) (any, int64, error) {
	const head = 24 // of an entry
	cache := freecache.NewCache(entries * (head + memoryKeyBytes + memoryValueBytes) * 11 / 10)
	value := make([]byte, memoryValueBytes)
	for i := range entries {
		if err := cache.Set([]byte(memoryKey(i)), value, 0); err != nil {
			return nil, 0, err
		}
	}
	return cache, cache.EntryCount(), nil
}
