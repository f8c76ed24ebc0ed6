// Package prometheus exports the figures of peercache to Prometheus.
//
//	registry.MustRegister(prometheus.NewCollector(pool, scores, sessions))
//	http.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
//
// All names begin with peercache_. Figures of the pool have no labels; those of a group have group,
// and besides cache (main, hot), reason or result where there is more than one. Durations are in
// seconds, sizes in bytes. docs/operations.md lists all figures and says what to watch. The folder
// deploy has a dashboard for Grafana and alert rules.
//
// It is a module of its own, so that those who do without it depend on nothing of Prometheus.
package prometheus
