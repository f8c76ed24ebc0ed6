package lru_test

import (
	"fmt"

	"github.com/peercache/peercache/lru"
)

func Example() {
	size := func(key string, v []byte) int64 { return int64(len(v)) }
	onLeave := func(key string, v []byte, r lru.Reason) { fmt.Printf("%s left: %s\n", key, r) }
	cache, err := lru.New(2500, size, onLeave)
	if err != nil {
		fmt.Println(err)
		return
	}
	cache.Add("Tom", make([]byte, 1000))
	cache.Add("Jack", make([]byte, 1000))
	cache.Get("Tom")
	cache.Add("Sam", make([]byte, 1000)) // no room for three: Jack was unused the longest
	cache.Remove("Tom")

	_, ok := cache.Get("Sam")
	fmt.Println("Sam is in:", ok)
	// Output:
	// Jack left: evicted
	// Tom left: removed
	// Sam is in: true
}
