package cluster

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/peer"
)

// view is the set of peers that this process believes in, and the ring over it.
// It is immutable. A process that is leaving has a view without itself.
type view struct {
	ring   *consistenthash.Ring
	peers  []peer.Peer        // by the ring's index; nil is this process
	others []peer.Peer        // all but this process
	named  map[string]*Member // the others, by URL; never written to
	id     uint64             // see viewID
	since  clock.Instant
	before *view // the view before, itself without one; nil: this process was alone then

	// first says that this is the first view with peers, of a process that had no list before.
	// Nobody told it of changes then, so what it cached is dropped, and not offered: others
	// would keep it, and a Remove that has returned nil would be undone.
	first bool

	absent      []peer.Peer // those that were said to be peers, but are leaving
	absentNames []string    // their names, with that of this process if it is leaving itself

	// handed is closed when this process has handed over what it does not own any more.
	// newcomers are peers that were not in a view before, or were not handed all.
	handedOver chan struct{}
	newcomers  map[string]*Member
}

// viewID names a view: the same for the same peers, in whatever order.
func viewID(peers []string) uint64 {
	h := xxhash.New()
	for _, name := range slices.Sorted(slices.Values(peers)) {
		h.WriteString(name)
		h.Write([]byte{0})
	}
	return max(h.Sum64(), 1)
}

// has returns the peer of that name, or nil.
func (v *view) member(name string) *Member { return v.named[name] }

// lacks reports whether the peer of that name is not in the view because it is leaving.
func (v *view) isAbsent(name string) bool {
	return slices.ContainsFunc(v.absent, func(p peer.Peer) bool { return p.Name() == name })
}

// lists reports whether the peer of that name is in the view, or would be if it were not leaving.
func (v *view) lists(name string) bool { return v.member(name) != nil || v.isAbsent(name) }

// setPeers makes the list of peers, those that are known to be leaving left out, the view.
func (c *Cluster) setPeers(peers []string, anew bool) error {
	if err := c.checkPeers(peers); err != nil {
		return fmt.Errorf("peercache: %w", err)
	}
	c.warnOfReach(peers)
	first, err := c.setList(peers, anew)
	if first {
		// No lock is held: a group may tell its user what leaves. A load that begins now keeps
		// nothing before the peers have heard of this process.
		for _, g := range *c.groups.Load() {
			g.DropAll()
		}
	}
	return err
}

// list makes peers the list, and puts the view that follows in place. It reports whether that
// is the first one, see view.
func (c *Cluster) setList(peers []string, anew bool) (first bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return false, fmt.Errorf("peercache: %w", peer.ErrClosed)
	}
	before, listed := c.view.Load(), c.listed
	c.listed = slices.Clone(peers)
	if err := c.setView(anew); err != nil {
		c.listed = listed
		return false, err
	}
	return c.view.Load().first && !before.first, nil // before is nil only when the pool is made, alone
}

// present returns the peers that are listed, but for those that are leaving. The caller holds c.mu.
func (c *Cluster) present() []string {
	var present []string
	for _, name := range c.listed {
		if c.absent[name] == nil && (name != c.self || !c.leaving.Load()) {
			present = append(present, name)
		}
	}
	if len(present) == 0 {
		return []string{c.self} // they all end, and each is alone
	}
	return present
}

// absentees returns the peers that are listed, but not present, and the names of all that
// present leaves out. The caller holds c.mu.
func (c *Cluster) absentPeers() (absent []peer.Peer, gone []string) {
	for name, a := range c.absent {
		if !slices.Contains(c.listed, name) {
			a.end()
			delete(c.absent, name)
			continue
		}
		absent, gone = append(absent, a), append(gone, name)
	}
	if c.leaving.Load() {
		gone = append(gone, c.self)
	}
	return absent, gone
}

// setView makes the view of the peers that are present and puts it in place. If it is made
// anew, it is as with a process that has just come. The caller holds c.mu.
func (c *Cluster) setView(anew bool) error {
	peers := c.present()
	old := c.view.Load()
	if anew || old != nil && len(old.others) == 0 && old.before == nil {
		old = nil // the process was alone
	}
	if old != nil && old.id == viewID(peers) {
		same := *old // but for an absentee that is not listed any more
		same.absent, same.absentNames = c.absentPeers()
		c.view.Store(&same)
		return nil
	}
	ring, err := c.ring(peers)
	if err != nil {
		return fmt.Errorf("peercache: %w", err)
	}
	v := c.viewAfter(old, peers, ring)
	var left []peer.Peer
	for name, m := range c.known {
		if v.named[name] == nil {
			left = append(left, m)
			c.closeLater(m)
		}
	}
	maps.DeleteFunc(c.asked, func(other string, _ clock.Instant) bool { return !v.lists(other) })
	announced := c.replaceView(v, left)
	c.known = v.named
	c.problems.forget(func(other string) bool { return other == c.self || v.named[other] != nil })
	c.background.Go(func() {
		c.announce(v, announced)
		c.announceAgain(v)
	})
	c.background.Go(func() { c.handOver(v) })
	return nil
}

// viewAfter makes the view of peers that comes after old, which is nil if this process was
// alone. A peer that was in the view before stays the same Peer. The caller holds c.mu.
func (c *Cluster) viewAfter(old *view, peers []string, ring *consistenthash.Ring) *view {
	v := &view{
		ring: ring, peers: make([]peer.Peer, len(peers)), named: make(map[string]*Member, len(peers)), id: viewID(peers),
		newcomers: make(map[string]*Member), handedOver: make(chan struct{}),
	}
	v.absent, v.absentNames = c.absentPeers()
	served := old != nil
	select {
	case <-c.viewedC():
		served = true // alone, but as one that owned all keys
	default:
		v.first = !served && len(peers) > 1
	}
	for i, name := range peers {
		if name == c.self {
			continue
		}
		m, ok := c.known[name]
		if !ok {
			m = c.memberFor(name)
		}
		if served && !ok || old != nil && old.mayOffer(name) {
			v.newcomers[name] = m
		}
		v.named[name], v.peers[i] = m, m
		v.others = append(v.others, m)
	}
	if old != nil {
		before := *old
		before.before, before.newcomers = nil, nil
		v.before = &before
	}
	return v
}

// Candidates is how many peers keep values of a key that are not copies: its owner, and
// those that stand in for it. A fetch tries them one after the other, each of which may
// cost as long as it takes to see that it is not there.
const Candidates = 3

// newView puts a view in place, in one step with what agreement returns. The channel is
// to be closed when the peers have heard of the view; left are those that have no part
// in it any more.
func (c *Cluster) replaceView(v *view, left []peer.Peer) (announced chan struct{}) {
	a := &c.agreement
	a.mu.Lock()
	defer a.mu.Unlock()
	a.beginEpoch()
	a.began = a.number + 1
	v.since = a.since
	c.view.Store(v)
	a.dissent, a.agreed, a.snapshot = make(map[string]uint64), make(map[string]bool), nil
	a.unconfirmed = make(map[string]bool)
	a.disputed.Store(0)
	a.announced = make(chan struct{})
	if a.offered != nil {
		close(a.offered)
	}
	a.offering, a.offered = make(map[string]bool), make(chan struct{})
	if a.departed == nil {
		a.departed = make(map[peer.Peer]clock.Instant)
	}
	for other, at := range a.departed {
		if v.since > at.Plus(longestDeparted) || v.member(other.Name()) != nil {
			delete(a.departed, other)
		}
	}
	var names []string
	for _, other := range left {
		a.departed[other] = v.since
		names = append(names, other.Name())
	}
	c.logs.recordDeparted(names)
	maps.DeleteFunc(a.observed, func(name string, _ observation) bool { return !v.lists(name) })
	maps.DeleteFunc(a.tokens, func(name string, _ token) bool { return !v.lists(name) })
	return a.announced
}

// Before returns the peer that owned key until the view changed, and when that was: nil, if it
// is this process or not known.
func (c *Cluster) Before(key string) (peer.Peer, clock.Instant) {
	v := c.view.Load()
	if c.stateless {
		return nil, 0
	}
	if v.before == nil {
		// A process that has just come owns what the next on the ring did.
		return c.Pick(key, 1), v.since
	}
	if v.before.peers == nil { // so long ago that it is forgotten
		return nil, v.since
	}
	return v.before.peers[v.before.ring.OwnerIndex(key)], v.since
}

// resetView puts the view of the peers in place that are present now. The caller holds c.mu.
func (c *Cluster) refreshView() {
	if c.closed.Load() {
		return
	}
	if err := c.setView(false); err != nil { // the peers were good enough when they were listed
		c.log.Error("a peer has left or is back, and the last view stands", "err", err)
	}
}

// viewChanges bounds how often the view changes because of what peers say. A change costs
// every process a message to every other.
type changeRate struct {
	perSecond int
	available float64       // of those that may come at once
	updated   clock.Instant // when left was looked at last
	waiting   bool          // a change is due, and will come
}

// take returns how long a change has to wait: zero, if it may come now.
func (r *changeRate) reserve() time.Duration {
	now, most := clock.Now(), float64(r.perSecond)
	if r.updated == 0 {
		r.available = most
	} else {
		r.available = min(most, r.available+most*time.Duration(now-r.updated).Seconds())
	}
	r.updated = now
	if r.available >= 1 {
		r.available--
		return 0
	}
	return time.Duration((1 - r.available) / most * float64(time.Second))
}

// changeView puts the view of the peers in place that are present now, at once if there were
// few changes lately. Others wait, and come in one. The caller holds c.mu.
func (c *Cluster) refreshViewSoon() {
	if c.viewRate.waiting || c.closed.Load() {
		return
	}
	wait := c.viewRate.reserve()
	if wait == 0 {
		c.refreshView()
		return
	}
	c.viewRate.waiting = true
	c.background.Go(func() {
		clock.Pause(c.life, wait)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.viewRate.waiting = false
		c.refreshViewSoon()
	})
}
