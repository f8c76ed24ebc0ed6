package metrics

import "github.com/peercache/peercache"

// Pool is what figures are read of. A peercache.HTTPPool and a peercache.Pool are one.
type Pool interface {
	Status() peercache.PoolStatus
	AccessStats() peercache.AccessStats
	Stats() []peercache.PeerStats
}

// Source reads the figures of a pool and of groups. It may be used concurrently.
type Source struct {
	pool   Pool
	groups []*peercache.Group
	hot    []bool // whether the group at that place has a hot cache
	series []Series
}

// NewSource makes a Source. A nil pool has no figures: then all groups are local caches. The groups
// need different names.
func NewSource(p Pool, groups ...*peercache.Group) *Source {
	s := &Source{pool: p, groups: groups}
	if p != nil {
		s.series = addSeries(s.series, poolRows)
		s.series = addSeries(s.series, accessRows)
	}
	for _, g := range groups {
		s.series = addSeries(s.series, groupRows, g.Name())
		s.series = addSeries(s.series, cacheRows, g.Name(), "main")
		hot := g.Stats().Hot.Capacity > 0
		if s.hot = append(s.hot, hot); hot {
			s.series = addSeries(s.series, cacheRows, g.Name(), "hot")
		}
	}
	return s
}

// Series returns what Read reads, in its order. It is always the same, and must not be changed.
func (s *Source) Series() []Series { return s.series }

// Read calls f with the value of each of the series.
func (s *Source) Read(f func(i int, v Value)) {
	i := 0
	if s.pool != nil {
		status, access := s.pool.Status(), s.pool.AccessStats()
		i = read(i, poolRows, &status, f)
		i = read(i, accessRows, &access, f)
	}
	for at, g := range s.groups {
		stats := g.Stats()
		i = read(i, groupRows, &stats, f)
		i = read(i, cacheRows, &stats.Main, f)
		if s.hot[at] {
			i = read(i, cacheRows, &stats.Hot, f)
		}
	}
}

// ReadPeers calls f with each value of each peer in the view. Those are as many as there are peers,
// in each of as many processes: together, the square of their number.
func (s *Source) ReadPeers(f func(s Series, v Value)) {
	if s.pool == nil {
		return
	}
	for _, stats := range s.pool.Stats() {
		series := addSeries(nil, peerRows, stats.Peer)
		read(0, peerRows, &stats, func(i int, v Value) { f(series[i], v) })
	}
}

// addSeries adds the series of rows whose first labels have these values.
func addSeries[T any](all []Series, rows []row[T], labels ...string) []Series {
	for i := range rows {
		r := &rows[i]
		if r.dist != nil {
			all = append(all, Series{&r.Figure, labels})
		}
		for _, p := range r.points {
			all = append(all, Series{&r.Figure, append(labels[:len(labels):len(labels)], p.labels...)})
		}
	}
	return all
}

// read calls f with the values of rows, which have the places from i on, and returns the next place.
func read[T any](i int, rows []row[T], stats *T, f func(i int, v Value)) int {
	for at := range rows {
		r := &rows[at]
		if r.dist != nil {
			f(i, Value{Histogram: r.dist(stats)})
			i++
		}
		for _, p := range r.points {
			f(i, Value{Number: p.read(stats)})
			i++
		}
	}
	return i
}
