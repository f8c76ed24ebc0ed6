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

// How often it is looked for changes, without a WithPoll.
const (
	DefaultFilePoll = time.Second
	DefaultDNSPoll  = 5 * time.Second
)

// DefaultKeepMissing is how long a peer that an answer lacks stays in the view of DNS and
// SRV by default. If the time of WithPoll is longer, that is the default.
const DefaultKeepMissing = time.Minute

// mostKeep bounds what a value given by mistake can cost: a process that died is in the view
// for so long.
const mostKeep = time.Hour

// leastPoll bounds what an interval given by mistake can cost.
const (
	leastPoll = 10 * time.Millisecond
	mostPoll  = 24 * time.Hour
)

// An Option changes what File, DNS and SRV make. They return its error.
type Option func(*settings) error

type settings struct {
	poll     time.Duration
	log      *slog.Logger
	resolver Resolver
	keep     time.Duration // see WithKeepMissing
	keeps    bool          // it was given
}

// WithPoll sets the time from one look for changes to the next, 10 ms to 24
// hours. The default is DefaultFilePoll or DefaultDNSPoll.
func WithPoll(d time.Duration) Option {
	return func(s *settings) error {
		if d < leastPoll || d > mostPoll {
			return fmt.Errorf("WithPoll(%v): want %v to %v", d, leastPoll, mostPoll)
		}
		s.poll = d
		return nil
	}
}

// WithKeepMissing sets for how long a peer stays in the view of DNS and SRV after an answer
// lacks it, because many name servers answer with only a part of the addresses. It is at most an hour, and 0 or at least one poll; with 0, each answer is the view. A
// longer time keeps a process that died in the view for longer; one that has shut down is
// out of it by itself. The default is DefaultKeepMissing. It is not for File and Static,
// whose lists are exact.
func WithKeepMissing(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 || d > mostKeep {
			return fmt.Errorf("WithKeepMissing(%v): want 0 to %v", d, mostKeep)
		}
		s.keep, s.keeps = d, true
		return nil
	}
}

// WithLogger says where to log, at level warn, why the last view stands and that answers
// of the DNS have only a part of the peers, and at level info that there are views
// again. By default, and with nil, nothing is logged.
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

// WithResolver makes DNS and SRV ask r. The default is net.DefaultResolver. It is
// not for File.
func WithResolver(r Resolver) Option {
	return func(s *settings) error {
		if r == nil {
			return errors.New("WithResolver(nil): want a Resolver, or leave the option out for net.DefaultResolver")
		}
		s.resolver = r
		return nil
	}
}

// settle applies options to defaults.
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
