package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/peercache/peercache"
)

// run serves until ctx ends, and then ends the node gracefully. It closes the listeners.
//
// The order is that of the library: peers are answered before they hear of this node, and clients when
// it is warm; at the end clients go first, then the pool, then what answers peers.
func (n *node) run(ctx context.Context, on listeners, ready func()) error {
	defer on.close()
	broken := make(chan error, 1+len(n.members)+len(n.doors)) // a server has failed
	serve := func(name string, f func() error) {
		go func() {
			if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				broken <- fmt.Errorf("the listener %s: %w", name, err)
			}
		}()
	}
	for _, m := range n.members {
		m.server = m.pool.Server()
		serve(m.Path, func() error { return m.serve(on) })
	}
	serve("admin", func() error {
		if n.admin.TLSConfig != nil {
			return n.admin.ServeTLS(on["admin"], "", "")
		}
		return n.admin.Serve(on["admin"])
	})

	starting, stopStart := context.WithCancel(ctx)
	defer stopStart()
	started := make(chan error, 1)
	go func() { started <- n.start(starting) }()
	var failure error
	select {
	case failure = <-started:
		if failure == nil && ctx.Err() == nil {
			for _, d := range n.doors {
				serve(d.name, func() error { return d.Serve(on[d.name]) })
			}
			n.log.Info("serving", "listeners", on.String())
			ready()
		}
	case failure = <-broken:
	case <-ctx.Done():
	}
	if failure == nil {
		select {
		case <-ctx.Done():
		case failure = <-broken:
		}
	}
	if failure != nil {
		n.log.Error("the node has to end", "err", failure)
	}
	return errors.Join(failure, n.end())
}

// String returns names and addresses for the log.
func (l listeners) String() string {
	var all []string
	for name, one := range l {
		all = append(all, name+"="+one.Addr().String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// start makes the node one of its peers, and waits until it is warm. An error is one that only people can
// mend.
func (n *node) start(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, n.cfg.Startup.Timeout)
	defer cancel()
	var starting errgroup.Group
	for _, m := range n.members {
		starting.Go(func() error {
			notReady, err := m.join(waiting)
			if notReady != nil && ctx.Err() == nil {
				n.log.Warn("the node is not ready, and serves nevertheless, because startup.timeout has passed", "cluster", m.Name, "timeout", n.cfg.Startup.Timeout, "err", notReady)
			}
			return err
		})
	}
	return starting.Wait()
}

// errIncomplete says that not everything could be done before the node ended.
var errIncomplete = errors.New("the end was not graceful")

// end ends the node: no new clients, those in progress answered, then away from the peers.
func (n *node) end() error {
	n.ending.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Shutdown.Timeout+n.cfg.Shutdown.Delay)
	defer cancel()
	if d := n.cfg.Shutdown.Delay; d > 0 {
		n.log.Info("the node ends; load balancers have time to go elsewhere", "delay", d)
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	n.log.Info("the node ends: clients first")
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			n.log.Warn("the end is not graceful", "what", what, "err", err)
			errs = append(errs, fmt.Errorf("%w: %s: %w", errIncomplete, what, err))
		}
	}
	clients, stopClients := context.WithTimeout(ctx, n.cfg.Shutdown.Timeout/2) // the rest is for the handover
	var closing errgroup.Group
	for _, d := range n.doors {
		closing.Go(func() error {
			if err := d.Shutdown(clients); err != nil {
				return fmt.Errorf("%s: %w", d.name, err)
			}
			return nil
		})
	}
	note("clients", closing.Wait())
	stopClients()
	note("data", n.closeData())
	for _, m := range n.members {
		if err := m.pool.Shutdown(ctx); !errors.Is(err, peercache.ErrClosed) {
			note("leaving "+m.Path, err)
		}
	}
	for _, m := range n.members {
		note("what "+m.Path+" asked for", shut(ctx, m.server))
	}
	note("origins", n.getters.close())
	note("spans", n.tracer.flush(ctx))
	if err := shut(ctx, n.admin.Server); err != nil {
		n.log.Debug("the listener for operators was closed", "err", err) // a live page may be open
	}
	n.log.Info("the node has ended")
	return errors.Join(errs...)
}

// shut ends a server, at once if it does not end by itself.
func shut(ctx context.Context, s *http.Server) error {
	err := s.Shutdown(ctx)
	if err != nil {
		s.Close()
	}
	return err
}
