package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"

	"github.com/peercache/peercache"
)

// process is one of a cluster, with two groups.
type process struct {
	pool             *peercache.HTTPPool
	scores, sessions *peercache.Group
}

// load is the getter of the tests: some keys fail.
func load(_ context.Context, key string) ([]byte, error) {
	switch {
	case strings.HasPrefix(key, "missing"):
		return nil, peercache.ErrNotFound
	case strings.HasPrefix(key, "failing"):
		return nil, errors.New("the origin is down")
	}
	return []byte("value of " + key), nil
}

// cluster returns processes that know each other.
func cluster(t testing.TB, n int) []process {
	t.Helper()
	all, urls, handlers := make([]process, n), make([]string, n), make([]http.Handler, n)
	for i := range all {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handlers[i].ServeHTTP(w, r) }))
		t.Cleanup(server.Close)
		urls[i] = server.URL
		pool, err := peercache.NewHTTPPool(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pool.Shutdown(context.Background()) })
		handlers[i], all[i].pool = pool, pool
		all[i].scores, all[i].sessions = newGroup(t, "scores", peercache.WithPeers(pool)), newGroup(t, "sessions", peercache.WithPeers(pool))
	}
	for _, p := range all {
		if err := p.pool.Set(urls...); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := p.pool.Ready(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	return all
}

func newGroup(t testing.TB, name string, opts ...peercache.GroupOption) *peercache.Group {
	t.Helper()
	g, err := peercache.NewGroup(name, 1<<20, peercache.GetterFunc(load), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// scraped is what a registry has, by name and labels.
type scraped map[string]*dto.Metric

// scrape reads a collector, strictly.
func scrape(t testing.TB, c prometheus.Collector) scraped {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(scraped)
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
			}
			all[name] = m
		}
	}
	return all
}

// number returns the value of a series, or how many durations it has counted.
func (s scraped) number(t testing.TB, name string) float64 {
	t.Helper()
	m := s[name]
	switch {
	case m == nil:
		t.Errorf("there is no %s", name)
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	}
	return -1
}

// What happens to two processes shows in their figures.
func TestCollectorShowsWhatHappens(t *testing.T) {
	all := cluster(t, 2)
	p := all[0]
	const keys = 40
	for range 2 {
		for i := range keys {
			if _, err := p.scores.Get(t.Context(), fmt.Sprint("key", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.scores.Get(t.Context(), "missing")
	p.scores.Get(t.Context(), "failing")
	if err := p.scores.Remove(t.Context(), "key1"); err != nil {
		t.Fatal(err)
	}
	if err := p.scores.Set(t.Context(), "key1", peercache.Item{Value: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if err := p.scores.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, other := scrape(t, NewCollector(p.pool, p.scores, p.sessions)), scrape(t, NewCollector(all[1].pool, all[1].scores))
	stats := p.scores.Stats()
	for name, want := range map[string]float64{
		"peercache_ready":                                                       1,
		"peercache_lapsed":                                                      0,
		"peercache_own_address_wrong":                                           0,
		"peercache_view_peers":                                                  2,
		"peercache_peers_failing":                                               0,
		"peercache_peers_disagreeing":                                           0,
		"peercache_refusals_total reason=unauthorized":                          0,
		"peercache_peers_left_total":                                            0,
		"peercache_groups_cleared_total":                                        1,
		"peercache_gets_total group=scores":                                     2*keys + 2,
		"peercache_gets_total group=sessions":                                   0,
		"peercache_hits_total cache=main group=scores":                          float64(stats.Main.Hits),
		"peercache_hits_total cache=hot group=scores":                           float64(stats.Hot.Hits),
		"peercache_fetches_total group=scores result=ok":                        float64(stats.PeerLoads),
		"peercache_removes_total group=scores result=ok":                        1,
		"peercache_removes_total group=scores result=incomplete":                0,
		"peercache_remove_duration_seconds group=scores":                        1,
		"peercache_sets_total group=scores result=ok":                           1,
		"peercache_clears_total group=scores result=ok":                         1,
		"peercache_cache_entries cache=main group=scores":                       0,
		"peercache_cache_capacity_bytes cache=main group=scores":                float64(stats.Main.Capacity),
		"peercache_cache_removals_total cache=main group=scores reason=evicted": 0,
	} {
		if got := s.number(t, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	sum := func(name string) float64 { return s.number(t, name) + other.number(t, name) }
	if got := sum("peercache_loads_total group=scores"); got != keys+2 {
		t.Errorf("%v loads of both, want %d", got, keys+2)
	}
	if got := sum("peercache_load_duration_seconds group=scores"); got != keys+2 {
		t.Errorf("%v durations of loads, want %d", got, keys+2)
	}
	for _, reason := range []string{"error", "not_found"} {
		if got := sum("peercache_load_failures_total group=scores reason=" + reason); got != 1 {
			t.Errorf("%v failures of reason %s, want 1", got, reason)
		}
	}
	if got, want := other.number(t, "peercache_served_requests_total group=scores"), s.number(t, "peercache_peer_keys_total"); got > want || got == 0 {
		t.Errorf("it asked for %v keys, those for a handover among them, and the other was asked for %v", want, got)
	}
	if stats.Hits == 0 || stats.PeerLoads == 0 || s.number(t, "peercache_peer_received_bytes_total") == 0 {
		t.Errorf("figures are missing: %+v", stats)
	}
}

// A histogram has what was counted in the bucket of its duration, and a sum.
func TestHistogram(t *testing.T) {
	g, err := peercache.NewGroup("slow", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		time.Sleep(3 * time.Millisecond)
		return nil, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	g.Get(t.Context(), "k")
	h := scrape(t, NewCollector(nil, g))["peercache_load_duration_seconds group=slow"].Histogram
	if h.GetSampleCount() != 1 || h.GetSampleSum() < 0.003 || h.GetSampleSum() > 3 {
		t.Errorf("%d durations, the sum %v s: want one of 3 ms or some more", h.GetSampleCount(), h.GetSampleSum())
	}
	for _, b := range h.Bucket {
		if want := b.GetUpperBound() >= h.GetSampleSum(); (b.GetCumulativeCount() == 1) != want {
			t.Errorf("the bucket up to %v s has %d of %v s", b.GetUpperBound(), b.GetCumulativeCount(), h.GetSampleSum())
		}
	}
}

// There are figures of each peer only where they are asked for.
func TestPerPeer(t *testing.T) {
	all := cluster(t, 3)
	collector := NewCollector(all[0].pool, all[0].scores)
	peers := func() (n int) {
		for name := range scrape(t, collector) {
			if strings.Contains(name, " peer=") {
				n++
			}
		}
		return n
	}
	if n := peers(); n != 0 {
		t.Errorf("%d series have the label peer", n)
	}
	collector.PerPeer()
	if n := peers(); n == 0 || n%2 != 0 {
		t.Errorf("%d series have the label peer, want as many for each of two peers", n)
	}
}

// hundred returns a collector of a hundred groups of a process with peers, which have figures.
func hundred(t testing.TB) *Collector {
	t.Helper()
	pool := cluster(t, 2)[0].pool
	var groups []*peercache.Group
	for i := range 100 {
		g := newGroup(t, fmt.Sprintf("group%02d", i), peercache.WithPeers(pool))
		for k := range 20 {
			g.Get(t.Context(), fmt.Sprint(k))
		}
		groups = append(groups, g)
	}
	return NewCollector(pool, groups...)
}

// BenchmarkScrape scrapes a process with 100 groups: what this module does, what it takes until
// all metrics are gathered, and the whole answer by HTTP.
func BenchmarkScrape(b *testing.B) {
	collector := hundred(b)
	b.Run("collect", func(b *testing.B) {
		b.ReportAllocs()
		to := make(chan prometheus.Metric, len(collector.series))
		for b.Loop() {
			collector.Collect(to)
			for len(to) > 0 {
				<-to
			}
		}
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	b.Run("gather", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := registry.Gather(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("http", func(b *testing.B) {
		b.ReportAllocs()
		handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
		for b.Loop() {
			w := counter{header: make(http.Header)}
			handler.ServeHTTP(&w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if w.bytes == 0 {
				b.Fatal("the answer is empty")
			}
			b.ReportMetric(float64(w.bytes), "bytes/scrape")
		}
	})
	b.ReportMetric(float64(len(collector.series)), "series")
}

// counter counts what is written, as a network takes it.
type counter struct {
	header http.Header
	bytes  int
}

func (c *counter) Header() http.Header { return c.header }
func (c *counter) WriteHeader(int)     {}
func (c *counter) Write(b []byte) (int, error) {
	c.bytes += len(b)
	return len(b), nil
}
