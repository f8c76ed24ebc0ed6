package node

import (
	"log"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// serverLogEvery is the least time between two lines of a server about connections that fail: whoever
// reaches a port can make them.
const serverLogEvery = 10 * time.Second

// serverLog takes what a server of net/http says of connections, such as handshakes that fail, to the log.
type serverLog struct {
	log  *slog.Logger
	door string

	mu         sync.Mutex
	last       time.Time
	suppressed int // since last
}

// errorLog returns the ErrorLog of the http.Server of a door.
func errorLog(l *slog.Logger, door string) *log.Logger {
	return log.New(&serverLog{log: l, door: door}, "", 0)
}

// Write implements io.Writer.
func (s *serverLog) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.last) >= serverLogEvery {
		s.log.Warn("a connection failed", "door", s.door, "err", strings.TrimSpace(string(text)), "suppressed", s.suppressed)
		s.last, s.suppressed = now, 0
	} else {
		s.suppressed++
	}
	return len(text), nil
}
