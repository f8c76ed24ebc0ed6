package prometheus

import (
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/metrics"
)

// Collector is a prometheus.Collector of the figures of a pool and of groups. It may be used
// concurrently.
type Collector struct {
	source  *metrics.Source
	perPeer bool
	descs   map[*metrics.Figure]*desc
	series  []series // of source, in its order
}

// desc is a figure as Prometheus has it.
type desc struct {
	*prometheus.Desc
	figure *metrics.Figure
	bounds []float64
}

// series is what does not change from one scrape to the next.
type series struct {
	*desc
	labels []*dto.LabelPair
}

// NewCollector makes a Collector. A nil pool has no figures: then all groups are local caches.
//
// The groups need different names. Of several pools in one process, each needs a Collector with a
// label that tells it from the others: see prometheus.WrapRegistererWith.
func NewCollector(pool metrics.Pool, groups ...*peercache.Group) *Collector {
	c := &Collector{source: metrics.NewSource(pool, groups...), descs: make(map[*metrics.Figure]*desc)}
	for _, f := range slices.Concat(metrics.Figures(), metrics.PeerFigures()) {
		c.descs[f] = &desc{prometheus.NewDesc(f.PrometheusName(), f.Help, f.Labels, nil), f, f.Bounds()}
	}
	for _, s := range c.source.Series() {
		c.series = append(c.series, c.of(s))
	}
	return c
}

// PerPeer adds the figures of each peer, with the label peer, and returns c. In a cluster of n
// processes that are about twenty times n² series: leave it out of a large one. Call it before the
// Collector is registered.
func (c *Collector) PerPeer() *Collector {
	c.perPeer = true
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range metrics.Figures() {
		to <- c.descs[f].Desc
	}
	if c.perPeer {
		for _, f := range metrics.PeerFigures() {
			to <- c.descs[f].Desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	all := make([]metric, len(c.series)) // one allocation
	c.source.Read(func(i int, v metrics.Value) {
		all[i].series = &c.series[i]
		all[i].set(v)
		to <- &all[i]
	})
	if c.perPeer {
		c.source.ReadPeers(func(s metrics.Series, v metrics.Value) {
			of := c.of(s)
			m := &metric{series: &of}
			m.set(v)
			to <- m
		})
	}
}

// of returns a series with its labels, in the order of their names as Prometheus wants them.
func (c *Collector) of(s metrics.Series) series {
	out := series{desc: c.descs[s.Figure]}
	for i, name := range s.Figure.Labels {
		value := strings.ToValidUTF8(s.Labels[i], "\uFFFD")
		out.labels = append(out.labels, &dto.LabelPair{Name: &name, Value: &value})
	}
	slices.SortFunc(out.labels, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
	return out
}

// metric is one value of a series. It is a prometheus.Metric that shares all but the value with
// those of other scrapes: prometheus.MustNewConstMetric would make its labels anew each time.
type metric struct {
	*series
	number    float64
	histogram *dto.Histogram
}

// set sets the value.
func (m *metric) set(v metrics.Value) {
	if v.Histogram == nil {
		m.number = v.Number
		return
	}
	sum := v.Histogram.Sum.Seconds()
	h := &dto.Histogram{SampleSum: &sum, Bucket: make([]*dto.Bucket, len(m.bounds))}
	buckets, counts := make([]dto.Bucket, len(m.bounds)), make([]uint64, len(m.bounds)+1)
	all := m.figure.Cumulative(v.Histogram, func(i int, n uint64) {
		counts[i] = n
		buckets[i].UpperBound, buckets[i].CumulativeCount = &m.bounds[i], &counts[i]
		h.Bucket[i] = &buckets[i]
	})
	counts[len(m.bounds)] = all
	h.SampleCount = &counts[len(m.bounds)]
	m.histogram = h
}

// Desc implements prometheus.Metric.
func (m *metric) Desc() *prometheus.Desc { return m.desc.Desc }

// Write implements prometheus.Metric.
func (m *metric) Write(to *dto.Metric) error {
	to.Label = m.labels
	switch m.figure.Kind {
	case metrics.Counter:
		to.Counter = &dto.Counter{Value: &m.number}
	case metrics.Gauge:
		to.Gauge = &dto.Gauge{Value: &m.number}
	default:
		to.Histogram = m.histogram
	}
	return nil
}
