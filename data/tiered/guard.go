package tiered

import (
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"
)

// guard keeps old copies out of the fronts. A fill begins before the last level is read, and is void if its key is dropped before it ends:
//
//	1: reads the old value from the last level
//	2: drops the copies, writes the new value
//	1: puts the old value into the fronts, if nothing keeps it from that
//
// From before a write until it is over no fill begins of what it writes, or may write. So there are no copies of it in this time, and
// nobody who reads several keys of a transaction finds one in a front as it was before, and another one as it is after.
//
// Who puts a copy there, and who drops it, has the lock of the key's stripe.
type guard struct {
	stripes [stripes]stripe
}

const stripes = 64

type stripe struct {
	mu     sync.Mutex
	fills  map[string]*fill // by key; none of them is void
	writes map[string]int   // by key; how many writes of it are under way
	alls   int              // how many writes of all keys are under way

	// barren has keys of which there are no copies because none can be made. They are not tried again until then, or until they change.
	barren spans
	// doubts has keys that a write may still change which has ended without a reply. There are no copies of them. If allDoubts is to
	// come, that may be any key, and nothing is copied; there may be copies.
	doubts    spans
	allDoubts time.Time
}

// fill is a copy of a key that is being made. It is void if its stripe does not have it.
type fill struct {
	key  string
	done chan struct{} // closed when it has ended, or is void
}

const (
	barrenTime = time.Second
	doubtTime  = time.Minute
)

// spans has keys, each until a time.
type spans map[string]time.Time

// mostSpans bounds the keys that spans have.
const mostSpans = 1000

func (s spans) has(key string, now time.Time) bool { return now.Before(s[key]) }

// add reports whether there was room for a key. If there was none, there are no keys any more.
func (s *spans) add(key string, now, end time.Time) bool {
	if *s == nil {
		*s = make(spans)
	}
	if len(*s) >= mostSpans {
		maps.DeleteFunc(*s, func(_ string, end time.Time) bool { return !now.Before(end) })
	}
	if len(*s) >= mostSpans {
		clear(*s)
		return false
	}
	(*s)[key] = end
	return true
}

var seed = maphash.MakeSeed()

func place(key string) int { return int(maphash.String(seed, key) % stripes) }

func (g *guard) of(key string) *stripe { return &g.stripes[place(key)] }

// lock locks the stripes of keys, or all, and returns what unlocks them.
func (g *guard) lock(keys []string, all bool) (unlock func()) {
	var places []int
	if all {
		for i := range g.stripes {
			places = append(places, i)
		}
	} else {
		for _, key := range keys {
			places = append(places, place(key))
		}
		slices.Sort(places)
		places = slices.Compact(places)
	}
	for _, i := range places {
		g.stripes[i].mu.Lock()
	}
	return func() {
		for _, i := range places {
			g.stripes[i].mu.Unlock()
		}
	}
}

// lockAndVoid is lock for who drops the copies of keys, or of all: their fills are void.
func (g *guard) lockAndVoid(keys []string, all bool) (unlock func()) {
	unlock = g.lock(keys, all)
	if !all {
		for _, key := range keys {
			s := g.of(key)
			s.void(key)
			delete(s.barren, key)
		}
		return unlock
	}
	for i := range g.stripes {
		s := &g.stripes[i]
		for key := range s.fills {
			s.void(key)
		}
		clear(s.barren)
	}
	return unlock
}

// void makes the fill of a key void, and reports whether there was one. The caller has locked s, as those of all that follow.
func (s *stripe) void(key string) bool {
	f := s.fills[key]
	if f == nil {
		return false
	}
	delete(s.fills, key)
	close(f.done)
	return true
}

// bare reports whether there are no copies of a key, and none are made.
func (s *stripe) bare(key string, now time.Time) bool {
	return s.alls > 0 || s.writes[key] > 0 || s.barren.has(key, now) || s.doubts.has(key, now)
}

// markBarren notes that there is no copy of a key, and that none can be made.
func (s *stripe) markBarren(key string) {
	now := time.Now()
	_ = s.barren.add(key, now, now.Add(barrenTime)) // those that are forgotten are tried again
}

// doubt notes that a write may still change a key.
func (s *stripe) doubt(key string) {
	now := time.Now()
	if end := now.Add(doubtTime); !s.doubts.add(key, now, end) {
		s.allDoubts = end
	}
}

// begin begins fills of keys, of which none is there twice. If wait is set and one is filled already it begins none, and returns what is closed when
// that is over, unless waiting is in vain because there will be no copy of another one.
//
// So nobody reads a key from the last level while it is filled: else who has read the new value there could find an older copy when he
// comes again. For who does not wait, the fill that has begun is void, and the one that begins. What begins while there may be no
// copies is void as well.
func (g *guard) begin(keys []string, wait bool) (begun []*fill, busy <-chan struct{}) {
	defer g.lock(keys, false)()
	now := time.Now()
	for _, key := range keys {
		wait = wait && !g.of(key).bare(key, now)
	}
	if wait {
		for _, key := range keys {
			if f := g.of(key).fills[key]; f != nil {
				return nil, f.done
			}
		}
	}
	for _, key := range keys {
		s, f := g.of(key), &fill{key: key, done: make(chan struct{})}
		if filled := s.void(key); !filled && !s.bare(key, now) && !now.Before(s.allDoubts) {
			if s.fills == nil {
				s.fills = make(map[string]*fill)
			}
			s.fills[key] = f
		}
		begun = append(begun, f)
	}
	return begun, nil
}

// end ends fills.
func (g *guard) end(fills []*fill) {
	for _, f := range fills {
		g.with(f, func(s *stripe) { s.void(f.key) })
	}
}

// state reports whether a fill is good, and whether there are no copies of its key, and none are made.
func (g *guard) state(f *fill) (good, bare bool) {
	s := g.of(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fills[f.key] == f, s.bare(f.key, time.Now())
}

// with calls do with the stripe of a fill locked if the fill is good. It reports whether it is.
func (g *guard) with(f *fill, do func(s *stripe)) bool {
	s := g.of(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fills[f.key] != f {
		return false
	}
	do(s)
	return true
}

// writing notes that a write of keys, or of all, begins. The caller has locked their stripes.
func (g *guard) writing(keys []string, all bool) {
	for _, key := range keys {
		s := g.of(key)
		if s.writes == nil {
			s.writes = make(map[string]int)
		}
		s.writes[key]++
	}
	if all {
		for i := range g.stripes {
			g.stripes[i].alls++
		}
	}
}

// written notes that a write is over, which has begun once for keys and so many times for all. If doubtful is set, it may still
// happen.
func (g *guard) written(keys []string, alls int, doubtful bool) {
	for _, key := range keys {
		s := g.of(key)
		s.mu.Lock()
		if s.writes[key]--; s.writes[key] == 0 {
			delete(s.writes, key)
		}
		if doubtful {
			s.doubt(key)
		}
		s.mu.Unlock()
	}
	if alls == 0 {
		return
	}
	for i := range g.stripes {
		s := &g.stripes[i]
		s.mu.Lock()
		s.alls -= alls
		if doubtful {
			s.allDoubts = time.Now().Add(doubtTime)
		}
		s.mu.Unlock()
	}
}
