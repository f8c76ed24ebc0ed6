package metrics

import (
	"strings"
	"time"

	"github.com/peercache/peercache"
)

// Kind says what may be done with the values of a figure.
type Kind uint8

const (
	Counter      Kind = iota // never goes back while the process lives
	Gauge                    // goes up and down
	Distribution             // a histogram of durations
)

// String returns "counter", "gauge" or "histogram".
func (k Kind) String() string { return [...]string{"counter", "gauge", "histogram"}[k] }

// Figure is one metric.
type Figure struct {
	Name   string // with dots, as OpenTelemetry has it: "peercache.load.duration"
	Unit   string // as UCUM has it: "s", "By", or "{load}" for what is counted
	Kind   Kind
	Labels []string // their names; empty for figures of the pool
	Help   string   // one sentence

	// Buckets are the places in Histogram.Counts up to which a Distribution is exported: those
	// durations are less than 1<<place nanoseconds.
	Buckets []int
}

// PrometheusName returns the name by Prometheus' rules: "peercache_load_duration_seconds".
func (f *Figure) PrometheusName() string {
	name := strings.ReplaceAll(f.Name, ".", "_")
	switch f.Unit {
	case "s":
		name += "_seconds"
	case "By":
		name += "_bytes"
	}
	if f.Kind == Counter {
		name += "_total"
	}
	return name
}

// Bounds returns the upper bounds of the Buckets, in seconds.
func (f *Figure) Bounds() []float64 {
	bounds := make([]float64, len(f.Buckets))
	for i, place := range f.Buckets {
		bounds[i] = time.Duration(1 << place).Seconds()
	}
	return bounds
}

// Cumulative calls f with the place of each bucket, and how many durations are in it or in one
// before it. It returns how many there are in all.
func (f *Figure) Cumulative(h *peercache.Histogram, each func(i int, n uint64)) (all uint64) {
	next := 0
	for i, n := range h.Counts {
		all += uint64(n)
		if next < len(f.Buckets) && f.Buckets[next] == i {
			each(next, all)
			next++
		}
	}
	return all
}

// fine are the buckets of what is looked at closely, from 66 µs to 34 s by two. coarse are those of
// what is rare, to 69 s by four.
var fine, coarse = places(16, 35, 1), places(16, 36, 2)

func places(from, to, step int) (all []int) {
	for i := from; i <= to; i += step {
		all = append(all, i)
	}
	return all
}

// Series are the values of a figure for one set of labels.
type Series struct {
	Figure *Figure
	Labels []string // the values, one for each of Figure.Labels
}

// Value is one value of a series.
type Value struct {
	Number    float64              // of a Counter or a Gauge, in seconds or bytes if those are its unit
	Histogram *peercache.Histogram // of a Distribution; it is overwritten after the call that has it
}

// row is a figure of a T, with how it is read.
type row[T any] struct {
	Figure
	points []point[T]                          // in the order of series
	dist   func(s *T) (h *peercache.Histogram) // of a Distribution, which has no points
}

// point reads the value for some values of the labels that come after the first one.
type point[T any] struct {
	labels []string
	read   func(s *T) float64
}

// one is the point of a figure that has one.
func one[T any](read func(s *T) float64) []point[T] { return []point[T]{{nil, read}} }

// count is a figure that counts, or a number.
func count[T any](kind Kind, name, unit, help string, read func(s *T) int64) row[T] {
	return row[T]{Figure: Figure{Name: name, Unit: unit, Kind: kind, Help: help}, points: one(func(s *T) float64 { return float64(read(s)) })}
}

// flag is a gauge that is 1 or 0.
func flag[T any](name, help string, read func(s *T) bool) row[T] {
	return count(Gauge, name, "", help, func(s *T) int64 {
		if read(s) {
			return 1
		}
		return 0
	})
}

// distribution is a figure of durations.
func distribution[T any](name, help string, buckets []int, read func(s *T) *peercache.Histogram) row[T] {
	return row[T]{Figure: Figure{Name: name, Unit: "s", Kind: Distribution, Help: help, Buckets: buckets}, dist: read}
}

// by is r for two or more values of one more label.
func by[T any](label string, r row[T], points ...point[T]) row[T] {
	r.Labels, r.points = append(r.Labels, label), points
	return r
}

// is is a point for one value of a label.
func is[T any](label string, read func(s *T) int64) point[T] {
	return point[T]{[]string{label}, func(s *T) float64 { return float64(read(s)) }}
}

// labelled returns rows with a label before their own ones.
func labelled[T any](label string, rows []row[T]) []row[T] {
	for i := range rows {
		rows[i].Labels = append([]string{label}, rows[i].Labels...)
	}
	return rows
}
