package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/peercache/peercache/discovery"
)

const (
	// DefaultLeaseTTL is for how long the key of a process that died is there.
	DefaultLeaseTTL = 10 * time.Second

	// mostLeaseTTL bounds what a value given by mistake can cost: for so long a
	// process that died is asked for values.
	mostLeaseTTL = time.Hour

	// withdrawTimeout bounds the withdrawal of a registration. If etcd does not
	// answer in that time, the lease runs out by itself.
	withdrawTimeout = 2 * time.Second
)

// Discovery finds peers through etcd. New and NewFromConfig make it.
type Discovery struct {
	connect   func(context.Context) (*clientv3.Client, error)
	own       bool // the client is closed when Run ends
	endpoints func() []string
	prefix    string
	ttl       time.Duration
	log       *slog.Logger
	ran       atomic.Bool
}

var _ discovery.Discovery = (*Discovery)(nil)

// An Option changes what New and NewFromConfig make. They return its error.
type Option func(*Discovery) error

// WithLeaseTTL sets for how long the key of a process that died is there, and for
// how long a process may be unable to reach etcd until its view is Lapsed, less a
// tenth. It is counted in whole seconds, from one to 3600. In each TTL a process
// renews its lease three times and asks three times whether its watch is alive.
// The default is DefaultLeaseTTL.
func WithLeaseTTL(ttl time.Duration) Option {
	return func(d *Discovery) error {
		if ttl < time.Second || ttl > mostLeaseTTL || ttl%time.Second != 0 {
			return fmt.Errorf("WithLeaseTTL(%v): want whole seconds, from 1s to %v", ttl, mostLeaseTTL)
		}
		d.ttl = ttl
		return nil
	}
}

// WithLogger says where to log, at level warn, that etcd cannot be used and why,
// and at level info that it can again. By default, and with nil, nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(d *Discovery) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		d.log = l
		return nil
	}
}

// New makes a Discovery that uses a client of the caller's, who closes it after
// Run. The processes of one cluster have the same prefix, and nothing else has its
// keys there; it ends with a slash: "/peercache/scores/".
//
// The error says what is wrong with an argument.
func New(client *clientv3.Client, prefix string, opts ...Option) (*Discovery, error) {
	if client == nil || client.ActiveConnection() == nil {
		return nil, errors.New("discovery/etcd: want a client that clientv3.New made")
	}
	return newDiscovery(&Discovery{
		connect:   func(context.Context) (*clientv3.Client, error) { return client, nil },
		endpoints: client.Endpoints,
		prefix:    prefix,
	}, opts)
}

// NewFromConfig makes a Discovery with a client of its own. It differs from New
// in that nothing is asked of etcd before Run, which waits for it, while
// clientv3.New with a user and a password fails if etcd is not there. What config
// leaves open is set to what is good for this use: a DialTimeout of 5 s,
// DialKeepAliveTime and -Timeout of 10 and 5 s, a MaxCallRecvMsgSize of 64 MiB, and no log
// of the client's own.
//
// The error says what is wrong with an argument.
func NewFromConfig(config clientv3.Config, prefix string, opts ...Option) (*Discovery, error) {
	if len(config.Endpoints) == 0 || slices.Contains(config.Endpoints, "") {
		return nil, fmt.Errorf("discovery/etcd: endpoints %q: want the addresses of etcd, such as http://10.0.0.9:2379", config.Endpoints)
	}
	if (config.Username == "") != (config.Password == "") {
		return nil, errors.New("discovery/etcd: one of Username and Password: want both, or neither")
	}
	config.Endpoints = slices.Clone(config.Endpoints)
	return newDiscovery(&Discovery{
		connect:   func(ctx context.Context) (*clientv3.Client, error) { return newClient(ctx, config) },
		own:       true,
		endpoints: func() []string { return config.Endpoints },
		prefix:    prefix,
	}, opts)
}

func newDiscovery(d *Discovery, opts []Option) (*Discovery, error) {
	if !strings.HasSuffix(d.prefix, "/") {
		return nil, fmt.Errorf("discovery/etcd: prefix %q: want one that ends with a slash, such as /peercache/scores/", d.prefix)
	}
	d.ttl = DefaultLeaseTTL
	d.log = slog.New(slog.DiscardHandler)
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("discovery/etcd: option %d is nil", i)
		}
		if err := opt(d); err != nil {
			return nil, fmt.Errorf("discovery/etcd: %w", err)
		}
	}
	d.log = d.log.With("prefix", d.prefix)
	return d, nil
}

// Run implements discovery.Discovery. It fails if self is empty or, with the prefix, longer
// than 1,024 bytes, if it is called twice, and if etcd refuses the user, the password or the access to the keys
// before anything has worked; later it takes that for an outage like others.
// To withdraw takes at most two seconds.
func (d *Discovery) Run(ctx context.Context, self string, report func(discovery.View)) error {
	if self == "" {
		return errors.New("discovery/etcd: this process has no base URL: want one such as http://10.0.0.1:8001")
	}
	if most := longestValue - len(d.prefix); len(self) > most {
		return fmt.Errorf("discovery/etcd: a base URL of %d bytes: want at most %d, with the prefix %q", len(self), most, d.prefix)
	}
	if d.ran.Swap(true) {
		return errors.New("discovery/etcd: Run was called before: want a Discovery for each call")
	}
	m := newMember(d, self, report)
	defer m.leave(ctx)
	for ctx.Err() == nil {
		err := m.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if m.present {
			m.present = false
			m.tell(true)
		}
		if m.seen == nil && forPeople(err) {
			return fmt.Errorf("discovery/etcd: %q: %w", d.endpoints(), err)
		}
		m.outage.failed(fmt.Errorf("%q: %w", d.endpoints(), err))
		m.outage.wait(ctx)
	}
	return nil
}
