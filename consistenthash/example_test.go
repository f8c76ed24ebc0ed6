package consistenthash_test

import (
	"fmt"

	"github.com/peercache/peercache/consistenthash"
)

func ExampleNew() {
	ring, err := consistenthash.New(
		consistenthash.Member{Name: "http://10.0.0.1:8001"},
		consistenthash.Member{Name: "http://10.0.0.2:8001"},
		consistenthash.Member{Name: "http://10.0.0.3:8001", Weight: 2}, // twice the keys
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ring.Owner("Tom"))
	fmt.Println(ring.Successors("Tom", 2)) // who owns it, and who would without that one
	// Output:
	// http://10.0.0.3:8001
	// [http://10.0.0.3:8001 http://10.0.0.2:8001]
}
