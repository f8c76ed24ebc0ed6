package ottercache_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/cachetest"
	"github.com/peercache/peercache/ottercache"
)

func TestCache(t *testing.T) { cachetest.Run(t, ottercache.New) }

func Example() {
	group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(
		func(context.Context, string) ([]byte, error) { return []byte("630"), nil }),
		peercache.WithCache(ottercache.New))
	if err != nil {
		panic(err)
	}
	view, err := group.Get(context.Background(), "Tom")
	fmt.Println(view, err)
	// Output: 630 <nil>
}
