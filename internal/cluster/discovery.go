package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/discovery"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/peer"
)

// Join implements Pool.Join.
func (c *Cluster) Join(ctx context.Context) error {
	if c.membership == nil {
		return errors.New("peercache: Join of a pool without a discovery: want a WithDiscovery, or Set")
	}
	if err := c.membership.join(ctx); err != nil {
		return fmt.Errorf("peercache: join %s: %w", c.self, err)
	}
	c.Agree(ctx)
	return nil
}

// membership is the part that a pool has in a cluster by its discovery.
type membership struct {
	cluster   *Cluster
	discovery discovery.Discovery
	lapsed    lapse

	held  chan struct{} // closed when a view is in place that holds this process
	hold  sync.Once     // closes held
	ended chan struct{} // closed when Run has returned
	err   error         // what Join says from then on; to be read when ended is closed

	// What follows is of the goroutine that Run calls take in.
	members    []string        // of the view in place, sorted; nil before the first
	registered bool            // peers have known this process
	invalid    map[uint64]bool // hashes of what was left out of the last view

	mu      sync.Mutex         // guards what follows
	stop    context.CancelFunc // ends Run; nil before it is called
	stopped bool               // there has been a leave
	problem error              // of the last view; nil if it is in place and holds this process
}

func newMembership(c *Cluster, d discovery.Discovery) *membership {
	m := &membership{
		cluster:   c,
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
	if m.stopped {
		return peer.ErrClosed
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
	err := m.discovery.Run(ctx, m.cluster.self, m.receive)
	m.lapsed.Store(true)
	switch {
	case err == nil && ctx.Err() != nil:
		m.err = peer.ErrClosed
		return
	case err == nil:
		err = errors.New("the discovery ended by itself")
	}
	m.err = err
	m.cluster.log.Error("no more views come, the last one stands", "err", err)
}

// leave ends Run, and waits until that has withdrawn what it registered, or until
// ctx ends. Nobody joins afterwards. A pool without a discovery has nothing to
// leave.
func (m *membership) leave(ctx context.Context) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	m.stopped = true
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
func (m *membership) receive(v discovery.View) {
	lapsed := v.Lapsed || !slices.Contains(v.Peers, m.cluster.self)
	back := m.lapsed.Load() && !lapsed
	if lapsed { // before the view is in place, in which others may own its keys
		m.lapsed.Store(true)
	}
	problem := m.setMembers(v.Peers, back)
	if back && m.registered { // it may not have heard of changes
		m.cluster.logs.discard(true)
	}
	m.registered = m.registered || !lapsed
	if back {
		m.lapsed.end(*m.cluster.groups.Load())
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
		m.cluster.log.Warn("something is wrong with the view of the peers", "err", problem)
	}
}

// place puts the view of peers in place, this process among them in any case, or
// leaves the one that is there. After a lapse it is made anew, also if it is the same.
// The error says what was wrong.
func (m *membership) setMembers(peers []string, anew bool) error {
	members := m.valid(peers)
	if len(members) == 0 {
		return errors.New("there is no peer in it: the last one stands")
	}
	var lacking error
	if !slices.Contains(members, m.cluster.self) {
		lacking = fmt.Errorf("it lacks this process: it has %d others, who may not know of it", len(members))
		members = append(members, m.cluster.self)
		slices.Sort(members)
	}
	if anew || !slices.Equal(members, m.members) {
		if err := m.cluster.setPeers(members, anew); err != nil {
			return fmt.Errorf("the last one stands: %w", err)
		}
		m.members = members
		m.cluster.own.lookAgain()
	}
	return lacking
}

// mostWarnings is how many members of one view are warned of, each by itself.
const mostWarnings = 16

// valid returns what can be a peer, sorted and each once. It warns of the others,
// if they were not in the view before.
func (m *membership) valid(peers []string) []string {
	var members []string
	invalid := make(map[uint64]bool)
	warned, more := 0, 0
	own := peerurl.ReachOf(m.cluster.self)
	for _, name := range peers {
		err := m.cluster.checkPeer(name)
		if there := peerurl.ReachOf(name); err == nil && there != peerurl.Anywhere && there != own && name != m.cluster.self {
			err = fmt.Errorf("peer %q: an address of one machine or one network alone, and this process, %s, is not there: want one that all reach", name, m.cluster.self)
		}
		if err == nil {
			members = append(members, name)
			continue
		}
		hash := xxhash.Sum64String(name) // the names may be long, and many
		if !m.invalid[hash] && !invalid[hash] {
			if warned++; warned <= mostWarnings {
				m.cluster.log.Warn("a member of the view is left out", "err", err)
			} else {
				more++
			}
		}
		invalid[hash] = true
	}
	if more > 0 {
		m.cluster.log.Warn("more members of the view are left out", "members", more)
	}
	m.invalid = invalid
	slices.Sort(members)
	return slices.Compact(members)
}

// Lapsed reports whether the peers may have a view without this process. Without a discovery
// nobody is replaced.
func (c *Cluster) Lapsed() bool { return c.membership != nil && c.membership.lapsed.Load() }

// lapse is whether peers may have a view without this process: what View.Lapsed says,
// and true while the view lacks the process, before the first one, and when no more come.
type lapse struct{ atomic.Bool }

// end ends the lapse, when the view in place was made anew. What the consistent groups
// cached before, others may have removed meanwhile, without this process.
//
// The order matters, for Gets go on meanwhile:
//
//  1. The view is made anew. A load that begins from here on keeps nothing before the
//     peers have heard that this process is back.
//  2. The loads and fetches that began before are tainted.
//  3. The caches are cleared. Nothing from before comes in any more, because of 2.
//  4. The caches are used again.
func (l *lapse) end(groups map[string]Group) {
	for _, g := range groups {
		if g.Consistent() {
			g.DropAll() // its peers may hand over what they have: they heard of all changes
		}
	}
	l.Store(false)
}
