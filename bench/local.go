package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/golang/groupcache"
	"github.com/maypok86/otter/v2"

	"github.com/peercache/peercache"
)

var local = command{
	name:  "local",
	about: "getting a key that is cached in this process",
	run:   runLocal,
}

const (
	localValueBytes = 1 << 10
	localSkew       = 1.01 // of the Zipf distribution that keys are asked for by
)

// localCache is a cache that holds all keys.
type localCache struct {
	name string
	// get returns the length of the value of key, 0 if it is not there.
	get   func(key string) int
	close func()
}

func runLocal(w io.Writer, m measuring) error {
	entries := 100_000
	if m.quick {
		entries = 1000
	}
	asked := zipfKeys(entries, 16*entries)
	fmt.Fprintf(w, "\n%d keys, %d-byte values, Zipf %v, all hits; median of %d turns of %v each\n",
		entries, localValueBytes, localSkew, m.repeats, m.turn)

	var subjects []subject
	for _, make := range []func(entries int) (localCache, error){
		newPeercache, newGroupcache, newOtter, newRistretto, newPlainMap,
	} {
		c, err := make(entries)
		if err != nil {
			return err
		}
		defer c.close()
		for i := range entries {
			if c.get(localKey(i)) != localValueBytes {
				return fmt.Errorf("%s does not have all keys", c.name)
			}
		}
		subjects = append(subjects, subject{c.name, func(worker, n int) (sum int) {
			at := worker * len(asked) / 2
			for range n {
				if at++; at >= len(asked) {
					at = 0
				}
				sum += c.get(asked[at])
			}
			return sum
		}})
	}

	one, two := m.sideBySide(1, subjects), m.sideBySide(2, subjects)
	t := newTable("", "1 goroutine ns/op", "× ours", "2 goroutines ns/op", "× ours", "allocs/op")
	for i, s := range subjects {
		t.add(s.name, one[i].ns, one[i].ns/one[0].ns, two[i].ns, two[i].ns/two[0].ns, two[i].allocs)
	}
	return t.print(w)
}

// localKey returns a key, each time with memory of its own: a caller's key is
// not the one that was cached.
func localKey(i int) string { return fmt.Sprintf("user:%011d", i) }

// zipfKeys returns n keys to be asked for, one after the other.
func zipfKeys(entries, n int) []string {
	rnd := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rnd, localSkew, 1, uint64(entries-1))
	order := rnd.Perm(entries) // the popular ones are not side by side in memory
	keys := make([]string, entries)
	for i := range keys {
		keys[i] = localKey(i)
	}
	asked := make([]string, n)
	for i := range asked {
		asked[i] = keys[order[zipf.Uint64()]]
	}
	return asked
}

// localBytes is room for all entries, and for what it takes to keep them.
func localBytes(entries int) int64 { return int64(entries) * (localValueBytes + 1024) }

func newPeercache(entries int) (localCache, error) {
	load := func(context.Context, string) ([]byte, error) { return make([]byte, localValueBytes), nil }
	group, err := peercache.NewGroup("bench", localBytes(entries), peercache.GetterFunc(load))
	if err != nil {
		return localCache{}, err
	}
	ctx := context.Background()
	get := func(key string) int {
		view, _ := group.Get(ctx, key)
		return view.Len()
	}
	for i := range entries {
		get(localKey(i))
	}
	if items := group.Stats().Main.Items; items != int64(entries) {
		return localCache{}, fmt.Errorf("peercache keeps %d of %d entries", items, entries)
	}
	return localCache{"peercache Group.Get", get, func() {}}, nil
}

// groupcacheGroups counts the groups made. Their registry is global, and takes
// each name once.
var groupcacheGroups int

func newGroupcache(entries int) (localCache, error) {
	load := func(_ context.Context, _ string, dest groupcache.Sink) error {
		return dest.SetBytes(make([]byte, localValueBytes))
	}
	groupcacheGroups++
	group := groupcache.NewGroup(fmt.Sprint("bench", groupcacheGroups), localBytes(entries), groupcache.GetterFunc(load))
	ctx := context.Background()
	get := func(key string) int {
		var view groupcache.ByteView // of its sinks, the one that copies nothing
		if group.Get(ctx, key, groupcache.ByteViewSink(&view)) != nil {
			return 0
		}
		return view.Len()
	}
	for i := range entries {
		get(localKey(i))
	}
	if items := group.CacheStats(groupcache.MainCache).Items; items != int64(entries) {
		return localCache{}, fmt.Errorf("groupcache keeps %d of %d entries", items, entries)
	}
	return localCache{"golang/groupcache Group.Get", get, func() {}}, nil
}

func newOtter(entries int) (localCache, error) {
	cache, err := otter.New(&otter.Options[string, []byte]{MaximumSize: 2 * entries})
	if err != nil {
		return localCache{}, err
	}
	for i := range entries {
		cache.Set(localKey(i), make([]byte, localValueBytes))
	}
	get := func(key string) int {
		value, _ := cache.GetIfPresent(key)
		return len(value)
	}
	return localCache{"otter v2 raw GetIfPresent", get, func() { cache.StopAllGoroutines() }}, nil
}

func newRistretto(entries int) (localCache, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[string, []byte]{
		NumCounters: int64(10 * entries),
		MaxCost:     localBytes(entries),
		BufferItems: 64,
	})
	if err != nil {
		return localCache{}, err
	}
	get := func(key string) int {
		value, _ := cache.Get(key)
		return len(value)
	}
	for i := range entries { // it drops what comes too fast
		for tries := 0; get(localKey(i)) == 0; tries++ {
			if tries == 1000 {
				cache.Close()
				return localCache{}, errors.New("ristretto does not take all keys")
			}
			cache.Set(localKey(i), make([]byte, localValueBytes), localValueBytes)
			cache.Wait()
		}
	}
	return localCache{"ristretto v2 raw Get", get, cache.Close}, nil
}

func newPlainMap(entries int) (localCache, error) {
	values := make(map[string][]byte, entries)
	for i := range entries {
		values[localKey(i)] = make([]byte, localValueBytes)
	}
	get := func(key string) int { return len(values[key]) }
	return localCache{"plain read-only map", get, func() {}}, nil
}
