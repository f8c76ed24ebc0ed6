package peercache

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/internal/stream"
)

// StreamLimits bound what streams cost this process on which others ask it. A field that is
// zero has its default; the defaults are for fleets of up to 1,000 peers.
type StreamLimits struct {
	// Streams bounds those that are open at one time: 4,096. Names that are not in the
	// view have half of them at most. A request for one more gets the status 503, and the
	// peer tries again later.
	Streams int
	// StreamsPerPeer bounds those of one name: 32. A peer has one, and those that it has
	// given up and this process has not noticed.
	StreamsPerPeer int

	// Loads bounds what is loaded at one time for all streams, 8,192, and LoadsPerStream
	// what is loaded for one, 1,024. A batch counts as one load for each of its keys, up to
	// 32, or for each 32 keys if that is more. A key beyond it waits for a load to end. If
	// none does for 2 seconds it is refused, because getters may be waiting for each other
	// over several processes: the asker goes to the next peer, and in the end loads the key
	// itself. Keys that getters ask for are counted by themselves: there may be four times
	// as many, and one more is refused at once.
	Loads, LoadsPerStream int
	// Changes bounds the changes that wait for other peers, 2,048, and ChangesPerStream
	// those of one stream, 256. One beyond it waits for another to end.
	Changes, ChangesPerStream int

	// RequestBytes bounds what the requests of all streams cost that are not answered from
	// a cache, in bytes: 64 MiB, and at least 8 MiB. One beyond it is refused.
	RequestBytes int
	// AnswerBytes bounds the loaded values that wait until peers read their answers, in
	// bytes: 64 MiB for all streams, of which one has 16 MiB at most. For one beyond it the
	// peer is told to ask by the plain way.
	AnswerBytes int

	// HelloTimeout is how long a peer may take for the first frame, 5 s, and FrameTimeout
	// how long from when a frame begins to arrive until it is whole, 10 s. Then the stream
	// ends.
	HelloTimeout, FrameTimeout time.Duration
}

// The defaults of StreamLimits that are not those of the package stream.
const (
	defaultStreams        = 4096
	defaultStreamsPerPeer = 32
	fewestRequestBytes    = 2 * stream.DefaultMaxRequestBytes
)

// withDefaults returns l with a default for each field that is zero.
func (l StreamLimits) withDefaults() StreamLimits {
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

// check returns an error if l, which has its defaults, cannot be right.
func (l StreamLimits) check() error {
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

// WithStreamLimits bounds what streams cost this process on which others ask it.
func WithStreamLimits(l StreamLimits) PoolOption {
	return func(p *HTTPPool) error {
		if err := l.withDefaults().check(); err != nil {
			return fmt.Errorf("WithStreamLimits: %w", err)
		}
		p.inbound.limits = l
		return nil
	}
}

// limitStreams puts the limits in place where they hold.
func (p *HTTPPool) limitStreams() {
	p.inbound.limits = p.inbound.limits.withDefaults()
	l := &p.inbound.limits
	p.inbound.names = make(map[string]int)
	p.stream.Shared = stream.NewShared(stream.Limits{
		MaxLoads: l.Loads, MaxChanges: l.Changes, MaxRequestBytes: l.RequestBytes, MaxHeldBytes: l.AnswerBytes,
	})
	p.stream.MaxLoads, p.stream.MaxChanges = l.LoadsPerStream, l.ChangesPerStream
	p.stream.HelloTimeout, p.stream.FrameTimeout = l.HelloTimeout, l.FrameTimeout
}

// inbound counts the streams on which this process is asked.
type inbound struct {
	limits StreamLimits // not changed after the pool is made

	mu        sync.Mutex
	names     map[string]int // guarded by mu; how many there are of each name that has any
	all       int            // guarded by mu
	strangers int            // guarded by mu; those of names that were not in the view
}

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
