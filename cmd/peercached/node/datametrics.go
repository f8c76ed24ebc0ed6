package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/peercache/peercache/data"
	"github.com/peercache/peercache/data/plugin"
	"github.com/peercache/peercache/data/tiered"
)

// dataSample is what the figures of data come from.
type dataSample struct {
	data.Stats
	Log data.LogStats
}

// dataFigure is one figure of data.
type dataFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s *dataSample) float64
}

func newDataFigure(name, help string, kind prometheus.ValueType, of func(s *dataSample) float64) dataFigure {
	return dataFigure{prometheus.NewDesc("peercached_data_"+name, help, nil, nil), kind, of}
}

var dataFigures = []dataFigure{
	newDataFigure("keys", "Keys of data, those included that have expired and are not removed yet.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Keys) }),
	newDataFigure("expiring_keys", "Keys of data that expire.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Expiring) }),
	newDataFigure("bytes", "What data takes of memory.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Bytes) }),
	newDataFigure("limit_bytes", "What data may take of memory (data.bytes); 0: there is no bound.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Limit) }),
	newDataFigure("expired_keys_total", "Keys of data that have expired.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Expired) }),
	newDataFigure("evicted_keys_total", "Keys of data that have left because there was no room (data.evict).", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Evicted) }),
}

var dataLogFigures = []dataFigure{
	newDataFigure("log_bytes", "Bytes of the log that a restart replays.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Log.Log) }),
	newDataFigure("log_snapshot_bytes", "Bytes of the snapshot that a restart loads before.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Log.Snapshot) }),
	newDataFigure("log_unsynced_bytes", "Bytes of the log that are not on the disk yet: what a crash of the machine takes.", prometheus.GaugeValue, func(s *dataSample) float64 { return float64(s.Log.Appended - s.Log.Durable) }),
	newDataFigure("log_failed", "Whether nothing can be written, because the log cannot.", prometheus.GaugeValue, func(s *dataSample) float64 {
		if s.Log.Err != nil {
			return 1
		}
		return 0
	}),
	newDataFigure("log_last_sync_seconds", "How long the last sync of the log has taken.", prometheus.GaugeValue, func(s *dataSample) float64 { return s.Log.LastSync.Seconds() }),
	newDataFigure("log_appended_bytes_total", "Bytes that were written to the log.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Log.Appended) }),
	newDataFigure("log_syncs_total", "Syncs of the log.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Log.Syncs) }),
	newDataFigure("log_late_syncs_total", "Syncs of the log that took longer than data.log.interval.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Log.LateSyncs) }),
	newDataFigure("log_stalls_total", "Commands that waited because the disk was far behind.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Log.Stalls) }),
	newDataFigure("log_rewrites_total", "Times that a snapshot took the place of the log.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Log.Rewrites) }),
	newDataFigure("log_rewrite_failures_total", "Times that this failed.", prometheus.CounterValue, func(s *dataSample) float64 { return float64(s.Log.RewriteFailures) }),
}

// dataCollector has the figures of the data that is in the memory of this process.
type dataCollector struct {
	memory  *data.Memory
	figures []dataFigure
}

func newDataCollector(m *data.Memory, logged bool) dataCollector {
	c := dataCollector{m, dataFigures}
	if logged {
		c.figures = append(c.figures[:len(c.figures):len(c.figures)], dataLogFigures...)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c dataCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c dataCollector) Collect(to chan<- prometheus.Metric) {
	s := &dataSample{c.memory.Stats(), c.memory.LogStats()}
	for _, f := range c.figures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, f.of(s))
	}
}

// newCopiesFigure returns the figure of data that is in a Redis, with copies in memory.
func newCopiesFigure(d *tiered.Driver) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "peercached_data_copies_used",
		Help: "Whether reads are answered from copies in memory; 0: Redis does not tell of changes, and all commands go to it."}, func() float64 {
		if d.Err() != nil {
			return 0
		}
		return 1
	})
}

// pluginFigure is one figure of a plugin of data.
type pluginFigure struct {
	desc *prometheus.Desc
	of   func(s *plugin.Stats) int64
}

func newPluginFigure(name, help string, of func(s *plugin.Stats) int64) pluginFigure {
	return pluginFigure{prometheus.NewDesc("peercached_data_plugin_"+name, help, []string{"plugin"}, nil), of}
}

var pluginFigures = []pluginFigure{
	newPluginFigure("events_total", "Events that a plugin was told of.", func(s *plugin.Stats) int64 { return s.Handled }),
	newPluginFigure("dropped_events_total", "Events for which a plugin had no room (data.plugins, buffer).", func(s *plugin.Stats) int64 { return s.Dropped }),
	newPluginFigure("failures_total", "Times that a plugin has failed.", func(s *plugin.Stats) int64 { return s.Failed }),
	newPluginFigure("panics_total", "Times that a plugin has panicked.", func(s *plugin.Stats) int64 { return s.Panics }),
}

var dataEvents = prometheus.NewDesc("peercached_data_events_total", "Events of keys that the plugin metrics was told of.", []string{"kind"}, nil)

// pluginCollector has the figures of plugins. Those of one name are added up.
type pluginCollector struct{ set *plugin.Set }

// Describe implements prometheus.Collector.
func (c pluginCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range pluginFigures {
		to <- f.desc
	}
	to <- dataEvents
}

// Collect implements prometheus.Collector.
func (c pluginCollector) Collect(to chan<- prometheus.Metric) {
	sums := map[string][]int64{}
	for _, s := range c.set.Stats() {
		if sums[s.Plugin] == nil {
			sums[s.Plugin] = make([]int64, len(pluginFigures))
		}
		for i, f := range pluginFigures {
			sums[s.Plugin][i] += f.of(&s)
		}
	}
	for name, sum := range sums {
		for i, f := range pluginFigures {
			to <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(sum[i]), name)
		}
	}
	events := map[string]int64{}
	for _, p := range c.set.Plugins() {
		if m, ok := p.(*plugin.Metrics); ok {
			for kind, n := range m.Counts() {
				events[kind] += n
			}
		}
	}
	for kind, n := range events {
		to <- prometheus.MustNewConstMetric(dataEvents, prometheus.CounterValue, float64(n), kind)
	}
}
