package peercache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/discovery"
)

// WithDiscovery makes the pool get its views from d in place of Set, from Join on. Until then the
// process is alone. A Discovery is for one pool.
func WithDiscovery(d discovery.Discovery) PoolOption {
	return func(p *HTTPPool) error {
		if d == nil {
			return errors.New("WithDiscovery(nil): want a Discovery, or leave the option out and use Set")
		}
		if p.membership != nil {
			return errors.New("WithDiscovery twice: want one Discovery")
		}
		p.membership = newMembership(p, d)
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
	return func(p *HTTPPool) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		p.log = guard(l, new(atomic.Int64))
		return nil
	}
}

// Join makes the process known to its peers by the pool's discovery, and gives the
// pool the views that come from there until Shutdown. It returns when the first
// view that holds this process is in place. Call it when the server is listening:
// the peers will ask at once.
//
// The pool leaves out of a view, with a warning to the logger of WithPoolLogger: what is no base
// URL of a peer, what is not spelled as Set wants it, what a WithPeerFilter refuses, and a
// loopback or link-local address, if this process has none of the kind. It does not take a view
// of more peers than WithMaxPeers allows. If a view lacks this process, the pool adds it, so that
// it goes on serving its own callers. If nobody is in a view, the last one stands.
//
// If ctx ends first, the error wraps ctx.Err and says what was missing. The discovery goes on, so
// that a process may serve alone until it knows its peers. Until then it hears of no Remove; then
// it drops what it has cached. Call Join again to go on waiting. Join also fails if the pool has
// no WithDiscovery, if the discovery failed, and with ErrClosed after Shutdown.
func (p *HTTPPool) Join(ctx context.Context) error {
	if p.membership == nil {
		return errors.New("peercache: Join of a pool without a discovery: want a WithDiscovery, or Set")
	}
	if err := p.membership.join(ctx); err != nil {
		return fmt.Errorf("peercache: join %s: %w", p.self, err)
	}
	p.agree(ctx)
	return nil
}

// membership is the part that a pool has in a cluster by its discovery.
type membership struct {
	pool      *HTTPPool
	discovery discovery.Discovery
	lapsed    lapse

	held  chan struct{} // closed when a view is in place that holds this process
	hold  sync.Once     // closes held
	ended chan struct{} // closed when Run has returned
	err   error         // what Join says from then on; to be read when ended is closed

	// What follows is of the goroutine that Run calls take in.
	members []string        // of the view in place, sorted; nil before the first
	known   bool            // peers have known this process
	invalid map[uint64]bool // hashes of what was left out of the last view

	mu      sync.Mutex         // guards what follows
	stop    context.CancelFunc // ends Run; nil before it is called
	left    bool               // there has been a leave
	problem error              // of the last view; nil if it is in place and holds this process
}

func newMembership(p *HTTPPool, d discovery.Discovery) *membership {
	m := &membership{
		pool:      p,
		discovery: d,
		held:      make(chan struct{}),
		ended:     make(chan struct{}),
		problem:   errors.New("no view has come yet"),
	}
	m.lapsed.Store(true)
	return m
}

// join calls Run, unless it runs already, and waits for held.
func (m *membership) join(ctx context.Context) error {
	if err := m.start(ctx); err != nil {
		return err
	}
	select {
	case <-m.ended: // also if there was a view before
		return m.err
	default:
	}
	select {
	case <-m.held:
		return nil
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		m.mu.Lock()
		defer m.mu.Unlock()
		return fmt.Errorf("%w: %w", ctx.Err(), m.problem)
	}
}

func (m *membership) start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return ErrClosed
	}
	if m.stop != nil {
		return nil
	}
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	go m.run(ctx)
	return nil
}

func (m *membership) run(ctx context.Context) {
	defer close(m.ended)
	err := m.discovery.Run(ctx, m.pool.self, m.take)
	m.lapsed.Store(true)
	switch {
	case err == nil && ctx.Err() != nil:
		m.err = ErrClosed
		return
	case err == nil:
		err = errors.New("the discovery ended by itself")
	}
	m.err = err
	m.pool.log.Error("no more views come, the last one stands", "err", err)
}

// leave ends Run, and waits until that has withdrawn what it registered, or until
// ctx ends. Nobody joins afterwards. A pool without a discovery has nothing to
// leave.
func (m *membership) leave(ctx context.Context) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	m.left = true
	stop := m.stop
	m.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	select {
	case <-m.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the discovery has not ended: %w", ctx.Err())
	}
}

// take is what Run reports to. It warns of what is wrong with a view, if that was
// not so with the one before.
func (m *membership) take(v discovery.View) {
	lapsed := v.Lapsed || !slices.Contains(v.Peers, m.pool.self)
	back := m.lapsed.Load() && !lapsed
	if lapsed { // before the view is in place, in which others may own its keys
		m.lapsed.Store(true)
	}
	problem := m.place(v.Peers, back)
	if back && m.known { // it may not have heard of changes
		m.pool.logs.lose(true)
	}
	m.known = m.known || !lapsed
	if back {
		m.lapsed.end(*m.pool.groups.Load())
	}
	if problem == nil && v.Lapsed {
		problem = errors.New("the registration of this process has run out, or may have: its peers may know it no more")
	}
	m.mu.Lock()
	before := m.problem
	m.problem = problem
	m.mu.Unlock()
	switch {
	case problem == nil:
		m.hold.Do(func() { close(m.held) })
	case before == nil || before.Error() != problem.Error():
		m.pool.log.Warn("something is wrong with the view of the peers", "err", problem)
	}
}

// place puts the view of peers in place, this process among them in any case, or
// leaves the one that is there. After a lapse it is made anew, also if it is the same.
// The error says what was wrong.
func (m *membership) place(peers []string, anew bool) error {
	members := m.valid(peers)
	if len(members) == 0 {
		return errors.New("there is no peer in it: the last one stands")
	}
	var lacking error
	if !slices.Contains(members, m.pool.self) {
		lacking = fmt.Errorf("it lacks this process: it has %d others, who may not know of it", len(members))
		members = append(members, m.pool.self)
		slices.Sort(members)
	}
	if anew || !slices.Equal(members, m.members) {
		if err := m.pool.setPeers(members, anew); err != nil {
			return fmt.Errorf("the last one stands: %w", err)
		}
		m.members = members
		m.pool.own.lookAgain()
	}
	return lacking
}

// longestPeerURL bounds what of the members of a view is looked at. The name of a
// host has at most 253 bytes.
const longestPeerURL = 512

// mostWarnings is how many members of one view are warned of, each by itself.
const mostWarnings = 16

// valid returns what can be a peer, sorted and each once. It warns of the others,
// if they were not in the view before.
func (m *membership) valid(peers []string) []string {
	var members []string
	invalid := make(map[uint64]bool)
	warned, more := 0, 0
	own := reachOf(m.pool.self)
	for _, name := range peers {
		err := m.pool.checkPeer(name)
		if there := reachOf(name); err == nil && there != anywhere && there != own && name != m.pool.self {
			err = fmt.Errorf("peer %q: an address of one machine or one network alone, and this process, %s, is not there: want one that all reach", name, m.pool.self)
		}
		if err == nil {
			members = append(members, name)
			continue
		}
		hash := xxhash.Sum64String(name) // the names may be long, and many
		if !m.invalid[hash] && !invalid[hash] {
			if warned++; warned <= mostWarnings {
				m.pool.log.Warn("a member of the view is left out", "err", err)
			} else {
				more++
			}
		}
		invalid[hash] = true
	}
	if more > 0 {
		m.pool.log.Warn("more members of the view are left out", "members", more)
	}
	m.invalid = invalid
	slices.Sort(members)
	return slices.Compact(members)
}
