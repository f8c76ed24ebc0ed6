package admin

import (
	"math"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/peercache/peercache"
)

const (
	sampleEvery = 5 * time.Second
	mostPoints  = 180 // 15 minutes
	mostSeries  = 256 // groups that are sampled
)

// point is what a group did in one interval.
type point struct {
	Gets     float32 `json:"getsPerSecond"`
	HitRatio float32 `json:"hitRatio"` // of those; less than 0: there were none
	Loads    float32 `json:"loadsPerSecond"`
	Errors   float32 `json:"loadErrorsPerSecond"`
	P50      float32 `json:"loadP50Seconds"` // less than 0: there were no loads
	P99      float32 `json:"loadP99Seconds"`
}

// history has the figures of the groups in the last 15 minutes.
type history struct {
	pool Pool

	mu     sync.Mutex
	at     time.Time          // guarded by mu; of the last sample
	groups map[string]*series // guarded by mu
}

// series is the history of one group.
type series struct {
	last   peercache.Stats
	points []point // the last is the newest
}

// startHistory samples a pool from now on, until nothing holds the history any more.
func startHistory(pool Pool) *history {
	h := &history{pool: pool, groups: make(map[string]*series)}
	h.sample(time.Now())
	again(weak.Make(h))
	return h
}

// again samples a history after the interval, and so on. A timer, unlike a goroutine, need not be
// ended by somebody.
func again(w weak.Pointer[history]) {
	time.AfterFunc(sampleEvery, func() {
		if h := w.Value(); h != nil {
			h.sample(time.Now())
			again(w)
		}
	})
}

// sample adds a point to each group that was there at the last sample.
func (h *history) sample(now time.Time) {
	groups := h.pool.Groups()
	h.mu.Lock()
	defer h.mu.Unlock()
	seconds := now.Sub(h.at).Seconds()
	h.at = now
	for _, g := range groups {
		s, stats := h.groups[g.Name()], g.Stats()
		switch {
		case s != nil && seconds > 0:
			s.add(&stats, seconds)
		case s == nil && len(h.groups) < mostSeries:
			h.groups[g.Name()] = &series{last: stats}
		}
	}
}

// add adds a point for the time since the last one.
func (s *series) add(stats *peercache.Stats, seconds float64) {
	gets, hits := stats.Gets-s.last.Gets, stats.Hits-s.last.Hits
	p := point{
		Gets:     float32(float64(gets) / seconds),
		Loads:    float32(float64(stats.Loads-s.last.Loads) / seconds),
		Errors:   float32(float64(stats.LoadErrors-s.last.LoadErrors) / seconds),
		HitRatio: -1, P50: -1, P99: -1,
	}
	if gets > 0 {
		p.HitRatio = float32(min(1, max(0, float64(hits)/float64(gets))))
	}
	took := since(stats.LoadTime, s.last.LoadTime)
	if p99 := took.Quantile(0.99); p99 > 0 {
		p.P50, p.P99 = float32(took.Quantile(0.5).Seconds()), float32(p99.Seconds())
	}
	if len(s.points) == mostPoints {
		s.points = slices.Delete(s.points, 0, 1)
	}
	s.points, s.last = append(s.points, p), *stats
}

// of returns the points of a group, the newest last.
func (h *history) of(group string) []point {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.groups[group]; s != nil {
		return slices.Clone(s.points)
	}
	return nil
}

// ofAll returns the points of all groups, and when the last ones were added.
func (h *history) ofAll() (map[string][]point, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make(map[string][]point, len(h.groups))
	for name, s := range h.groups {
		all[name] = slices.Clone(s.points)
	}
	return all, h.at
}

// values returns one figure of points; NaN stands for none.
func values(points []point, of func(*point) float32) []float64 {
	all := make([]float64, len(points))
	for i := range points {
		if all[i] = float64(of(&points[i])); all[i] < 0 {
			all[i] = math.NaN()
		}
	}
	return all
}
