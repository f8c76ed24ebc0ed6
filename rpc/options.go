package rpc

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"google.golang.org/grpc"

	"github.com/peercache/peercache/door"
)

// An Option changes what New makes. New returns its error.
type Option func(*options) error

// options are what the options of a Server have set.
type options struct {
	tls       *tls.Config
	tokens    *door.Tokens // nil: clients need none
	insecure  bool
	authorize func(ctx context.Context, a door.Access) error
	limits    Limits
	log       *slog.Logger
	ready     func(ctx context.Context) error
	errorText func(error) string
	grpc      []grpc.ServerOption
	data      *dataService // nil: there is none
}

func readOptions(opts []Option) (*options, error) {
	o := &options{log: slog.Default()}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil", i)
		}
		if err := opt(o); err != nil {
			return nil, err
		}
	}
	o.limits = o.limits.withDefaults()
	return o, nil
}

// WithTLS makes the server speak TLS. To let in only clients that have a certificate, set ClientAuth
// and ClientCAs. The config is copied.
func WithTLS(config *tls.Config) Option {
	return func(o *options) error {
		if config == nil {
			return errors.New("WithTLS(nil): want a configuration, or leave the option out")
		}
		o.tls = config.Clone()
		return nil
	}
}

// WithInsecure lets in everybody, though the server may listen where others than this machine reach it.
// It is for a network that lets in nobody else, and for credentials of WithServerOptions that check who
// connects.
func WithInsecure() Option {
	return func(o *options) error {
		o.insecure = true
		return nil
	}
}

// WithLogger gives the server a logger. The default is slog.Default.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return errors.New("WithLogger(nil): want a logger")
		}
		o.log = l
		return nil
	}
}

// WithErrorText has clients told what tell returns for an error of a getter. By default they learn
// nothing of it but its kind, because it may have secrets in it; it is logged.
func WithErrorText(tell func(error) string) Option {
	return func(o *options) error {
		if tell == nil {
			return errors.New("WithErrorText(nil): want a function, or leave the option out")
		}
		o.errorText = tell
		return nil
	}
}

// WithReadiness makes health checks answer by ready, such as Pool.Ready: a service is serving while
// ready returns nil. It is called with a context of at most half a second. Without the option the
// server is ready from Serve to Shutdown.
func WithReadiness(ready func(ctx context.Context) error) Option {
	return func(o *options) error {
		if ready == nil {
			return errors.New("WithReadiness(nil): want a func")
		}
		o.ready = ready
		return nil
	}
}

// WithServerOptions adds options of grpc-go, such as interceptors and stats handlers. They come
// after those of the server.
func WithServerOptions(opts ...grpc.ServerOption) Option {
	return func(o *options) error {
		o.grpc = append(o.grpc, opts...)
		return nil
	}
}

// Limits bound what clients cost a Server. A zero means the default.
type Limits struct {
	// MessageBytes is the size of the largest message that a client may send. The default is
	// 4 MiB: a Set of a larger value is refused.
	MessageBytes int
	// Connections is how many connections are open at a time. One more is closed at once. The
	// default is 1,024.
	Connections int
	// Streams is how many calls of one connection may be in progress. Further ones wait at the
	// client. The default is 256.
	Streams int
	// Calls is how many calls of all connections may be in progress, Watches among them. Further ones
	// are refused. The default is 8,192.
	Calls int
	// RequestBytes is what the requests of all calls in progress may take in memory, also those of which
	// only a part has come. Beyond it connections are closed: those first that have a request which has
	// been coming for more than ten seconds, then those whose requests take the most. The default is
	// 256 MiB, or four times MessageBytes if that is more. Replies of WithData may take as much, and those to one call a quarter of
	// it: a call with more ends with ResourceExhausted. Credentials in WithServerOptions replace what
	// keeps this limit, and Calls: want WithTLS.
	RequestBytes int64
	// Keys is how many keys one BatchGet or Remove may have. The default is 10,000.
	Keys int
	// Watchers is how many Watches may be in progress. The default is 1,024.
	Watchers int
	// WatchBytes is how many bytes of keys are kept for a watcher that reads slowly. If there are
	// more, it is told to drop all that it has. The default is 256 KiB.
	WatchBytes int
	// WatchSilence is how long a watcher may hear nothing: it gets a message three times in that
	// time. The default is 15 s.
	WatchSilence time.Duration
}

const defaultMessageBytes = 4 << 20

func (l Limits) withDefaults() Limits {
	return Limits{
		MessageBytes: cmp.Or(l.MessageBytes, defaultMessageBytes), Calls: cmp.Or(l.Calls, 8192),
		RequestBytes: cmp.Or(l.RequestBytes, max(256<<20, 4*int64(cmp.Or(l.MessageBytes, defaultMessageBytes)))), Connections: cmp.Or(l.Connections, 1024), Streams: cmp.Or(l.Streams, 256),
		Keys: cmp.Or(l.Keys, 10_000), Watchers: cmp.Or(l.Watchers, 1024), WatchBytes: cmp.Or(l.WatchBytes, 256<<10),
		WatchSilence: cmp.Or(l.WatchSilence, 15*time.Second),
	}
}

// WithLimits bounds what clients cost.
func WithLimits(l Limits) Option {
	return func(o *options) error {
		for _, one := range []struct {
			name  string
			value int
		}{
			{"MessageBytes", l.MessageBytes}, {"Connections", l.Connections}, {"Streams", l.Streams}, {"Calls", l.Calls},
			{"Keys", l.Keys}, {"Watchers", l.Watchers}, {"WatchBytes", l.WatchBytes},
		} {
			if one.value < 0 || one.value > math.MaxInt32 {
				return fmt.Errorf("WithLimits: %s is %d: want 1 to %d, or 0 for the default", one.name, one.value, math.MaxInt32)
			}
		}
		if least := int64(cmp.Or(l.MessageBytes, defaultMessageBytes)); l.RequestBytes != 0 && l.RequestBytes < least {
			return fmt.Errorf("WithLimits: RequestBytes is %d: want at least %d, which one message may have, or 0 for the default", l.RequestBytes, least)
		}
		if l.WatchSilence < 0 || l.WatchSilence > 0 && l.WatchSilence < 30*time.Millisecond {
			return fmt.Errorf("WithLimits: WatchSilence is %v: want at least 30ms, or 0 for the default", l.WatchSilence)
		}
		o.limits = l
		return nil
	}
}
