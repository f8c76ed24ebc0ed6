package metrics_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/metrics"
)

var update = flag.Bool("update", false, "write the table of figures into docs/operations.md")

const operations = "../docs/operations.md"

// The figures keep to the rules of names, units and labels.
func TestFigures(t *testing.T) {
	names := make(map[string]bool)
	check := func(f *metrics.Figure, allowed ...string) {
		name := f.PrometheusName()
		if names[name] {
			t.Errorf("%s is there twice", name)
		}
		names[name] = true
		if !regexp.MustCompile(`^peercache(\.[a-z_]+)+$`).MatchString(f.Name) {
			t.Errorf("%q is no name", f.Name)
		}
		if !regexp.MustCompile(`^(|s|By|\{[a-z]+\})$`).MatchString(f.Unit) {
			t.Errorf("%s has the unit %q: want seconds, bytes, or what is counted", f.Name, f.Unit)
		}
		if f.Kind == metrics.Counter && f.Unit == "" {
			t.Errorf("%s does not say what it counts", f.Name)
		}
		if isDistribution := f.Kind == metrics.Distribution; isDistribution != (len(f.Buckets) > 0) || isDistribution && f.Unit != "s" {
			t.Errorf("%s is a %v in %q with %d buckets", f.Name, f.Kind, f.Unit, len(f.Buckets))
		}
		if !regexp.MustCompile(`^[A-Z1].*\.$`).MatchString(f.Help) {
			t.Errorf("%s: %q is no sentence", f.Name, f.Help)
		}
		for _, l := range f.Labels {
			if !slices.Contains(allowed, l) {
				t.Errorf("%s has the label %s", f.Name, l)
			}
		}
	}
	for _, f := range metrics.Figures() {
		check(f, "group", "cache", "reason", "result")
	}
	for _, f := range metrics.PeerFigures() {
		check(f, "peer")
	}
}

// docs/operations.md lists the figures as they are.
func TestOperationsLists(t *testing.T) {
	text, err := os.ReadFile(operations)
	if err != nil {
		t.Fatal(err)
	}
	want := withTable(t, string(text), "figures", metrics.Figures())
	want = withTable(t, want, "per peer", metrics.PeerFigures())
	if *update {
		if err := os.WriteFile(operations, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("docs/operations.md has another table of figures: want that of go test ./metrics -run TestOperationsLists -update")
	}
}

// withTable returns text with a table of figures between the comments of a name.
func withTable(t *testing.T, text, name string, figures []*metrics.Figure) string {
	t.Helper()
	var table strings.Builder
	table.WriteString("| figure | kind | labels | |\n|---|---|---|---|\n")
	for _, f := range figures {
		fmt.Fprintf(&table, "| `%s` | %v | %s | %s |\n", f.PrometheusName(), f.Kind, strings.Join(f.Labels, ", "), f.Help)
	}
	between := regexp.MustCompile(`(?s)(<!-- ` + name + ` begin[^>]*-->\n).*(<!-- ` + name + ` end -->)`)
	if !between.MatchString(text) {
		t.Fatalf("docs/operations.md has no place for the table %q", name)
	}
	return between.ReplaceAllStringFunc(text, func(found string) string {
		m := between.FindStringSubmatch(found)
		return m[1] + table.String() + m[2]
	})
}

// A Source reads each series, of groups with and without peers.
func TestSourceReadsEachSeries(t *testing.T) {
	g, err := peercache.NewGroup("alone", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("v"), nil }))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		g.Get(t.Context(), "k")
	}
	source := metrics.NewSource(nil, g)
	series := source.Series()
	seen := make(map[string]float64)
	next := 0
	source.Read(func(i int, v metrics.Value) {
		if i != next {
			t.Fatalf("the place %d, want %d", i, next)
		}
		next++
		s := series[i]
		if len(s.Labels) != len(s.Figure.Labels) || s.Labels[0] != "alone" {
			t.Errorf("%s has the labels %q", s.Figure.Name, s.Labels)
		}
		if (v.Histogram != nil) != (s.Figure.Kind == metrics.Distribution) {
			t.Errorf("%s is a %v, and has the value %+v", s.Figure.Name, s.Figure.Kind, v)
		}
		if s.Figure.Kind != metrics.Distribution {
			seen[strings.Join(append([]string{s.Figure.PrometheusName()}, s.Labels[1:]...), " ")] = v.Number
		}
	})
	if next != len(series) {
		t.Errorf("%d of %d series were read", next, len(series))
	}
	for name, want := range map[string]float64{
		"peercache_gets_total": 3, "peercache_hits_total main": 2, "peercache_loads_total": 1, "peercache_cache_entries main": 1,
		"peercache_cache_capacity_bytes main": 1 << 20,
	} {
		if got, ok := seen[name]; !ok || got != want {
			t.Errorf("%s is %v (%t), want %v", name, got, ok, want)
		}
	}
	for name := range seen {
		if strings.HasSuffix(name, " hot") && !strings.HasPrefix(name, "peercache_hits") {
			t.Errorf("a group without peers has %s", name)
		}
	}
	source.ReadPeers(func(metrics.Series, metrics.Value) { t.Error("a peer without a pool") })
}

// What is exported of a histogram is cumulative, and misses nothing.
func TestCumulative(t *testing.T) {
	f := metrics.Figure{Buckets: []int{2, 4}} // less than 4 ns, less than 16 ns
	var h peercache.Histogram
	for _, d := range []int64{0, 3, 4, 15, 16, 1 << 40} {
		h.Observe(time.Duration(d))
	}
	var got []uint64
	all := f.Cumulative(&h, func(i int, n uint64) { got = append(got, n) })
	if !slices.Equal(got, []uint64{2, 4}) || all != 6 {
		t.Errorf("%v of %d, want 2 and 4 of 6", got, all)
	}
	if b := f.Bounds(); !slices.Equal(b, []float64{4e-9, 16e-9}) {
		t.Errorf("bounds %v", b)
	}
}
