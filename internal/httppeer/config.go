package httppeer

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/stream"
)

// Limits are peercache.StreamLimits.
type Limits struct {
	Streams, StreamsPerPeer    int
	Loads, LoadsPerStream      int
	Changes, ChangesPerStream  int
	RequestBytes, AnswerBytes  int
	HelloTimeout, FrameTimeout time.Duration
}

// The defaults of Limits that are not those of the package stream.
const (
	defaultStreams        = 4096
	defaultStreamsPerPeer = 32
	fewestRequestBytes    = 2 * stream.DefaultMaxRequestBytes
)

// WithDefaults returns l with a default for each field that is zero.
func (l Limits) WithDefaults() Limits {
	l.Streams = cmp.Or(l.Streams, defaultStreams)
	l.StreamsPerPeer = cmp.Or(l.StreamsPerPeer, min(defaultStreamsPerPeer, l.Streams))
	l.Loads = cmp.Or(l.Loads, stream.DefaultAllLoads)
	l.LoadsPerStream = cmp.Or(l.LoadsPerStream, min(stream.DefaultMaxLoads, l.Loads))
	l.Changes = cmp.Or(l.Changes, stream.DefaultAllChanges)
	l.ChangesPerStream = cmp.Or(l.ChangesPerStream, min(stream.DefaultMaxChanges, l.Changes))
	l.RequestBytes = cmp.Or(l.RequestBytes, stream.DefaultAllRequestBytes)
	l.AnswerBytes = cmp.Or(l.AnswerBytes, stream.DefaultAllHeldBytes)
	l.HelloTimeout = cmp.Or(l.HelloTimeout, stream.DefaultHelloTimeout)
	l.FrameTimeout = cmp.Or(l.FrameTimeout, stream.DefaultFrameTimeout)
	return l
}

// Check returns an error if l, which has its defaults, cannot be right.
func (l Limits) Check() error {
	for _, n := range []struct {
		name            string
		is, least, most int
	}{
		{"Streams", l.Streams, 1, 1 << 20},
		{"StreamsPerPeer", l.StreamsPerPeer, 1, l.Streams},
		{"Loads", l.Loads, 1, 1 << 20},
		{"LoadsPerStream", l.LoadsPerStream, 1, l.Loads},
		{"Changes", l.Changes, 1, 1 << 20},
		{"ChangesPerStream", l.ChangesPerStream, 1, l.Changes},
		{"RequestBytes", l.RequestBytes, fewestRequestBytes, 1 << 30},
		{"AnswerBytes", l.AnswerBytes, 1, 1 << 30},
	} {
		if n.is < n.least || n.is > n.most {
			return fmt.Errorf("%s: %d: want %d to %d", n.name, n.is, n.least, n.most)
		}
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{{"HelloTimeout", l.HelloTimeout}, {"FrameTimeout", l.FrameTimeout}} {
		if d.is < time.Millisecond || d.is > time.Hour {
			return fmt.Errorf("%s: %v: want 1ms to 1h", d.name, d.is)
		}
	}
	return nil
}

// Apply puts the limits in place where they hold.
func (l Limits) Apply(cfg *stream.Config) {
	cfg.Shared = stream.NewShared(stream.Limits{
		MaxLoads: l.Loads, MaxChanges: l.Changes, MaxRequestBytes: l.RequestBytes, MaxHeldBytes: l.AnswerBytes,
	})
	cfg.MaxLoads, cfg.MaxChanges = l.LoadsPerStream, l.ChangesPerStream
	cfg.HelloTimeout, cfg.FrameTimeout = l.HelloTimeout, l.FrameTimeout
}

// Config is how a Transport and a Server behave. All fields are set but Hosts and PeerTimeout.
type Config struct {
	BasePath string // that peers answer under
	// Groupcache says that peers are golang/groupcache's, or speak as they do.
	Groupcache bool
	Log        *slog.Logger
	// Detection is for how long nothing may come from a peer that owes an answer.
	Detection time.Duration

	// What follows is of the side that asks.

	RoundTripper http.RoundTripper
	// PeerTimeout bounds one request by the plain way. Zero is what the query says.
	PeerTimeout time.Duration
	// LargeRequests bounds the large values that one peer is asked for at the same time.
	LargeRequests int
	// Pace is of the attempts to reach peers that are away.
	Pace *breaker.Pace

	// What follows is of both sides.

	Streams bool // else all goes by the plain way
	Stream  stream.Config

	// What follows is of the side that answers.

	Limits         Limits
	Hosts          []string // names by which requests may call this process, see peercache.WithHosts
	RequestBytes   int64    // of the bodies of requests by the plain way, together
	AnswerBytes    int64    // of the values of answers by the plain way, together
	RequestTimeout time.Duration
	// Knows reports whether the peer of that name is in the view.
	Knows func(name string) bool
	// LargestValue returns how many bytes the largest value has that a Change may set.
	LargestValue func() int64
}

// handshakeTimeout bounds an attempt to connect to a peer, from the decision to the peer's first
// frame. Distance costs several round trips; callers wait for the detection time only.
func (c *Config) handshakeTimeout() time.Duration {
	return max(4*c.Detection, 200*time.Millisecond)
}
