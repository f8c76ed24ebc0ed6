package peercache

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/peercache/peercache/discovery"
)

// WithDiscovery makes the pool get its views from d in place of Set, from Join on. Until then the
// process is alone. A Discovery is for one pool.
func WithDiscovery(d discovery.Discovery) PoolOption {
	return func(o *poolOptions) error {
		if d == nil {
			return errors.New("WithDiscovery(nil): want a Discovery, or leave the option out and use Set")
		}
		if o.cluster.Discovery != nil {
			return errors.New("WithDiscovery twice: want one Discovery")
		}
		o.cluster.Discovery = d
		return nil
	}
}

// WithPoolLogger makes the pool log, at level
//
//   - error: the discovery has failed; the view could not follow a peer that left or is back;
//   - warn: "the configuration is wrong", with each ConfigError, also a MissingGroup; what works
//     worse than it should, such as a peer without a stream, a server that ends requests before
//     they are answered, a process that does not reach its own address, or a transport that is
//     not good for peers; the breaker of a peer has opened, and why; what is wrong with the views
//     of the discovery, and which members are left out; a loopback address in the list of Set
//     that other machines cannot reach; not all values were handed over to their new owners; a
//     snapshot could not be written;
//   - info: values were handed over; a breaker has closed after a warning that it opened; a
//     breaker has opened because of a wrong configuration, which has a warning of its own;
//   - debug: the breaker of a peer that leaves, or has not answered since it came into the view.
//     If such a new peer does not answer within ten seconds, that is a warning.
//
// A wrong configuration of one kind at one address is at most one warning in ten minutes, and
// so is what works worse than it should. What concerns a single group goes to WithLogger. By
// default, and with nil, the pool logs nothing. The handler may be called with locks held: it
// must not use the pool or its groups.
func WithPoolLogger(l *slog.Logger) PoolOption {
	return func(o *poolOptions) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		o.cluster.Log = guard(l, new(atomic.Int64))
		return nil
	}
}
