package cluster

import (
	"fmt"
	"maps"
	"slices"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// The list says who the peers are; the view leaves out those that are leaving. So a view
// changes when Set or the discovery gives another list (setPeers), when a peer says that it
// leaves or is back (refreshViewSoon, at a bounded rate), and when this process leaves
// (refreshView). A new view is announced to the peers, and values are handed over to their new
// owners.

// view is a set of peers and the ring over it. It is immutable. The view of a process that is
// leaving is without that process.
type view struct {
	ring   *consistenthash.Ring // nil: nobody owns anything
	owners []peer.Peer          // by the ring's index; nil is this process
	others []peer.Peer          // all but this process
	named  map[string]*Member   // the others, by name
	names  []string             // of all, in order
	id     uint64               // see viewID
	since  clock.Instant

	nonOwners map[string]bool // those that own nothing, and perhaps others; never written to
	ringID    uint64          // the viewID of those that may own keys
	// moved is when this ring came into place: since, unless it was that of the view before.
	moved clock.Instant
	// before is the last view with another ring, without its own before. nil means that this process
	// was alone, or has just started. It has no names if it was so long ago that it is forgotten.
	before *view
	// started says that this process has just started, or is treated as if it had.
	started bool

	// first says that this is the first view with peers of a process that had no list before.
	// Nobody told it of changes then. So what it cached is dropped, and not handed over: others
	// would keep it, and a Remove that has returned nil would be undone.
	first bool

	absent      []peer.Peer // the absent members
	absentNames []string    // their names, and that of this process if it is leaving itself

	// newcomers are peers that were not in the view before, or were not handed over all. heirs are
	// those of them that this process may have values for. handedOver is closed when they were handed
	// over all, and previous that of the view before.
	newcomers  map[string]*Member
	heirs      map[string]*Member
	handedOver chan struct{}
	previous   <-chan struct{} // nil: there was none
}

// member returns the peer of that name, or nil.
func (v *view) member(name string) *Member { return v.named[name] }

// isAbsent reports whether the peer of that name is not in the view because it is leaving.
func (v *view) isAbsent(name string) bool {
	return slices.ContainsFunc(v.absent, func(p peer.Peer) bool { return p.Name() == name })
}

// lists reports whether the peer of that name is in the view or absent.
func (v *view) lists(name string) bool { return v.member(name) != nil || v.isAbsent(name) }

// setPeers replaces the list and the view. anew says that nothing is known of the values of the
// view before: see setView.
func (c *Cluster) setPeers(texts []string, anew bool) error {
	peers, nonOwners, owners := splitList(texts)
	if err := c.checkPeers(peers); err != nil {
		return fmt.Errorf("peercache: %w", err)
	}
	if err := c.checkOwners(peers, owners); err != nil {
		return fmt.Errorf("peercache: %w", err)
	}
	c.warnOfReach(peers)
	first, err := c.setList(peers, nonOwners, anew)
	if first {
		// No lock is held here: a group may tell its user what it drops. A load that begins now
		// caches nothing before the peers have heard of this process.
		for _, g := range *c.groups.Load() {
			g.DropAll()
		}
	}
	return err
}

// setList replaces the list, and the view by the one that follows. It reports whether that is
// the first one, see view.first.
func (c *Cluster) setList(peers []string, nonOwners map[string]bool, anew bool) (first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false, fmt.Errorf("peercache: %w", peer.ErrClosed)
	}
	before, listed, ownless := c.view.Load(), c.listed, c.nonOwners
	c.listed, c.nonOwners = slices.Clone(peers), nonOwners
	by, who := c.changedBy()
	if err := c.setView(anew, by, who); err != nil {
		c.listed, c.nonOwners = listed, ownless
		return false, err
	}
	if c.leaving.Load() {
		c.recordListed()
	}
	return c.view.Load().first && !before.first, nil // before is nil only in New, and then first is false
}

// present returns the listed processes that are not leaving. The caller holds c.mu.
func (c *Cluster) present() []string {
	var present []string
	for _, name := range c.listed {
		if c.absent[name] == nil && (name != c.self || !c.leaving.Load()) {
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return []string{c.self} // all are leaving, and each is alone
	}
	return present
}

// absentPeers returns the absent members, and the names of all processes that the method
// present leaves out. It forgets absent members that are not listed any more. The caller holds
// c.mu.
func (c *Cluster) absentPeers() (absent []peer.Peer, names []string) {
	for name, a := range c.absent {
		if !slices.Contains(c.listed, name) {
			a.end()
			delete(c.absent, name)
			continue
		}
		absent, names = append(absent, a), append(names, name)
	}
	if c.leaving.Load() {
		names = append(names, c.self)
	}
	return absent, names
}

// setView replaces the view by that of the peers that are present. anew says that this process
// may have missed changes: then it is treated as one that has just started. by and who say because
// of whom, for the audit. The caller holds c.mu.
func (c *Cluster) setView(anew bool, by string, who []string) error {
	peers := c.present()
	old := c.view.Load() // nil in New
	replaced := old
	var known map[string]*Member
	if old != nil {
		known = old.named
	}
	if anew || old != nil && len(old.others) == 0 && old.before == nil {
		old = nil // the process was alone
	}
	if old != nil && old.id == viewID(peers, c.nonOwners) {
		same := *old // but for an absent member that is not listed any more
		same.absent, same.absentNames = c.absentPeers()
		c.view.Store(&same)
		return nil
	}
	var ring *consistenthash.Ring
	if owners := ownersOf(peers, c.nonOwners); len(owners) > 0 { // else those who own are all leaving
		var err error
		if ring, err = c.ring(owners); err != nil {
			return fmt.Errorf("peercache: %w", err)
		}
	}
	v := c.viewAfter(old, known, peers, ring)
	var departed []*Member
	for name, m := range known {
		if v.member(name) == nil {
			departed = append(departed, m)
			c.closeLater(m)
		}
	}
	maps.DeleteFunc(c.asked, func(name string, _ clock.Instant) bool { return !v.lists(name) })
	announced := c.replaceView(v, departed)
	c.auditView(replaced, v, by, who)
	c.problems.forget(func(name string) bool { return name == c.self || v.member(name) != nil })
	told := v.withoutRings() // it may take longer to tell all of the view than it lasts
	c.background.Go(func() {
		c.announce(told, announced)
		c.announceAgain(told)
	})
	c.background.Go(func() { c.handOver(told) })
	return nil
}

// viewAfter makes the view of peers that comes after old. old is nil if this process was alone,
// or is treated as if it had been. Peers that are known stay the same Members. The caller holds
// c.mu.
func (c *Cluster) viewAfter(old *view, known map[string]*Member, peers []string, ring *consistenthash.Ring) *view {
	v := &view{
		ring: ring, named: make(map[string]*Member, len(peers)), names: slices.Sorted(slices.Values(peers)),
		id: viewID(peers, c.nonOwners), nonOwners: c.nonOwners, ringID: viewID(ownersOf(peers, c.nonOwners), nil), started: old == nil,
		newcomers: make(map[string]*Member), heirs: make(map[string]*Member), handedOver: make(chan struct{}),
	}
	v.absent, v.absentNames = c.absentPeers()
	owned := old != nil && !old.nonOwners[c.self]
	select {
	case <-c.viewed:
		owned = owned || v.started && !c.nonOwners[c.self] // alone, but as one that owned all keys
	default:
		v.first = v.started && len(peers) > 1
	}
	for _, name := range peers {
		var m *Member // nil: this process
		if name != c.self {
			m = v.add(name, old, owned, known, c.memberFor)
		}
		switch {
		case c.nonOwners[name]:
		case m == nil:
			v.owners = append(v.owners, nil) // not a *Member that is nil
		default:
			v.owners = append(v.owners, m)
		}
	}
	switch {
	case old == nil:
	case old.ringID == v.ringID: // no key has moved
		v.before, v.moved = old.before, old.moved
	default:
		before := *old
		before.before, before.newcomers, before.heirs, before.previous = nil, nil, nil, nil
		v.before = &before
	}
	if old != nil {
		v.previous = old.handedOver
	}
	return v
}

// add adds the peer of that name to a view that comes after old, which may be nil. owned says that
// this process had values then for those that come.
func (v *view) add(name string, old *view, owned bool, known map[string]*Member, memberFor func(string) *Member) *Member {
	m, was := known[name]
	if !was {
		m = memberFor(name)
	}
	waits := old != nil && old.mayOffer(name)
	if waits || !was && (owned || old != nil) {
		v.newcomers[name] = m
	}
	if (waits || !was && owned) && !v.nonOwners[name] {
		v.heirs[name] = m
	}
	v.named[name] = m
	v.others = append(v.others, m)
	return m
}

// withoutRings returns v without its ring and that of the view before, which are large.
func (v *view) withoutRings() *view {
	same := *v
	same.ring = nil
	if v.before != nil {
		same.before = v.before.forgotten()
	}
	return &same
}

// forgotten returns what stays of a view before: when it was.
func (v *view) forgotten() *view { return &view{id: v.id, since: v.since} }

// Candidates is how many peers keep values of a key that are not copies: its owner, and
// those that stand in for it. A fetch tries them one after the other, each of which may
// cost as long as it takes to see that it is not there.
const Candidates = 3

// replaceView puts a view in place, and begins an epoch of the agreement in the same step.
// departed are those that were in the view before. The channel is to be closed when the peers
// were told.
func (c *Cluster) replaceView(v *view, departed []*Member) (announced chan struct{}) {
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	a.beginEpoch()
	a.began = a.number + 1
	if c.view.Load() != nil {
		a.views++
	}
	if v.since = a.since; v.moved == 0 {
		v.moved = v.since
	}
	var names []string
	if old := c.view.Load(); old != nil { // nil in New
		names = slices.DeleteFunc(ownersOf(old.names, old.nonOwners), func(name string) bool { return name == c.self || v.owns(name) })
		for _, m := range departed {
			m.ownedNothing.Store(old.nonOwners[m.name])
		}
	}
	c.view.Store(v)
	a.enterView(v)
	a.disputed.Store(0)
	a.announced = make(chan struct{})
	if v.moved == v.since {
		a.ringTold = a.announced
	}
	a.announcing.Store(int64(v.since))
	if a.offered != nil {
		close(a.offered)
	}
	a.offered = make(chan struct{})
	for m, at := range a.departed {
		if v.since > at.Plus(longestDeparted) || v.member(m.name) != nil {
			delete(a.departed, m)
		}
	}
	for _, m := range departed {
		a.departed[m] = v.since
	}
	c.logs.recordDeparted(names)
	if len(v.names) >= c.relayFrom && !v.nonOwners[c.self] {
		a.keepRelay(newRelay(c, v))
	}
	return a.announced
}

// Before returns the peer that owned key before the ring changed, and when that was. nil means that
// it was this process, or is not known.
func (c *Cluster) Before(key string) (peer.Peer, clock.Instant) {
	v := c.view.Load()
	if c.stateless {
		return nil, 0
	}
	switch before := v.before; {
	case before == nil, before.ring == nil && before.names != nil: // nobody owned anything
		// The keys of a process that has just started were those of the next one on the ring.
		return c.Pick(key, 1), v.moved
	case before.ring == nil: // so long ago that it is forgotten
		return nil, v.moved
	default:
		return before.owners[before.ring.OwnerIndex(key)], v.moved
	}
}
