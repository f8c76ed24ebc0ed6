package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/metrics"
)

// Producer gives the histograms of a pool and of groups to a reader of the SDK: see
// metric.WithProducer there. It may be used concurrently.
type Producer struct {
	source     *metrics.Source
	attributes []attribute.Set // of the series of source, in its order
	perPeer    bool
	began      time.Time
}

// NewProducer makes a Producer for the pool and the groups of Register.
func NewProducer(pool metrics.Pool, groups ...*peercache.Group) *Producer {
	p := &Producer{source: metrics.NewSource(pool, groups...), began: time.Now()}
	for _, s := range p.source.Series() {
		p.attributes = append(p.attributes, attributesOf(s))
	}
	return p
}

// PerPeer adds the histogram of each peer, with the attribute peer, and returns p. See
// RegisterPeers. Call it before p is in use.
func (p *Producer) PerPeer() *Producer {
	p.perPeer = true
	return p
}

// Produce implements Producer of the SDK.
func (p *Producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	now := time.Now()
	of := make(map[*metrics.Figure]int) // its place in all
	var all []metricdata.Metrics
	add := func(f *metrics.Figure, attributes attribute.Set, h *peercache.Histogram) {
		at, ok := of[f]
		if !ok {
			at = len(all)
			of[f] = at
			all = append(all, metricdata.Metrics{
				Name: f.Name, Description: f.Help, Unit: f.Unit,
				Data: metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality},
			})
		}
		data := all[at].Data.(metricdata.Histogram[float64])
		data.DataPoints = append(data.DataPoints, pointOf(f, h, attributes, p.began, now))
		all[at].Data = data
	}
	series := p.source.Series()
	p.source.Read(func(i int, v metrics.Value) {
		if v.Histogram != nil {
			add(series[i].Figure, p.attributes[i], v.Histogram)
		}
	})
	if p.perPeer {
		p.source.ReadPeers(func(s metrics.Series, v metrics.Value) {
			if v.Histogram != nil {
				add(s.Figure, attributesOf(s), v.Histogram)
			}
		})
	}
	return []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: scope}, Metrics: all}}, nil
}

// pointOf makes a data point of a histogram. Those of OpenTelemetry are not cumulative, and have one
// bucket more than bounds, for what is longer.
func pointOf(f *metrics.Figure, h *peercache.Histogram, attributes attribute.Set, began, now time.Time) metricdata.HistogramDataPoint[float64] {
	counts, before := make([]uint64, len(f.Buckets)+1), uint64(0)
	all := f.Cumulative(h, func(i int, n uint64) { counts[i], before = n-before, n })
	counts[len(f.Buckets)] = all - before
	return metricdata.HistogramDataPoint[float64]{
		Attributes: attributes, StartTime: began, Time: now,
		Count: all, Sum: h.Sum.Seconds(), Bounds: f.Bounds(), BucketCounts: counts,
	}
}
