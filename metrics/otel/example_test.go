package otel_test

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/peercache/peercache"
	peerotel "github.com/peercache/peercache/metrics/otel"
)

func ExampleRegister() {
	load := func(context.Context, string) ([]byte, error) { return []byte("42"), nil }
	scores, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load))
	if err != nil {
		log.Fatal(err)
	}
	reader := metric.NewManualReader(metric.WithProducer(peerotel.NewProducer(nil, scores))) // in a program, a PeriodicReader
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	if _, err := peerotel.Register(provider, nil, scores); err != nil { // nil: there is no pool
		log.Fatal(err)
	}

	scores.Get(context.Background(), "Tom")
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		log.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				if m.Name == "peercache.loads" {
					fmt.Println(m.Name, data.DataPoints[0].Value)
				}
			case metricdata.Histogram[float64]:
				if m.Name == "peercache.load.duration" {
					fmt.Println(m.Name, data.DataPoints[0].Count)
				}
			}
		}
	}
	// Unordered output:
	// peercache.loads 1
	// peercache.load.duration 1
}
