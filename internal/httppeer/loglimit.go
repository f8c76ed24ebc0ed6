package httppeer

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/clock"
)

const (
	// logEvery is the time after which the same is logged again.
	logEvery = 10 * time.Second
	// logKinds is how many different things are told apart in that time. All others count as one.
	logKinds = 32
)

// logLimit logs what strangers do. It bounds how much they can make it write: the same once in
// logEvery, with how often it has happened since.
type logLimit struct {
	log *slog.Logger

	mu    sync.Mutex
	since clock.Instant  // guarded by mu; when kinds was emptied
	kinds map[string]int // guarded by mu; what was logged since, and how often it was not logged again
}

func newLogLimit(log *slog.Logger) *logLimit { return &logLimit{log: log, kinds: make(map[string]int)} }

// say logs a warning, or counts it. kind tells what is the same from what is not.
func (l *logLimit) say(kind, message string, args ...any) {
	l.mu.Lock()
	var before map[string]int
	if now := clock.Now(); now >= l.since.Plus(logEvery) {
		before, l.since, l.kinds = l.kinds, now, make(map[string]int)
	}
	if len(l.kinds) >= logKinds {
		kind = ""
	}
	n, logged := l.kinds[kind]
	l.kinds[kind] = n + 1
	if !logged {
		l.kinds[kind] = 0
	}
	l.mu.Unlock()
	if !logged {
		if again := before[kind]; again > 0 {
			args = append(args, "not logged before", again)
		}
		l.log.Warn(message, args...)
	}
}

// mostLogged is how many bytes of an error of the http.Server are logged.
const mostLogged = 500

// Write implements io.Writer, for the ErrorLog of an http.Server: a connection fails before there is
// a request.
func (l *logLimit) Write(b []byte) (int, error) {
	text := string(bytes.TrimSpace(b[:min(len(b), mostLogged)]))
	kind := text
	if _, why, ok := strings.Cut(text, ": "); ok { // after "http: TLS handshake error from <address>"
		if _, why, ok = strings.Cut(why, ": "); ok {
			kind = why
		}
	}
	l.say(kind, "a connection has failed", "err", text)
	return len(b), nil
}
