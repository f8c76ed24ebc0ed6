package peercache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/peercache/peercache"
)

// A group without peers is a cache of this process alone.
func ExampleNewGroup() {
	loads := 0
	load := func(ctx context.Context, key string) ([]byte, error) {
		loads++
		return []byte("value of " + key), nil // ask the database
	}
	group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load))
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		view, err := group.Get(context.Background(), "Tom")
		fmt.Println(view, err)
	}
	fmt.Println(loads, "load")
	// Output:
	// value of Tom <nil>
	// value of Tom <nil>
	// value of Tom <nil>
	// 1 load
}

// Two peers, which are two processes in real life, share one cache.
func ExampleHTTPPool() {
	newPeer := func() (*peercache.HTTPPool, *peercache.Group, *httptest.Server) {
		mux := http.NewServeMux()
		server := httptest.NewServer(mux) // http.Server in real life
		pool, err := peercache.NewHTTPPool(server.URL)
		if err != nil {
			log.Fatal(err)
		}
		mux.Handle(pool.BasePath(), pool)
		group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(
			func(ctx context.Context, key string) ([]byte, error) { return []byte("630"), nil },
		), peercache.WithPeers(pool))
		if err != nil {
			log.Fatal(err)
		}
		return pool, group, server
	}
	pool1, group1, server1 := newPeer()
	pool2, group2, server2 := newPeer()
	for _, pool := range []*peercache.HTTPPool{pool1, pool2} {
		if err := pool.Set(server1.URL, server2.URL); err != nil {
			log.Fatal(err)
		}
	}
	for _, pool := range []*peercache.HTTPPool{pool1, pool2} {
		if err := pool.Ready(context.Background()); err != nil {
			log.Fatal(err)
		}
	}

	view1, _ := group1.Get(context.Background(), "Tom")
	view2, _ := group2.Get(context.Background(), "Tom")
	fmt.Println(view1, view2)
	fmt.Println(group1.Stats().Loads+group2.Stats().Loads, "load")

	pool1.Shutdown(context.Background())
	pool2.Shutdown(context.Background())
	server1.Close()
	server2.Close()
	// Output:
	// 630 630
	// 1 load
}

// An ItemFunc says how long each value may be served.
func ExampleItemFunc() {
	group, err := peercache.NewGroup("sessions", 64<<20, peercache.ItemFunc(
		func(ctx context.Context, key string) (peercache.Item, error) {
			return peercache.Item{Value: []byte("token"), TTL: 15 * time.Minute}, nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	view, _ := group.Get(context.Background(), "alice")
	fmt.Println(view)
	// Output: token
}

func ExampleGroup_GetMulti() {
	scores := map[string]string{"Tom": "630", "Jack": "589"}
	group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(
		func(ctx context.Context, key string) ([]byte, error) {
			if s, ok := scores[key]; ok {
				return []byte(s), nil
			}
			return nil, peercache.ErrNotFound
		}))
	if err != nil {
		log.Fatal(err)
	}
	keys := []string{"Tom", "Jill", "Jack"}
	for i, r := range group.GetMulti(context.Background(), keys) {
		if errors.Is(r.Err, peercache.ErrNotFound) {
			fmt.Println(keys[i], "is unknown")
			continue
		}
		fmt.Println(keys[i], r.View)
	}
	// Output:
	// Tom 630
	// Jill is unknown
	// Jack 589
}

// After a write to the origin, Remove makes all peers forget the old value.
func ExampleGroup_Remove() {
	score := "630"
	group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(
		func(ctx context.Context, key string) ([]byte, error) { return []byte(score), nil }))
	if err != nil {
		log.Fatal(err)
	}
	before, _ := group.Get(context.Background(), "Tom")
	score = "631"
	if err := group.Remove(context.Background(), "Tom"); err != nil {
		log.Print(err) // names the peers that could not be reached
	}
	after, _ := group.Get(context.Background(), "Tom")
	fmt.Println(before, after)
	// Output: 630 631
}
