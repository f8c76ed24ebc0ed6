package otel

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/metrics"
)

// scope is the name of the instrumentation scope.
const scope = "github.com/peercache/peercache/metrics/otel"

// Register makes an instrument of each counter and gauge of a pool and of groups, and one callback
// that observes them. Unregister ends that. A nil pool has no figures: then all groups are local
// caches. The groups need different names.
//
// The instruments count in whole numbers, but for those in seconds.
func Register(provider metric.MeterProvider, pool metrics.Pool, groups ...*peercache.Group) (metric.Registration, error) {
	source := metrics.NewSource(pool, groups...)
	r := &registrar{meter: provider.Meter(scope), of: make(map[*metrics.Figure]instrument)}
	observations := make([]observation, len(source.Series()))
	for i, s := range source.Series() {
		if s.Figure.Kind == metrics.Distribution {
			continue // see Producer
		}
		in, err := r.instrument(s.Figure)
		if err != nil {
			return nil, err
		}
		observations[i] = observation{in, metric.WithAttributeSet(attributesOf(s))}
	}
	return r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		source.Read(func(i int, v metrics.Value) { observations[i].observe(o, v.Number) })
		return nil
	}, r.all...)
}

// RegisterPeers does what Register does, for the figures of each peer, with the attribute peer. In a
// cluster of n processes that are about ten times n² series: do without it in a large one.
func RegisterPeers(provider metric.MeterProvider, pool metrics.Pool) (metric.Registration, error) {
	source := metrics.NewSource(pool)
	r := &registrar{meter: provider.Meter(scope), of: make(map[*metrics.Figure]instrument)}
	for _, f := range metrics.PeerFigures() {
		if f.Kind == metrics.Distribution {
			continue
		}
		if _, err := r.instrument(f); err != nil {
			return nil, err
		}
	}
	return r.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		source.ReadPeers(func(s metrics.Series, v metrics.Value) {
			observation{r.of[s.Figure], metric.WithAttributeSet(attributesOf(s))}.observe(o, v.Number)
		})
		return nil
	}, r.all...)
}

// attributesOf returns the labels of a series.
func attributesOf(s metrics.Series) attribute.Set {
	all := make([]attribute.KeyValue, len(s.Labels))
	for i, name := range s.Figure.Labels {
		all[i] = attribute.String(name, strings.ToValidUTF8(s.Labels[i], "\uFFFD"))
	}
	return attribute.NewSet(all...)
}

// instrument is one of the two; the other is nil. Both are nil for a Distribution.
type instrument struct {
	whole metric.Int64Observable
	real  metric.Float64Observable
}

// registrar makes instruments.
type registrar struct {
	meter metric.Meter
	of    map[*metrics.Figure]instrument
	all   []metric.Observable
}

// instrument returns the instrument of a figure.
func (r *registrar) instrument(f *metrics.Figure) (in instrument, err error) {
	if in, ok := r.of[f]; ok {
		return in, nil
	}
	unit, help := metric.WithUnit(f.Unit), metric.WithDescription(f.Help)
	switch {
	case f.Kind == metrics.Counter:
		in.whole, err = r.meter.Int64ObservableCounter(f.Name, unit, help)
		r.all = append(r.all, in.whole)
	case f.Unit == "s":
		in.real, err = r.meter.Float64ObservableGauge(f.Name, unit, help)
		r.all = append(r.all, in.real)
	default:
		in.whole, err = r.meter.Int64ObservableGauge(f.Name, unit, help)
		r.all = append(r.all, in.whole)
	}
	r.of[f] = in
	return in, err
}

// observation is a series as the callback observes it.
type observation struct {
	instrument
	attributes metric.ObserveOption
}

func (in observation) observe(o metric.Observer, number float64) {
	switch {
	case in.whole != nil:
		o.ObserveInt64(in.whole, int64(number), in.attributes)
	case in.real != nil:
		o.ObserveFloat64(in.real, number, in.attributes)
	}
}
