package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"

	"github.com/golang/groupcache/lru"
	"github.com/maypok86/otter/v2"

	"github.com/peercache/peercache/internal/store"
)

var bound = command{
	name:  "bound",
	about: "the heap that a cache takes of which one has said how large it may be",
	run:   runBound,
}

// A boundedCache is told a number of bytes. put copies the value.
type boundedCache struct {
	name string
	make func(maxBytes int64) (put func(key string, value []byte), cache any, err error)
}

func runBound(w io.Writer, m measuring) error {
	maxBytes := int64(1 << 30)
	if m.quick {
		maxBytes = 16 << 20
	}
	fmt.Fprintf(w, "\n%d MiB are configured; filled, and churned with as much again; after a full GC.\n"+
		"groupcache counts keys and values, and otter is told to. In use are whole spans of the allocator.\n", maxBytes>>20)
	t := newTable("", "heap allocated / configured", "× ours", "heap in use / configured")
	sizes := []struct {
		name string
		size func(*rand.Rand) int
	}{
		{"100 B", func(*rand.Rand) int { return 100 }},
		{"1 B to 256 KiB", func(r *rand.Rand) int { return 1 + r.IntN(1<<(3+r.IntN(16))) }},
		{"1 MiB", func(*rand.Rand) int { return 1 << 20 }},
	}
	for _, size := range sizes {
		ours := 0.0
		for _, c := range []boundedCache{{"peercache store", boundStore}, {"golang/groupcache lru", boundGroupcache}, {"otter v2", boundOtter}} {
			allocated, inUse, err := fillAndChurn(c, maxBytes, size.size)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if ours == 0 {
				ours = allocated
			}
			t.add(c.name+", "+size.name, allocated, allocated/ours, inUse)
		}
	}
	return t.print(w)
}

// fillAndChurn puts twice as many bytes of keys and values as are configured, and
// returns what the heap has grown by, as parts of that.
func fillAndChurn(c boundedCache, maxBytes int64, size func(*rand.Rand) int) (allocated, inUse float64, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	put, cache, err := c.make(maxBytes)
	if err != nil {
		return 0, 0, err
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	value := make([]byte, 1<<20)
	for i, n := 0, int64(0); n < 2*maxBytes; i++ {
		v := value[:size(rnd)]
		put(memoryKey(i), v)
		n += memoryKeyBytes + int64(len(v))
	}
	if c, ok := cache.(interface{ CleanUp() }); ok {
		c.CleanUp()
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(cache)
	part := func(before, after uint64) float64 { return float64(int64(after)-int64(before)) / float64(maxBytes) }
	return part(before.HeapAlloc, after.HeapAlloc), part(before.HeapInuse, after.HeapInuse), nil
}

func boundStore(maxBytes int64) (func(string, []byte), any, error) {
	s, err := store.New(store.Config{MaxBytes: maxBytes})
	if err != nil {
		return nil, nil, err
	}
	return func(key string, value []byte) { s.Add(key, value, 0, 0) }, s, nil
}

// boundGroupcache does what groupcache's Group does around its lru.
func boundGroupcache(maxBytes int64) (func(string, []byte), any, error) {
	bytes := int64(0)
	cache := &lru.Cache{OnEvicted: func(key lru.Key, value any) {
		bytes -= int64(len(key.(string)) + len(value.([]byte)))
	}}
	return func(key string, value []byte) {
		cache.Add(key, append([]byte(nil), value...))
		bytes += int64(len(key) + len(value))
		for bytes > maxBytes {
			cache.RemoveOldest()
		}
	}, cache, nil
}

func boundOtter(maxBytes int64) (func(string, []byte), any, error) {
	cache, err := otter.New(&otter.Options[string, []byte]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(key string, value []byte) uint32 { return uint32(len(key) + len(value)) },
	})
	if err != nil {
		return nil, nil, err
	}
	return func(key string, value []byte) {
		cache.Set(key, append([]byte(nil), value...))
	}, cache, nil
}
