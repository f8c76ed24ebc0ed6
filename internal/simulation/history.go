package simulation

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// moment is when something happened. Virtual time stands still while code runs,
// so that much happens at one instant; n says what came first.
type moment struct {
	at time.Duration // since the simulation began
	n  int           // the number of the event; 0: it has not happened
}

func (m moment) before(o moment) bool { return m.n != 0 && (o.n == 0 || m.n < o.n) }

func (m moment) String() string {
	if m.n == 0 {
		return "never"
	}
	return fmt.Sprintf("%.6fs (#%d)", m.at.Seconds(), m.n)
}

// process is one life of a host.
type process struct {
	url    string
	life   int
	listed moment   // got its first list; before, it is alone
	viewed []moment // got a view
	died   moment   // or began to shut down
}

func (p *process) String() string {
	return fmt.Sprintf("%s/%d", strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), ":8001"), p.life)
}

// outcome is what came of a load.
type outcome int

const (
	isRunning outcome = iota
	hasFound
	hasFoundNone
	hasFailed
)

func (o outcome) String() string { return [...]string{"running", "found", "found none", "failed"}[o] }

// source is where a value comes from: a load, or a Set. What is read names its
// source, so that the checker never has to guess.
type source struct {
	id         int // from 1
	key        string
	who        *process
	set        bool
	begin, end moment // of the load; of the call of Set
	version    int    // of the key in the origin; 0: it was never written
	result     outcome
	ttl        time.Duration // of the Item; 0: the group's
}

func (s *source) String() string {
	what := "load"
	if s.set {
		what = "set"
	}
	return fmt.Sprintf("source %d (%s at %v, version %d, %v to %v)", s.id, what, s.who, s.version, s.begin, s.end)
}

// read is a Get, or what a GetMulti did for one of its keys.
type read struct {
	what       string // the call
	key        string
	who        *process
	begin, end moment
	patience   time.Duration // of its context; 0: without end
	value      string
	err        error
	final      bool // after all is over: it must find the newest version
}

// invalidation is a Remove, a Set or a Clear.
type invalidation struct {
	what       string
	keys       []string // nil: all
	who        *process
	view       []string // the peers that were in the caller's view from begin to end
	begin, end moment
	patience   time.Duration
	err        error
	pending    map[string]time.Duration // by peer: until when, since the simulation began; 0: without bound
	named      bool                     // err is one that names them
	final      bool                     // after all is over: it must succeed
}

func (i *invalidation) concerns(key string) bool {
	return i.keys == nil || slices.Contains(i.keys, key)
}

func (i *invalidation) String() string {
	keys := "everything"
	if i.keys != nil {
		keys = strings.Join(i.keys, " ")
	}
	return fmt.Sprintf("%s of %s at %v, %v to %v", i.what, keys, i.who, i.begin, i.end)
}

// history is all that happened in a simulation.
type history struct {
	start time.Time

	mu            sync.Mutex
	n             int
	sources       []*source
	reads         []*read
	invalidations []*invalidation
	versions      map[string]int  // the newest of each key, in the origin
	gone          map[string]bool // keys whose newest version is that there is none
	notes         []note
	bound         moment // by then all calls before it must have ended
	restored      int64  // values that processes got from the ones before them
	refused       int64  // requests of those who were not listed
	handovers     int64  // values that peers got from those who owned them
	breaks        int64  // times that a breaker opened
	gatewayHits   int64  // Gets that processes that own nothing have answered from copies
	gatewaysKept  int64  // values that such processes kept as their own: none
}

// happened takes note of what a process has done that has ended.
func (h *history) happened(p *node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	stats := p.group.Stats()
	h.handovers += stats.Handovers
	if slices.ContainsFunc(p.scenario.gateways, func(i int) bool { return nameOf(i) == p.url }) {
		h.gatewayHits += stats.Hot.Hits
		h.gatewaysKept += stats.Main.Items + stats.Main.Evictions + stats.HandoversGiven
	}
	for _, s := range p.pool.Stats() {
		h.breaks += s.BreakerOpened
	}
	h.restored += stats.Restored
	h.refused += p.pool.AccessStats().Unauthorized
}

// note is an event that the checker does not look at: a fault, a change of view.
type note struct {
	moment
	key  string // or none: it concerns all
	text string
}

func newHistory() *history {
	return &history{start: time.Now(), versions: make(map[string]int), gone: make(map[string]bool)}
}

// now returns the present moment, after all others that it has returned. h.mu is
// held.
func (h *history) now() moment {
	h.n++
	return moment{time.Since(h.start), h.n}
}

// record calls f with the present moment. Nothing else is recorded meanwhile.
func (h *history) record(f func(now moment)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h.now())
}

// note takes down what happened.
func (h *history) note(key, format string, args ...any) {
	h.record(func(now moment) { h.notes = append(h.notes, note{now, key, fmt.Sprintf(format, args...)}) })
}

// write changes key in the origin.
func (h *history) write(key string, gone bool) {
	h.record(func(now moment) {
		h.versions[key]++
		h.gone[key] = gone
		text := fmt.Sprintf("origin: %s has version %d", key, h.versions[key])
		if gone {
			text += ", which is that there is none"
		}
		h.notes = append(h.notes, note{now, key, text})
	})
}

// begin takes down a source of key that begins now.
func (h *history) begin(s *source) *source {
	h.record(func(now moment) {
		s.begin, s.id = now, len(h.sources)+1
		h.sources = append(h.sources, s)
	})
	return s
}

// trace returns what happened to a key until a moment: the last so many events.
func (h *history) trace(key string, until moment, most int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var events []note
	add := func(at moment, format string, args ...any) {
		if at.n != 0 && at.n <= until.n {
			events = append(events, note{at, key, fmt.Sprintf(format, args...)})
		}
	}
	for _, n := range h.notes {
		if n.key == "" || n.key == key {
			add(n.moment, "%s", n.text)
		}
	}
	for _, s := range h.sources {
		if s.key == key && !s.set {
			add(s.begin, "%v: load %d begins", s.who, s.id)
			add(s.end, "%v: load %d ends: %v, version %d, ttl %v", s.who, s.id, s.result, s.version, s.ttl)
		}
	}
	for _, r := range h.reads {
		if r.key == key {
			add(r.begin, "%v: %s begins (patience %v)", r.who, r.what, r.patience)
			add(r.end, "%v: %s of %v ends: %s", r.who, r.what, r.begin, r.answer())
		}
	}
	for _, i := range h.invalidations {
		if i.concerns(key) {
			add(i.begin, "%v: %s begins (patience %v)", i.who, i.what, i.patience)
			add(i.end, "%v: %s of %v ends: %v; pending %v", i.who, i.what, i.begin, i.err, i.pending)
		}
	}
	slices.SortFunc(events, func(a, b note) int { return a.n - b.n })
	var b strings.Builder
	for _, e := range events[max(0, len(events)-most):] {
		fmt.Fprintf(&b, "  %10.6fs #%-5d %s\n", e.at.Seconds(), e.n, e.text)
	}
	return b.String()
}

func (r *read) String() string { return fmt.Sprintf("%s at %v of %v", r.what, r.who, r.begin) }

// answer says what the read has returned.
func (r *read) answer() string {
	if r.err != nil {
		return r.err.Error()
	}
	head, _, _ := strings.Cut(r.value, "|")
	return fmt.Sprintf("%q, %d bytes", head, len(r.value))
}
