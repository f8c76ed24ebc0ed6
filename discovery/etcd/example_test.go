package etcd_test

import (
	"context"
	"log"
	"log/slog"
	"os"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery/etcd"
)

// A process finds its peers through etcd, with a client of the Discovery's own. To
// use one that the process has anyway, give it to New.
func Example() {
	certificates := transport.TLSInfo{CertFile: "/etcd/tls.crt", KeyFile: "/etcd/tls.key", TrustedCAFile: "/etcd/ca.crt"}
	tls, err := certificates.ClientConfig() // reads certificate and key again for each connection
	if err != nil {
		log.Fatal(err)
	}
	peers, err := etcd.NewFromConfig(clientv3.Config{
		Endpoints: []string{"https://etcd-1:2379", "https://etcd-2:2379", "https://etcd-3:2379"},
		TLS:       tls,
		Username:  "shop",
		Password:  os.Getenv("ETCD_PASSWORD"),
	}, "/peercache/shop/", etcd.WithLeaseTTL(5*time.Second), etcd.WithLogger(slog.Default()))
	if err != nil {
		log.Fatal(err)
	}
	pool, err := peercache.NewHTTPPool("http://10.0.0.1:8001",
		peercache.WithSecrets(os.Getenv("PEERCACHE_SECRET")), peercache.WithDiscovery(peers))
	if err != nil {
		log.Fatal(err)
	}
	server := pool.Server()
	server.Addr = ":8001"
	go func() { log.Fatal(server.ListenAndServe()) }()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := pool.Join(ctx); err != nil {
		log.Fatal(err)
	}
	// From here on the peers are known, and ask. Shutdown withdraws the registration.
}
