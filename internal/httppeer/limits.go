package httppeer

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/quote"
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

// inbound counts the streams on which this process is asked.
type inbound struct {
	limits Limits // not changed after the pool is made

	mu        sync.Mutex
	names     map[string]int // guarded by mu; how many there are of each name that has any
	all       int            // guarded by mu
	strangers int            // guarded by mu; those of names that were not in the view
}

func (in *inbound) init(l Limits) { in.limits, in.names = l, make(map[string]int) }

// enter counts one more of a name, or returns why there may not be one. leave takes it
// back.
func (in *inbound) enter(name string, known bool) (leave func(), err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	l := &in.limits
	switch {
	case in.all >= l.Streams:
		return nil, fmt.Errorf("%d streams are open: want at most as many", in.all)
	case in.names[name] >= l.StreamsPerPeer:
		return nil, fmt.Errorf("%d streams are open of the peer %s: want at most as many", in.names[name], quote.Key(name))
	case !known && in.strangers >= max(1, l.Streams/2):
		return nil, fmt.Errorf("%d streams are open of peers that are not in the view: want at most as many", in.strangers)
	}
	in.count(name, known, 1)
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.count(name, known, -1)
	}, nil
}

// count adds n to the counts. The caller holds in.mu.
func (in *inbound) count(name string, known bool, n int) {
	in.all += n
	if !known {
		in.strangers += n
	}
	if in.names[name] += n; in.names[name] == 0 {
		delete(in.names, name)
	}
}
