package prometheus_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/admin"
	peerprom "github.com/peercache/peercache/metrics/prometheus"
)

// operated returns a func that gets n keys that are cached, of a process that its operators watch if
// watched says so, and one that they call between.
func operated(b *testing.B, watched bool) (hits func(n int), look func()) {
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:1")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { pool.Shutdown(context.Background()) })
	opts := []peercache.GroupOption{peercache.WithPeers(pool)}
	if watched {
		opts = append(opts, peercache.WithTracer(nil)) // the hook, unset
	}
	load := func(context.Context, string) ([]byte, error) { return make([]byte, 1<<10), nil }
	group, err := peercache.NewGroup("scores", 64<<20, peercache.GetterFunc(load), opts...)
	if err != nil {
		b.Fatal(err)
	}
	look = func() {}
	if watched {
		registry := prom.NewPedanticRegistry()
		registry.MustRegister(peerprom.NewCollector(pool, group))
		page, err := admin.Handler(pool)
		if err != nil {
			b.Fatal(err)
		}
		look = func() {
			_, err := registry.Gather()
			w := httptest.NewRecorder()
			page.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1/api/v1/groups", nil))
			if err != nil || w.Code != 200 {
				b.Fatal(err, w.Code, w.Body)
			}
		}
	}
	ctx, keys := context.Background(), make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%011d", i)
		if _, err := group.Get(ctx, keys[i]); err != nil {
			b.Fatal(err)
		}
	}
	at := 0
	return func(n int) {
		for range n {
			if at++; at == len(keys) {
				at = 0
			}
			if _, err := group.Get(ctx, keys[at]); err != nil {
				b.Fatal(err)
			}
		}
	}, look
}

// BenchmarkOperatedHit compares hits in a process with a registered Collector that is scraped, the
// handler of package admin, which is asked, and the hook of a tracer, with hits in one that has none
// of them. Both take turns; the ratio is the median of those of all turns. Aim: at most 1.02.
func BenchmarkOperatedHit(b *testing.B) {
	const turn = 20_000
	plain, _ := operated(b, false)
	watched, look := operated(b, true)
	timed := func(f func(int)) float64 {
		start := time.Now()
		f(turn)
		return float64(time.Since(start)) / turn
	}
	var all, ratios []float64
	runtime.GC()
	for i := 0; b.Loop(); i++ {
		look()
		var with, without float64
		if i%2 == 0 { // nobody is always the first
			with, without = timed(watched), timed(plain)
		} else {
			without, with = timed(plain), timed(watched)
		}
		all, ratios = append(all, with), append(ratios, with/without)
	}
	slices.Sort(all)
	slices.Sort(ratios)
	b.ReportMetric(all[len(all)/2], "ns/hit")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(0, "ns/op")
}
