// Package metrics has the table of all figures of a pool and its groups: their names, units and
// kinds, what they mean, and how they are read. The modules metrics/prometheus and metrics/otel
// export what stands there, so that they cannot differ.
//
// Use one of those modules. This package is for another way of export:
//
//	source := metrics.NewSource(pool, groups...)
//	series := source.Series()
//	source.Read(func(i int, v metrics.Value) { export(series[i], v) })
//
// To read costs nothing while nobody reads: all is counted by the library itself.
// docs/operations.md says what to watch.
package metrics
