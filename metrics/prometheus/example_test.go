package prometheus_test

import (
	"context"
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/peercache/peercache"
	peerprom "github.com/peercache/peercache/metrics/prometheus"
)

func ExampleNewCollector() {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001")
	if err != nil {
		log.Fatal(err)
	}
	load := func(context.Context, string) ([]byte, error) { return []byte("42"), nil }
	scores, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load), peercache.WithPeers(pool))
	if err != nil {
		log.Fatal(err)
	}
	registry := prometheus.NewRegistry() // to be served by promhttp.HandlerFor
	registry.MustRegister(peerprom.NewCollector(pool, scores))

	scores.Get(context.Background(), "Tom")
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "peercache_loads_total" {
			fmt.Println(f.GetName(), f.Metric[0].GetCounter().GetValue())
		}
	}
	// Output: peercache_loads_total 1
}
