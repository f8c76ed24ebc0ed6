package peercache_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/peercache/peercache"
)

// front is a small cache in front of a group. It keeps values as they are needed by its user: here, as
// numbers of bytes.
type front struct {
	group *peercache.Group
	watch peercache.Watch

	mu      sync.Mutex
	changes int            // guarded by mu; grows with each change
	sizes   map[string]int // guarded by mu
}

func newFront(g *peercache.Group) *front {
	f := &front{group: g, sizes: make(map[string]int)}
	f.watch = g.Watch(func(i peercache.Invalidation) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changes++
		if i.All {
			clear(f.sizes)
		}
		for _, key := range i.Keys {
			delete(f.sizes, key)
		}
	})
	return f
}

func (f *front) size(ctx context.Context, key string) (int, error) {
	live := f.watch.Live() // before the look
	f.mu.Lock()
	size, ok := f.sizes[key]
	changes := f.changes // and before the Get
	f.mu.Unlock()
	if ok && live {
		return size, nil
	}
	view, ttl, err := f.group.GetWithTTL(ctx, key)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if live && changes == f.changes && ttl == 0 { // this cache keeps no time: only what has no TTL
		f.sizes[key] = view.Len()
	}
	return view.Len(), nil
}

// A cache in front of a group, which is exact.
func ExampleGroup_Watch() {
	text := "short"
	load := func(context.Context, string) ([]byte, error) { return []byte(text), nil }
	texts, err := peercache.NewGroup("texts", 1<<20, peercache.GetterFunc(load))
	if err != nil {
		fmt.Println(err)
		return
	}
	f := newFront(texts)
	defer f.watch.Stop()
	ctx := context.Background()

	fmt.Println(f.size(ctx, "Tom"))
	text = "much longer"
	fmt.Println(f.size(ctx, "Tom"))
	texts.Remove(ctx, "Tom")
	fmt.Println(f.size(ctx, "Tom"))
	// Output:
	// 5 <nil>
	// 5 <nil>
	// 11 <nil>
}

// For how long a browser may keep a value.
func ExampleGroup_GetWithTTL() {
	load := func(context.Context, string) (peercache.Item, error) {
		return peercache.Item{Value: []byte("page"), TTL: 90 * time.Second}, nil
	}
	pages, err := peercache.NewGroup("pages", 1<<20, peercache.ItemFunc(load))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, ttl, err := pages.GetWithTTL(context.Background(), "index")
	switch {
	case err != nil:
		fmt.Println(err)
	case ttl == 0:
		fmt.Println("Cache-Control: max-age=31536000")
	default:
		fmt.Printf("Cache-Control: max-age=%d\n", max(0, int64(ttl.Round(time.Second).Seconds())))
	}
	// Output: Cache-Control: max-age=90
}
