package admin

import (
	"context"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/peercache/peercache"
)

func newPool(t *testing.T) (*peercache.HTTPPool, *peercache.Group) {
	t.Helper()
	pool, err := peercache.NewHTTPPool("http://127.0.0.1:8001")
	if err != nil {
		t.Fatal(err)
	}
	g, err := peercache.NewGroup("g", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) {
		return []byte("v"), nil
	}), peercache.WithPeers(pool))
	if err != nil {
		t.Fatal(err)
	}
	return pool, g
}

// The history has what happened in each interval of the last 15 minutes, and no more.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, g := newPool(t)
		defer pool.Shutdown(context.Background())
		h := startHistory(pool)
		for range 10 {
			g.Get(t.Context(), "k")
		}
		time.Sleep(sampleEvery + time.Millisecond)
		points := h.of("g")
		if len(points) != 1 || points[0].Gets != 2 || points[0].HitRatio != 0.9 || points[0].Loads != 0.2 || points[0].Errors != 0 {
			t.Errorf("points %+v: want 10 gets in 5 s, 9 of them hits", points)
		}
		time.Sleep(20 * time.Minute)
		points = h.of("g")
		if last := points[len(points)-1]; len(points) != mostPoints || last.Gets != 0 || last.HitRatio != -1 {
			t.Errorf("%d points, the last one %+v: want %d, and no ratio of nothing", len(points), last, mostPoints)
		}
		runtime.KeepAlive(h)
	})
}

// Nothing keeps a handler that nobody has any more.
func TestHistoryEnds(t *testing.T) {
	pool, _ := newPool(t)
	defer pool.Shutdown(context.Background())
	w := weak.Make(startHistory(pool))
	for range 100 {
		if runtime.GC(); w.Value() == nil {
			return
		}
	}
	t.Error("the history is still there")
}

func TestAverage(t *testing.T) {
	all := average([]point{{Gets: 30, HitRatio: 1, P99: 1}, {HitRatio: -1, P99: -1}, {Gets: 10, HitRatio: 0.2, P99: 2}})
	if math.Abs(float64(all.HitRatio)-0.8) > 1e-6 || math.Abs(float64(all.Gets)-40.0/3) > 1e-5 || all.P99 != 2 {
		t.Errorf("%+v: want a ratio of all gets, 0.8, and the slowest", all)
	}
	if none := average(nil); none.HitRatio != -1 || none.P99 != -1 {
		t.Errorf("of nothing: %+v", none)
	}
	if n := len(minutes(make([]point, 25))); n != 3 {
		t.Errorf("25 points are %d minutes, want 3", n)
	}
}

func TestSince(t *testing.T) {
	var before, h peercache.Histogram
	before.Observe(time.Hour)
	h.Observe(time.Hour)
	h.Observe(time.Millisecond)
	more := since(h, before)
	if p := more.Quantile(1); p < time.Millisecond || p > 3*time.Millisecond {
		t.Errorf("the longest since is %v: want about 1 ms", p)
	}
}

func TestChart(t *testing.T) {
	c := newChart("Title", "group", 0, rate, curve{"first", "a", []float64{1, 7, math.NaN(), 3}}, curve{"second", "b", []float64{0, 0, 0, 0}})
	if c.Top != "8/s" || c.Now != "3/s · 0/s" || c.Width != 23 || c.Span != 115 || c.Since != "2 min ago" {
		t.Errorf("%+v", c)
	}
	if want := "M20 88.0L21 16.0M23 64.0"; c.Lines[0].Path != want {
		t.Errorf("path %q, want %q: a gap where there is no value", c.Lines[0].Path, want)
	}
	if n := strings.Count(c.Texts, "|"); n != 3 || !strings.Contains(c.Texts, "– · 0/s") {
		t.Errorf("texts %q", c.Texts)
	}
	if empty := newChart("Title", "group", 1, percent, curve{"first", "", nil}); empty.Now != "no values yet" || empty.Lines[0].Path != "" {
		t.Errorf("without values: %+v", empty)
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		percent(1): "100 %", percent(0.99999): "99.9 %", percent(0.5): "50.0 %", percent(0): "0.0 %",
		rate(0): "0/s", rate(1.26): "1.3/s", rate(3): "3/s", rate(12345): "12.3k/s", rate(2e6): "2.0M/s", rate(3e9): "3.0G/s",
		count(0): "0", count(-123): "-123", count(1234567): "1\u202f234\u202f567", count(-1234): "-1\u202f234",
		duration(0): "0 s", duration(5): "5 ns", duration(1500): "1.5 µs", duration(12 * time.Millisecond): "12 ms", duration(-90 * time.Second): "-1 min 30 s",
		duration(3*time.Hour + 5*time.Minute): "3 h 5 min", duration(100 * time.Hour): "4 days",
		bytesText(1000): "1000 B", bytesText(1536): "1.5 KiB", bytesText(1 << 40): "1.0 TiB", bytesText(100 << 20): "100 MiB",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for v, want := range map[float64]float64{0: 1, 1: 1, 1.2: 1.5, 9: 10, 0.07: 0.08, 450: 500} {
		if got := rounded(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("rounded(%v) is %v, want %v", v, got, want)
		}
	}
}

// All arcs together are the ring, with gaps, also where there are many peers.
func TestArcs(t *testing.T) {
	for _, n := range []int{1, 3, 1000} {
		var peers []peerState
		for range n {
			peers = append(peers, peerState{Share: 1 / float64(n), State: stateUp})
		}
		if all := arcs(peers); len(all) != n {
			t.Errorf("%d arcs of %d peers", len(all), n)
		}
	}
}
