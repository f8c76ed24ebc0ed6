package httppeer

import (
	"log/slog"
	"time"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peer"
)

// fakeLocal is a process that asks, and finds nothing wrong with who answers.
type fakeLocal struct{}

func (fakeLocal) Identity() peer.Identity {
	return peer.Identity{Name: "http://127.0.0.1:1", Process: 1}
}
func (fakeLocal) Answered(peer.Identity, peer.Instant) error { return nil }
func (fakeLocal) Misconfigured(peer.ConfigProblem, error)    {}
func (fakeLocal) Degraded(string, error)                     {}
func (fakeLocal) Counts() bool                               { return true }

// fakeProcess is a process that has a Handler for everybody.
type fakeProcess struct{ peer.Handler }

func (fakeProcess) Identity() peer.Identity {
	return peer.Identity{Name: "http://127.0.0.1:1", Process: 1}
}
func (p fakeProcess) Accept(peer.Identity, string) (peer.Handler, error) { return p.Handler, nil }

// fakeConfig is one of a pool with its default options but for streams, which it does not use.
func fakeConfig() Config {
	return Config{
		BasePath: "/_peercache/", Log: slog.New(slog.DiscardHandler), Detection: stream.DefaultDetect,
		LargeRequests: 32, Pace: &breaker.Pace{Rate: 64},
		Limits: Limits{}.WithDefaults(), RequestBytes: 256 << 20, AnswerBytes: 512 << 20, RequestTimeout: 10 * time.Second,
		Knows:        func(string) bool { return true },
		LargestValue: func() int64 { return 64 << 20 },
	}
}
