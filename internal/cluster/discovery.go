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

// With a discovery, Join runs it, and each view that it reports becomes the list (receive).
// This process is always in its own list, also if it is not in the report. But then it has
// lapsed, as it has before the first report, after the last, and while its registration has run
// out: its peers may have a view without it, and make changes that it does not hear of. A group
// that is consistent caches nothing meanwhile. When the lapse is over, the view is made anew
// (endLapse).

// mostWarnings is how many names of one report are warned of, one by one.
const mostWarnings = 16

// membership is the registration of this process with a discovery.
type membership struct {
	cluster   *Cluster
	discovery discovery.Discovery
	lapsed    atomic.Bool

	ended chan struct{} // closed when Run has returned
	err   error         // what Join returns from then on; written before ended is closed

	// Only receive, which Run calls one at a time, uses the fields below.
	members    []string        // the list, as it is given and sorted; nil before the first
	registered bool            // there was a report without a lapse: peers have known this process
	invalid    map[uint64]bool // hashes of the names that were left out of the last report

	mu      sync.Mutex         // guards the fields below
	stop    context.CancelFunc // ends Run; nil before Run is called
	stopped bool               // leave was called
	problem error              // of the last report; nil if its view is in place and has this process
}

func newMembership(c *Cluster, d discovery.Discovery) *membership {
	m := &membership{
		cluster:   c,
		discovery: d,
		ended:     make(chan struct{}),
		problem:   errors.New("no view has come yet from the discovery"),
	}
	m.lapsed.Store(true)
	return m
}

// Lapsed reports whether the peers may have a view without this process. Without a discovery it
// is false: nobody is replaced then.
func (c *Cluster) Lapsed() bool { return c.membership != nil && c.membership.lapsed.Load() }

// Join runs the discovery, and returns when there is a view with this process which the peers
// that can be reached have, or when ctx has ended. See Pool.Join.
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

// join runs the discovery, unless it runs already, and waits for a view with this process.
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
	case <-m.cluster.viewed:
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
	err := m.discovery.Run(ctx, m.cluster.ownText(), m.receive)
	m.lapsed.Store(true)
	m.cluster.outOfTouch(false)
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

// leave ends Run, and waits until it has withdrawn the registration, or ctx has ended. Join
// fails afterwards. A nil membership has nothing to withdraw.
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

// receive is what Run reports to. It warns of what is wrong with a report, if that was not so
// with the one before.
func (m *membership) receive(v discovery.View) {
	lapsed := v.Lapsed || !m.cluster.isIn(v.Peers)
	back := m.lapsed.Load() && !lapsed
	if lapsed { // before a view is in place in which others may own its keys
		m.lapsed.Store(true)
		m.cluster.outOfTouch(false)
	}
	problem := m.setMembers(v.Peers, back)
	again := back && m.registered
	if again { // it may have missed changes
		m.cluster.logs.discard(true)
	}
	m.registered = m.registered || !lapsed
	if back {
		m.endLapse(again)
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
		m.cluster.markViewed()
	case before == nil || before.Error() != problem.Error():
		m.cluster.log.Warn("something is wrong with the view of the peers", "err", problem)
	}
}

// endLapse ends the lapse, after the view was made anew. Others may have removed meanwhile what
// the consistent groups cached before.
//
// The order matters, because Gets go on:
//
//  1. The view is made anew. A load that begins from here on caches nothing before the peers
//     were told that this process is back.
//  2. The groups drop what they cached, and what is being loaded and fetched. So nothing from
//     before the lapse comes into the caches any more. Values that peers hand over may: these
//     peers heard of all changes.
//  3. The caches are used again.
//
// again says that the process was registered before.
func (m *membership) endLapse(again bool) {
	for _, g := range *m.cluster.groups.Load() {
		if g.Consistent() {
			g.DropAll()
		}
	}
	m.lapsed.Store(false)
	if again {
		m.cluster.log.Info("the registration of this process is valid again")
	}
}

// setMembers makes peers the list, with this process in any case, or leaves the present one in
// place. With anew, the view is made anew, also if the list is the same. The error says what is
// wrong with the report.
func (m *membership) setMembers(peers []string, anew bool) error {
	members := m.valid(peers)
	if len(members) == 0 {
		return errors.New("there is no peer in it: the last one stands")
	}
	var lacking error
	if !m.cluster.isIn(members) {
		lacking = fmt.Errorf("it lacks this process: it has %d others, who may not know of it", len(members))
		members = append(members, m.cluster.ownText())
		slices.Sort(members)
	}
	if anew || !slices.Equal(members, m.members) {
		if err := m.cluster.setPeers(members, anew); err != nil {
			return fmt.Errorf("the last one stands: %w", err)
		}
		m.members = members
		_, nonOwners, _ := splitList(members)
		m.cluster.noteOwnership(nonOwners)
		m.cluster.own.lookAgain()
	}
	return lacking
}

// valid returns those of a report that can be peers, sorted and each once. It warns of the others,
// unless they were in the report before. A peer that is there as one that owns nothing, and as
// another one as well, owns nothing: so it is the same for all.
func (m *membership) valid(peers []string) []string {
	var members []string
	_, nonOwners, _ := splitList(peers)
	invalid := make(map[uint64]bool)
	warned, more := 0, 0
	own := peerurl.ReachOf(m.cluster.self)
	for _, text := range peers {
		name, owns := discovery.SplitPeer(text)
		err := m.cluster.checkPeer(name)
		if reach := peerurl.ReachOf(name); err == nil && reach != peerurl.Anywhere && reach != own && name != m.cluster.self {
			err = fmt.Errorf("peer %q: an address of one machine or one network alone, and this process, %s, is not there: want one that all reach", name, m.cluster.self)
		}
		if err == nil && owns && nonOwners[name] {
			err = fmt.Errorf("peer %q: it is there as one that owns keys, and as one that owns nothing, which counts: want one of the two", name)
		}
		if err == nil {
			members = append(members, text)
			continue
		}
		hash := xxhash.Sum64String(text) // the names may be long, and many
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
