package etcd_test

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery/etcd"
)

// A process finds its peers through etcd, with a client of the Discovery's own. To
// use one that the process has anyway, give it to New.
func Example() {
	peers, err := etcd.NewFromConfig(clientv3.Config{
		Endpoints: []string{"https://etcd-1:2379", "https://etcd-2:2379", "https://etcd-3:2379"},
		Username:  "shop",
		Password:  os.Getenv("ETCD_PASSWORD"),
	}, "/peercache/shop/", etcd.WithLeaseTTL(5*time.Second), etcd.WithLogger(slog.Default()))
	if err != nil {
		log.Fatal(err)
	}
	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001", peercache.WithDiscovery(peers))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe(":8001", pool)) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := pool.Join(ctx); err != nil {
		log.Fatal(err)
	}
	// From here on the peers are known, and ask. Shutdown withdraws the registration.
}
