package gossip_test

import (
	"context"
	"encoding/hex"
	"log"
	"os"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery/gossip"
)

// Processes that meet at one of two addresses. The others take the same options;
// these two may as well.
func Example() {
	d, err := gossip.New(gossip.WithJoin("10.0.0.1:7946", "10.0.0.2:7946"))
	if err != nil {
		log.Fatal(err)
	}
	pool, err := peercache.NewHTTPPool("http://10.0.0.3:8001", peercache.WithDiscovery(d))
	if err != nil {
		log.Fatal(err)
	}
	// ... groups are made, and a server serves the pool at :8001; then:
	if err := pool.Join(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// A key of 32 bytes, 64 digits in the environment, keeps strangers out.
func ExampleWithKey() {
	key, err := hex.DecodeString(os.Getenv("GOSSIP_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	d, err := gossip.New(gossip.WithKey(key), gossip.WithJoin("cache.internal:7946"))
	if err != nil {
		log.Fatal(err)
	}
	_ = d // for peercache.WithDiscovery
}
