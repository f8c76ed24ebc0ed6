package peercache

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/peercache/peercache/discovery"
)

// WithDiscovery makes the pool get its views from d, from its Join on, in place of
// Set; until then it is alone. A Discovery is for one pool.
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

// WithPoolLogger makes the pool say, at level warn, what is wrong with the views
// that it gets from its discovery, and at level error that the discovery has
// failed; at level warn that the breaker of a peer has opened, and why, and at level
// info that it has closed, both at level debug for a peer that leaves, or that comes
// within ten seconds of the view; at level info how many values a change of the view had
// handed over to their new owners, and at level warn if that were not all; at level warn
// that a snapshot could not be written. By default, and with nil, it says nothing. The
// handler may be called with locks held: it must not use the pool or its groups.
func WithPoolLogger(l *slog.Logger) PoolOption {
	return func(o *poolOptions) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		o.cluster.Log = guard(l, new(atomic.Int64))
		return nil
	}
}
