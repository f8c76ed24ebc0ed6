package kubernetes_test

import (
	"context"
	"log"
	"os"

	"k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/discovery/kubernetes"
)

// A pod of the service peercache. The downward API gives it POD_IP, and a Secret the other variable.
func Example() {
	d, err := kubernetes.New("peercache")
	if err != nil {
		log.Fatal(err)
	}
	pool, err := peercache.NewHTTPPool("http://"+os.Getenv("POD_IP")+":8001",
		peercache.WithSecrets(os.Getenv("PEERCACHE_SECRET")), peercache.WithDiscovery(d))
	if err != nil {
		log.Fatal(err)
	}
	// ... groups are made, and a server serves the pool at :8001; then:
	if err := pool.Join(context.Background()); err != nil {
		log.Fatal(err)
	}
}

// A process that is no pod, but has an address that the pods reach, and the
// credentials of a kubeconfig.
func ExampleWithClient() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		log.Fatal(err)
	}
	client, err := v1.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	d, err := kubernetes.New("peercache", kubernetes.WithNamespace("shop"), kubernetes.WithClient(client))
	if err != nil {
		log.Fatal(err)
	}
	_ = d // for peercache.WithDiscovery
}
