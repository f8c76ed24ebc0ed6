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
	key, err := hex.DecodeString(os.Getenv("GOSSIP_KEY")) // of 64 digits: openssl rand -hex 32
	if err != nil {
		log.Fatal(err)
	}
	d, err := gossip.New(gossip.WithKey(key), gossip.WithJoin("10.0.0.1:7946", "10.0.0.2:7946"))
	if err != nil {
		log.Fatal(err)
	}
	pool, err := peercache.NewHTTPPool("http://10.0.0.3:8001",
		peercache.WithSecrets(os.Getenv("PEERCACHE_SECRET")), peercache.WithDiscovery(d))
	if err != nil {
		log.Fatal(err)
	}
	// ... groups are made, and a server serves the pool at :8001; then:
	if err := pool.Join(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// A key of 32 bytes, 64 digits in the environment, keeps strangers out. While a deploy replaces it,
// the processes understand both.
func ExampleWithKey() {
	var keys [2][]byte
	for i, name := range []string{"GOSSIP_KEY", "GOSSIP_PREVIOUS_KEY"} {
		var err error
		if keys[i], err = hex.DecodeString(os.Getenv(name)); err != nil {
			log.Fatal(err)
		}
	}
	d, err := gossip.New(gossip.WithKey(keys[0], keys[1]), gossip.WithJoin("cache.internal:7946"))
	if err != nil {
		log.Fatal(err)
	}
	_ = d // for peercache.WithDiscovery
}
