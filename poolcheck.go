package peercache

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/stream"
)

const (
	// DefaultBasePath is where a pool answers its peers.
	DefaultBasePath = "/_peercache/"

	groupcacheBasePath = "/_groupcache/"
	groupcacheReplicas = 50
)

// poolOptions are what the options of a pool have set.
type poolOptions struct {
	cluster       cluster.Config
	handoverGiven bool
	peerTimeout   time.Duration
	compat        bool // speak as golang/groupcache does
	stream        stream.Config

	// What follows is of HTTP.

	http           []string // the names of the options that were given of it
	basePath       string
	largeRequests  int
	roundTripper   http.RoundTripper
	streams        bool
	limits         httppeer.Limits
	hosts          []string
	requestBytes   int64
	answerBytes    int64
	requestTimeout time.Duration
}

// readPoolOptions returns what the options set, and the defaults of the rest. The error says which
// is wrong, or which two of them contradict each other, in whatever order they were given.
func readPoolOptions(opts []PoolOption) (*poolOptions, error) {
	o := &poolOptions{
		cluster: cluster.Config{
			MaxPeers: DefaultMaxPeers, MaxUnproven: DefaultMaxUnproven, ViewChangeRate: DefaultViewChangeRate,
			HandoverBytes: DefaultHandoverBytes, HandoverTime: DefaultHandoverTime,
			Pace: &breaker.Pace{Rate: DefaultReconnectRate},
			Log:  slog.New(slog.DiscardHandler),
		},
		largeRequests: DefaultMaxLargeRequests, streams: true,
		requestBytes: DefaultRequestMemory, answerBytes: DefaultAnswerMemory, requestTimeout: DefaultRequestTimeout,
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peercache: option %d is nil", i)
		}
		if err := opt(o); err != nil {
			return nil, fmt.Errorf("peercache: %w", err)
		}
	}
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("peercache: %w", err)
	}
	basePath := DefaultBasePath
	if o.compat {
		basePath = groupcacheBasePath
	}
	o.basePath = cmp.Or(o.basePath, basePath)
	if o.roundTripper == nil {
		o.roundTripper = DefaultTransport()
	}
	return o, nil
}

// check returns an error if two options contradict each other.
func (o *poolOptions) check() error {
	if detect := o.detection(); o.peerTimeout > 0 && o.peerTimeout < detect {
		return fmt.Errorf("WithPeerTimeout(%v) is shorter than the detection time, %v, so that a slow load would look like a peer that is gone: want a longer one, or a shorter WithDetectionTime", o.peerTimeout, detect)
	}
	if !o.streams && o.stream.LargeValue > 0 {
		return errors.New("WithoutStream and WithLargeValue: want one of them: without streams, all values take the plain way")
	}
	if o.compat && o.handoverGiven {
		return errors.New("WithGroupcacheCompat and WithHandover: want one of them: golang/groupcache takes nothing over")
	}
	return nil
}

// detection is for how long a caller waits for a peer that is silent.
func (o *poolOptions) detection() time.Duration {
	return cmp.Or(o.stream.Detect, stream.DefaultDetect)
}

// ring returns what makes the ring of a view.
func (o *poolOptions) ring() func(names []string) (*consistenthash.Ring, error) {
	if o.compat {
		return func(names []string) (*consistenthash.Ring, error) {
			return consistenthash.NewGroupcache(groupcacheReplicas, names...)
		}
	}
	return func(names []string) (*consistenthash.Ring, error) {
		members := make([]consistenthash.Member, len(names))
		for i, name := range names {
			members[i].Name = name
		}
		return consistenthash.New(members...)
	}
}

// httpConfig returns how the transport behaves.
func (o *poolOptions) httpConfig() httppeer.Config {
	cfg := httppeer.Config{
		BasePath: o.basePath, Groupcache: o.compat, Log: o.cluster.Log, Detection: o.detection(),
		RoundTripper: o.roundTripper, PeerTimeout: o.peerTimeout, LargeRequests: o.largeRequests, Pace: o.cluster.Pace,
		Streams: o.streams, Stream: o.stream,
		Limits: o.limits.WithDefaults(), Hosts: o.hosts, RequestBytes: o.requestBytes, AnswerBytes: o.answerBytes, RequestTimeout: o.requestTimeout,
	}
	cfg.Limits.Apply(&cfg.Stream)
	return cfg
}
