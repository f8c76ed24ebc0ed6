package peercache_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/peercache/peercache"
)

// A process writes what it has cached at its end, and the next one begins with it.
func ExampleGroup_SaveSnapshot() {
	dir, err := os.MkdirTemp("", "example") // /var/lib/service in real life
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	start := func() *peercache.Group {
		group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(
			func(ctx context.Context, key string) ([]byte, error) {
				fmt.Println("load", key)
				return []byte("630"), nil
			}), peercache.WithSnapshot(filepath.Join(dir, "scores.snapshot"), 10*time.Minute))
		if err != nil {
			log.Fatal(err)
		}
		return group
	}
	before := start()
	before.Get(context.Background(), "Tom")
	if err := before.SaveSnapshot(); err != nil {
		log.Print(err) // the next process begins cold
	}

	after := start()
	view, err := after.Get(context.Background(), "Tom")
	fmt.Println(view, err)
	// Output:
	// load Tom
	// 630 <nil>
}
