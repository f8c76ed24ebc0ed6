// Package otel exports the figures of peercache by the metrics API of OpenTelemetry.
//
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(otel.NewProducer(pool, scores)))
//	provider := metric.NewMeterProvider(metric.WithReader(reader))
//	registration, err := otel.Register(provider, pool, scores)
//
// Register has the counters and gauges, as observable instruments with one callback. It needs the
// API alone. The API has no observable histogram, and recording each load when it happens would
// cost the load. So the histograms, of durations that the library counts anyway, come from a
// Producer, which a reader of the SDK asks when it collects.
//
// The names are those of package metrics, with dots. Prometheus' translation makes of them the
// names that metrics/prometheus has, with the same types and labels. docs/operations.md lists them.
//
// A Producer's data passes no view of the SDK, and is cumulative, whatever temporality the reader
// prefers.
package otel
