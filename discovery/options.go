package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// The default times from one look for changes to the next (WithPoll).
const (
	DefaultFilePoll = time.Second
	DefaultDNSPoll  = 5 * time.Second
)

// DefaultKeepMissing is how long a peer that an answer lacks stays in the view of DNS and SRV by
// default. If the time of WithPoll is longer, that time is the default.
const DefaultKeepMissing = time.Minute

// mostKeep bounds the cost of a mistake: a process that died stays in the view that long.
const mostKeep = time.Hour

// leastPoll and mostPoll bound the cost of a mistake.
const (
	leastPoll = 10 * time.Millisecond
	mostPoll  = 24 * time.Hour
)

// An Option changes how File, DNS and SRV work. They return its error.
type Option func(*settings) error

// settings are what the options set.
type settings struct {
	poll     time.Duration
	log      *slog.Logger
	resolver Resolver
	keep     time.Duration // see WithKeepMissing
	keeps    bool          // whether WithKeepMissing was given
}

// WithPoll sets the time from one look for changes to the next, from 10 ms to 24 hours. The default
// is DefaultFilePoll or DefaultDNSPoll.
func WithPoll(d time.Duration) Option {
	return func(s *settings) error {
		if d < leastPoll || d > mostPoll {
			return fmt.Errorf("WithPoll(%v): want %v to %v", d, leastPoll, mostPoll)
		}
		s.poll = d
		return nil
	}
}

// WithKeepMissing sets how long a peer stays in the view of DNS and SRV after an answer lacks it,
// because many name servers answer with only a part of the addresses. The time is zero, or at least
// that of WithPoll, and at most one hour. With zero, each answer is the view. With a longer time, a
// process that died stays in the view longer. A process that shuts down leaves the cluster by
// itself. The default is DefaultKeepMissing. The option is not for File and Static, whose lists are
// complete.
func WithKeepMissing(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 || d > mostKeep {
			return fmt.Errorf("WithKeepMissing(%v): want 0 to %v", d, mostKeep)
		}
		s.keep, s.keeps = d, true
		return nil
	}
}

// WithLogger sets the logger. At level warn, it logs why the last view stays, and that answers of
// the DNS have only a part of the peers. At level info, it logs that the peers can be read again.
// By default, and with nil, nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		s.log = l
		return nil
	}
}

// A Resolver looks names up in the DNS. A *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// WithResolver makes DNS and SRV ask r. The default is net.DefaultResolver. The option is not for
// File.
func WithResolver(r Resolver) Option {
	return func(s *settings) error {
		if r == nil {
			return errors.New("WithResolver(nil): want a Resolver, or leave the option out for net.DefaultResolver")
		}
		s.resolver = r
		return nil
	}
}

// settle applies opts to the defaults.
func settle(poll time.Duration, opts []Option) (settings, error) {
	s := settings{poll: poll, log: slog.New(slog.DiscardHandler)}
	for i, opt := range opts {
		if opt == nil {
			return s, fmt.Errorf("discovery: option %d is nil", i)
		}
		if err := opt(&s); err != nil {
			return s, fmt.Errorf("discovery: %w", err)
		}
	}
	return s, nil
}
