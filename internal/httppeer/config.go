package httppeer

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/stream"
	"github.com/peercache/peercache/peertls"
)

// Config says how a Transport and a Server behave. All fields are required but Audit, Hosts,
// TLS, Secrets, Authenticator and PeerTimeout.
type Config struct {
	BasePath string // the path under which peers answer
	// Groupcache says that the peers are golang/groupcache's, or speak as they do.
	Groupcache bool
	Log        *slog.Logger
	// Audit records whom this process refuses. Nil: nobody asks, and Log has it.
	Audit *audit.Log
	// Detection is the detection time: how long a peer that owes an answer may send nothing
	// before it counts as failed.
	Detection time.Duration
	Streams   bool // false: every question takes a plain request
	Stream    stream.Config
	// TLS has the certificates of this process and the CAs of its peers. Nil means that the pool
	// verifies nobody.
	TLS *peertls.Source
	// Secrets are shared by all processes of the cluster, the present one first. Without any,
	// nothing is proven.
	Secrets []Secret
	// Authenticator returns the name of the sender of a request, "" for any; see
	// peercache.WithAuthenticator. It may be nil.
	Authenticator func(*http.Request) (name string, err error)

	// The fields below concern the side that asks.

	RoundTripper http.RoundTripper
	// PeerTimeout bounds one plain request. Zero means as long as the query says.
	PeerTimeout time.Duration
	// LargeRequests bounds how many large values one peer is asked for at the same time.
	LargeRequests int
	// Pace slows down the attempts to reach peers that are away.
	Pace *breaker.Pace

	// The fields below concern the side that answers.

	Limits         Limits
	Connections    Connections
	Hosts          []string // names by which requests may call this process, see peercache.WithHosts
	RequestBytes   int64    // bounds the bodies of plain requests, together
	AnswerBytes    int64    // bounds the values of plain answers, together
	RequestTimeout time.Duration
	// Knows reports whether the view has a peer of that name.
	Knows func(name string) bool
	// LargestValue returns the size in bytes of the largest value that a Change may set.
	LargestValue func() int64
}

// handshakeTimeout bounds an attempt to connect to a peer, from the decision to the peer's first
// frame. A distant peer needs several round trips for that. Callers wait for the detection time
// only.
func (c *Config) handshakeTimeout() time.Duration {
	return max(4*c.Detection, 200*time.Millisecond)
}

// Limits bound the streams on which peers ask this process: see peercache.StreamLimits.
type Limits struct {
	Streams, StreamsPerPeer    int
	Loads, LoadsPerStream      int
	Changes, ChangesPerStream  int
	RequestBytes, AnswerBytes  int
	FrameBytes                 int
	HelloTimeout, FrameTimeout time.Duration
}

// The other defaults of Limits are those of package stream.
const (
	defaultStreams        = 4096
	defaultStreamsPerPeer = 32
)

// fewestRequestBytes is the least that Limits.RequestBytes may be.
const fewestRequestBytes = 2 * stream.DefaultMaxRequestBytes

// fewestFrameBytes is the least that Limits.FrameBytes may be: one of the longest frames, and one of a
// stranger's, as a buffer has it that doubles.
const fewestFrameBytes = 4 * stream.DefaultMaxRequestBytes

// WithDefaults returns l with the default in place of each field that is zero.
func (l Limits) WithDefaults() Limits {
	l.Streams = cmp.Or(l.Streams, defaultStreams)
	l.StreamsPerPeer = cmp.Or(l.StreamsPerPeer, min(defaultStreamsPerPeer, l.Streams))
	l.Loads = cmp.Or(l.Loads, stream.DefaultAllLoads)
	l.LoadsPerStream = cmp.Or(l.LoadsPerStream, min(stream.DefaultMaxLoads, l.Loads))
	l.Changes = cmp.Or(l.Changes, stream.DefaultAllChanges)
	l.ChangesPerStream = cmp.Or(l.ChangesPerStream, min(stream.DefaultMaxChanges, l.Changes))
	l.RequestBytes = cmp.Or(l.RequestBytes, stream.DefaultAllRequestBytes)
	l.AnswerBytes = cmp.Or(l.AnswerBytes, stream.DefaultAllHeldBytes)
	l.FrameBytes = cmp.Or(l.FrameBytes, stream.DefaultAllFrameBytes)
	l.HelloTimeout = cmp.Or(l.HelloTimeout, stream.DefaultHelloTimeout)
	l.FrameTimeout = cmp.Or(l.FrameTimeout, stream.DefaultFrameTimeout)
	return l
}

// Check returns an error if a field of l is out of its bounds. The caller has called WithDefaults.
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
		{"FrameBytes", l.FrameBytes, fewestFrameBytes, 1 << 30},
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

// Apply sets the fields of cfg that l bounds.
func (l Limits) Apply(cfg *stream.Config) {
	cfg.Shared = stream.NewShared(stream.Limits{
		MaxLoads: l.Loads, MaxChanges: l.Changes, MaxRequestBytes: l.RequestBytes, MaxHeldBytes: l.AnswerBytes, MaxFrameBytes: l.FrameBytes,
	})
	cfg.MaxLoads, cfg.MaxChanges = l.LoadsPerStream, l.ChangesPerStream
	cfg.HelloTimeout, cfg.FrameTimeout = l.HelloTimeout, l.FrameTimeout
}
