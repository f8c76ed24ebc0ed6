package node

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/peercache/peercache/resp"
)

// respFigure is one figure of the door for Redis clients.
type respFigure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(resp.Stats) int64
}

func newRESPFigure(name, help string, kind prometheus.ValueType, of func(resp.Stats) int64) respFigure {
	return respFigure{prometheus.NewDesc("peercached_resp_"+name, help, nil, nil), kind, of}
}

var respFigures = []respFigure{
	newRESPFigure("clients", "Clients that are connected.", prometheus.GaugeValue, func(s resp.Stats) int64 { return s.Clients }),
	newRESPFigure("tracking_clients", "Clients that are told of changes (CLIENT TRACKING).", prometheus.GaugeValue, func(s resp.Stats) int64 { return s.TrackingClients }),
	newRESPFigure("tracked_keys", "Keys that are followed for them.", prometheus.GaugeValue, func(s resp.Stats) int64 { return s.TrackedKeys }),
	newRESPFigure("commands_total", "Commands.", prometheus.CounterValue, func(s resp.Stats) int64 { return s.Commands }),
	newRESPFigure("connections_total", "Connections that were accepted.", prometheus.CounterValue, func(s resp.Stats) int64 { return s.Connections }),
	newRESPFigure("refused_connections_total", "Connections over resp.connections.", prometheus.CounterValue, func(s resp.Stats) int64 { return s.Refused }),
	newRESPFigure("invalidations_total", "Messages to clients that keys have changed.", prometheus.CounterValue, func(s resp.Stats) int64 { return s.Invalidations }),
	newRESPFigure("unread_clients_total", "Clients that were disconnected because they did not read.", prometheus.CounterValue, func(s resp.Stats) int64 { return s.Unread }),
}

// respCollector has the figures of a door for Redis clients.
type respCollector struct{ server *resp.Server }

// Describe implements prometheus.Collector.
func (c respCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range respFigures {
		to <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c respCollector) Collect(to chan<- prometheus.Metric) {
	s := c.server.Stats()
	for _, f := range respFigures {
		to <- prometheus.MustNewConstMetric(f.desc, f.kind, float64(f.of(s)))
	}
}
