package otel

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/metrics/prometheus"
)

// pool returns one of two processes that know each other, and its two groups, after some Gets.
func pool(t *testing.T) (*peercache.HTTPPool, []*peercache.Group) {
	t.Helper()
	var pools [2]*peercache.HTTPPool
	var urls []string
	var groups []*peercache.Group
	for i := range pools {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pools[i].ServeHTTP(w, r) }))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
		p, err := peercache.NewHTTPPool(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Shutdown(context.Background()) })
		pools[i] = p
		for _, name := range []string{"scores", "sessions"} {
			g, err := peercache.NewGroup(name, 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte("v"), nil }), peercache.WithPeers(p))
			if err != nil {
				t.Fatal(err)
			}
			groups = append(groups, g)
		}
	}
	for _, p := range pools {
		if err := p.Set(urls...); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := pools[0].Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		groups[0].Get(ctx, fmt.Sprint(i))
	}
	groups[0].Remove(ctx, "1")
	return pools[0], groups[:2]
}

// gather returns, for each metric, its name, type and labels, and the values of series that do not
// change by themselves.
func gather(t *testing.T, registry *client.Registry) (kinds []string, values map[string]float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values = make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			name := f.GetName()
			for _, l := range m.Label {
				if strings.HasPrefix(l.GetName(), "otel_scope_") {
					continue // which scope it is, and nothing of the figure
				}
				labels = append(labels, l.GetName())
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			kinds = append(kinds, fmt.Sprintf("%s %v %v: %s", f.GetName(), f.GetType(), labels, f.GetHelp()))
			switch {
			case f.GetName() == "peercache_view_age_seconds":
			case m.Counter != nil:
				values[name] = m.Counter.GetValue()
			case m.Gauge != nil:
				values[name] = m.Gauge.GetValue()
			case m.Histogram != nil:
				values[name+" count"], values[name+" sum"] = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
				for _, b := range m.Histogram.Bucket {
					values[fmt.Sprint(name, " ", b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), values
}

// What the default translation to Prometheus makes of this module's instruments is what the
// collector for Prometheus has: names, types, labels and help, and the same values.
func TestSameAsPrometheus(t *testing.T) {
	p, groups := pool(t)
	direct := client.NewRegistry()
	direct.MustRegister(prometheus.NewCollector(p, groups...).PerPeer())

	translated := client.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(translated), exporter.WithoutTargetInfo(),
		exporter.WithProducer(NewProducer(p, groups...).PerPeer()))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewMeterProvider(sdk.WithReader(reader))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	registration, err := Register(provider, p, groups...)
	if err != nil {
		t.Fatal(err)
	}
	peers, err := RegisterPeers(provider, p)
	if err != nil {
		t.Fatal(err)
	}
	want, wantValues := gather(t, direct)
	got, gotValues := gather(t, translated)
	for { // until nothing is counted between the two
		_, again := gather(t, direct)
		if maps.Equal(wantValues, again) {
			break
		}
		wantValues = again
		got, gotValues = gather(t, translated)
	}
	for _, one := range want {
		if !slices.Contains(got, one) {
			t.Errorf("missing: %s", one)
		}
	}
	for _, one := range got {
		if !slices.Contains(want, one) {
			t.Errorf("not in Prometheus' own: %s", one)
		}
	}
	for name, value := range wantValues {
		if got, ok := gotValues[name]; !ok || got != value {
			t.Errorf("%s is %v (%t), want %v", name, got, ok, value)
		}
	}
	if len(want) < 60 || len(wantValues) < 250 {
		t.Errorf("%d metrics, %d values: want those that there were", len(want), len(wantValues))
	}

	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if err := peers.Unregister(); err != nil {
		t.Fatal(err)
	}
	if _, values := gather(t, translated); values["peercache_gets_total group=scores"] != 0 {
		t.Error("there are counters after Unregister")
	}
}
