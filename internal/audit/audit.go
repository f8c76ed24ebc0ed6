// Package audit records what others do to a process that its operators may have to explain: whom it
// refused, who left, who cleared a group, and because of whom its list of peers changed. Each event
// is counted, and logged within limits.
package audit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

// Event is a kind of event.
type Event int

const (
	// Unauthenticated: a sender was refused that has not proven who it is.
	Unauthenticated Event = iota
	// Unauthorized: a sender was refused that may not do what it asked for.
	Unauthorized
	// Leave: a peer has left.
	Leave
	// Clear: a group was cleared.
	Clear
	// View: the view has changed.
	View
	// Connection: a connection has failed, and nobody was refused.
	Connection
	// Failed: a request of a client has failed, for reasons that the client is not told.
	Failed

	events int = iota
)

// names are the values of the attribute "event".
var names = [events]string{Unauthenticated: "rejected", Unauthorized: "rejected", Leave: "leave", Clear: "clear", View: "view", Connection: "connection", Failed: "failed"}

const (
	// Every is the time after which the same is logged again.
	Every = 10 * time.Second
	// MostSubjects is how many subjects of one event are told apart in that time. All others count
	// as one.
	MostSubjects = 32
)

// Log counts events, and logs them: of one event and one subject one line in Every, with how many
// were suppressed since. So a stranger can have only so much written.
type Log struct {
	log    *slog.Logger
	counts [events]atomic.Int64

	mu    sync.Mutex
	since [events]clock.Instant  // guarded by mu; when logged was emptied
	seen  [events]map[string]int // guarded by mu; what was logged since, and how often it was not logged again
}

// New returns a Log that writes to log.
func New(log *slog.Logger) *Log { return &Log{log: log} }

// Count returns how often an event has happened.
func (l *Log) Count(e Event) int64 { return l.counts[e].Load() }

// Record counts an event, and logs it. The subject tells what is the same from what is not: as a
// rule it has who did it. The line has the attribute "event", and those of attrs.
func (l *Log) Record(e Event, level slog.Level, subject, message string, attrs ...slog.Attr) {
	if write := l.record(e, level, subject, message, attrs); write != nil {
		write()
	}
}

// RecordLocked does what Record does for a caller that holds locks: a handler may take long, so it
// is called in a goroutine.
func (l *Log) RecordLocked(e Event, level slog.Level, subject, message string, attrs ...slog.Attr) {
	if write := l.record(e, level, subject, message, attrs); write != nil {
		go write()
	}
}

// record counts an event, and returns what logs it; nil, if it is not to be logged.
func (l *Log) record(e Event, level slog.Level, subject, message string, attrs []slog.Attr) (write func()) {
	l.counts[e].Add(1)
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return nil
	}
	suppressed, ok := l.admit(e, subject)
	if !ok {
		return nil
	}
	attrs = append([]slog.Attr{slog.String("event", names[e])}, attrs...)
	if suppressed > 0 {
		attrs = append(attrs, slog.Int("suppressed", suppressed))
	}
	return func() { l.log.LogAttrs(ctx, level, message, attrs...) }
}

// longestIdentity is how many bytes of a name are logged.
const longestIdentity = 256

// Identity returns the attribute that says who it was: by its name as it is, because handlers
// escape what they write.
func Identity(name string) slog.Attr {
	if len(name) > longestIdentity {
		name = name[:longestIdentity] + "…"
	}
	return slog.String("identity", name)
}

// admit reports whether an event is to be logged, and how many of the same were not logged before.
func (l *Log) admit(e Event, subject string) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var before map[string]int
	if now := clock.Now(); l.seen[e] == nil || now >= l.since[e].Plus(Every) {
		before, l.since[e], l.seen[e] = l.seen[e], now, make(map[string]int)
	}
	seen := l.seen[e]
	n, logged := seen[subject]
	if !logged && len(seen) >= MostSubjects {
		subject = ""
		n, logged = seen[subject]
	}
	if logged {
		seen[subject] = n + 1
		return 0, false
	}
	seen[subject] = 0
	return before[subject], true
}
