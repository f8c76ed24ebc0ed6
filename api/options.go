package api

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/door"
)

// An Option changes what New makes. New returns its error.
type Option func(*options) error

// The defaults of the options.
const (
	DefaultMaxBodyBytes  = peercache.DefaultMaxValueBytes
	DefaultBodyMemory    = 256 << 20
	DefaultMaxBatchKeys  = 1000
	DefaultMaxBatchBytes = 64 << 20
	DefaultMaxRequests   = 8192
	DefaultChangeTimeout = 30 * time.Second

	defaultBodyTime = 30 * time.Second
	defaultSendTime = 30 * time.Second
)

// options are what the options of a handler set.
type options struct {
	readOnly    bool
	access      access
	hosts       []string   // "*": all; nil: see WithHosts
	rate        *rateLimit // nil: none
	maxBody     int64
	bodyMemory  int64
	maxKeys     int
	maxBatch    int64
	maxRequests int
	maxAge      time.Duration // less than zero: not bounded
	changeTime  time.Duration
	bodyTime    time.Duration // for the first bytesPerBodyTime of a body
	sendTime    time.Duration // for each piece of a large answer
	context     func(*http.Request) context.Context
	errorText   func(error) string
	log         *slog.Logger
}

func defaults() options {
	return options{
		maxBody:     DefaultMaxBodyBytes,
		bodyMemory:  DefaultBodyMemory,
		maxKeys:     DefaultMaxBatchKeys,
		maxBatch:    DefaultMaxBatchBytes,
		maxRequests: DefaultMaxRequests,
		maxAge:      -1,
		changeTime:  DefaultChangeTimeout,
		bodyTime:    defaultBodyTime,
		sendTime:    defaultSendTime,
		log:         slog.New(slog.DiscardHandler),
	}
}

// WithReadOnly refuses what changes something: PUT, DELETE, :remove and :clear get status 403.
func WithReadOnly() Option {
	return func(o *options) error {
		o.readOnly = true
		return nil
	}
}

// WithTokens lets in only who sends one of these tokens, in the header "Authorization: Bearer TOKEN",
// and lets each do what its rights say. Others get status 401. Tokens travel in the request: serve it
// over TLS. The tokens may be replaced while the handler is in use.
func WithTokens(tokens *door.Tokens) Option {
	return func(o *options) error {
		if tokens == nil {
			return errors.New("WithTokens(nil): want tokens, or leave the option out")
		}
		o.access.tokens = tokens
		return nil
	}
}

// WithAuthorizer asks f before each request for a group. If f returns an error, the status is 403, or
// 401 if it is door.ErrUnauthenticated, and the client is told its text. With WithTokens as well, a request
// needs both. GET /v1 lists those groups that f allows door.RightGet for. Whether the group exists is not
// known yet when f is asked.
func WithAuthorizer(f func(*http.Request, door.Access) error) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("WithAuthorizer(nil): want a function, or leave the option out")
		}
		o.access.authorize = f
		return nil
	}
}

// WithRateLimit lets each client make perSecond requests a second, and burst at once. Further ones get
// status 429. A key of a batch counts as a request. Clients are told apart by their address, or, in
// IPv6, by the first 64 bits of it: behind a proxy all are one, unless WithClient tells them apart. By
// default there is no limit.
func WithRateLimit(perSecond float64, burst int) Option {
	return func(o *options) error {
		if !(perSecond >= 0.001 && perSecond <= 1e6) || burst < 1 || burst > 1e6 {
			return fmt.Errorf("WithRateLimit(%v, %d): want 0.001 to 1e6 requests a second, and a burst of 1 to 1e6", perSecond, burst)
		}
		l := o.limit()
		l.interval = time.Duration(float64(time.Second) / perSecond)
		l.slack = time.Duration(burst) * l.interval
		return nil
	}
}

// WithClient names the client of a request, for WithRateLimit: by what a proxy in front says of it,
// for example. What clients say of themselves they can change with each request.
func WithClient(f func(*http.Request) string) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("WithClient(nil): want a function, or leave the option out")
		}
		o.limit().client = f
		return nil
	}
}

// limit returns the rate limit, which has no effect before it has an interval.
func (o *options) limit() *rateLimit {
	if o.rate == nil {
		o.rate = &rateLimit{seed: maphash.MakeSeed()}
	}
	return o.rate
}

// WithMaxBodyBytes bounds the body of a request, and so what PUT can set. A larger one gets status
// 413. It may be up to 1 GiB, as a value may. The default is DefaultMaxBodyBytes.
func WithMaxBodyBytes(n int64) Option {
	return func(o *options) error {
		if n > 1<<30 {
			return fmt.Errorf("WithMaxBodyBytes(%d): want at most %d", n, 1<<30)
		}
		return atLeast("WithMaxBodyBytes", n, 1, &o.maxBody)
	}
}

// WithBodyMemory bounds the memory that the bodies of all requests have together. One that finds no
// room gets status 503. The default is DefaultBodyMemory.
func WithBodyMemory(n int64) Option {
	return func(o *options) error { return atLeast("WithBodyMemory", n, 1<<20, &o.bodyMemory) }
}

// WithMaxBatchKeys bounds the keys of one :batchGet or :remove. More get status 413. The default is
// DefaultMaxBatchKeys.
func WithMaxBatchKeys(n int) Option {
	return func(o *options) error { return atLeast("WithMaxBatchKeys", n, 1, &o.maxKeys) }
}

// WithMaxBatchBytes bounds the values of one :batchGet together. Keys beyond have an error in place of
// a value. The default is DefaultMaxBatchBytes.
func WithMaxBatchBytes(n int64) Option {
	return func(o *options) error { return atLeast("WithMaxBatchBytes", n, 1, &o.maxBatch) }
}

// WithMaxRequests bounds the requests that are in progress at the same time. Further ones get status
// 503. The default is DefaultMaxRequests.
func WithMaxRequests(n int) Option {
	return func(o *options) error { return atLeast("WithMaxRequests", n, 1, &o.maxRequests) }
}

// atLeast sets what an option is about, which must not be less than least.
func atLeast[N int | int64](name string, n, least N, to *N) error {
	if n < least {
		return fmt.Errorf("%s(%d): want at least %d", name, n, least)
	}
	*to = n
	return nil
}

// WithMaxAge bounds how long HTTP caches and browsers may serve a value without asking, in the header
// Cache-Control: they do not hear of a Remove. Zero makes them ask each time, which costs a 304 if the
// value is the same. By default they may serve it for as long as its TTL lasts, and have to ask each
// time for a value without one.
func WithMaxAge(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("WithMaxAge(%v): want zero or more", d)
		}
		o.maxAge = d
		return nil
	}
}

// WithChangeTimeout bounds how long a PUT, DELETE, :remove or :clear waits for peers that hang or
// cannot be reached. The default is DefaultChangeTimeout. How long a Get waits is up to the group
// (peercache.WithLoadTimeout).
func WithChangeTimeout(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("WithChangeTimeout(%v): want more than zero", d)
		}
		o.changeTime = d
		return nil
	}
}

// WithContext makes the group's methods run with the context that f returns, which must come from the
// context of the request: so what a request carries, such as a header, reaches the getter. See
// peercache.WithContextCodec for getters in other processes.
func WithContext(f func(*http.Request) context.Context) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("WithContext(nil): want a function, or leave the option out")
		}
		o.context = f
		return nil
	}
}

// WithErrorText has clients told what tell returns for an error of a getter. By default they learn
// only that the origin failed: the text of an error may hold secrets, such as a password in an
// address. The logger gets the error itself.
func WithErrorText(tell func(error) string) Option {
	return func(o *options) error {
		if tell == nil {
			return errors.New("WithErrorText(nil): want a function, or leave the option out")
		}
		o.errorText = tell
		return nil
	}
}

// WithLogger logs requests that failed, and those that were refused because the client may not make
// them, each kind at most every ten seconds. By default nothing is logged.
func WithLogger(log *slog.Logger) Option {
	return func(o *options) error {
		if log == nil {
			return errors.New("WithLogger(nil): want a logger, or leave the option out")
		}
		o.log = log
		return nil
	}
}
