package peercache

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"
)

// agreement says how far the peers of a view are known to have that view.
type agreement struct {
	epoch    uint64          // a higher one with each change of what follows
	since    Instant         // when a peer last began to have another view, or came anew; 0: never
	peers    []Peer          // of the view, without this process
	departed []Peer          // that were in a view before
	agreed   map[string]bool // peers that were heard to have the view; not to be written to
	// dissenter is a peer that has another view, or empty if none is known.
	dissenter string
	next      <-chan struct{} // closed when there is a later epoch
}

// changing reports whether values may be with peers that the view does not make their
// candidates. They are no longer than a stand-in's time d after the last change.
func (a *agreement) changing(d time.Duration) bool { return a.since != 0 && Now() < a.since+Instant(d) }

// confirmed reports whether a peer was heard to have the view. One that was not may take
// itself for the owner of any key.
func (a *agreement) confirmed(p Peer) bool { return a.agreed == nil || a.agreed[p.Name()] }

// agreement returns how far the group's peers agree. A PeerPicker that does not know
// has peers that always do.
func (g *Group) agreement() agreement {
	if v, ok := g.peers.(viewer); ok {
		return v.agreement()
	}
	return agreement{peers: g.peers.Peers()}
}

// reconcile waits until the peer that has another view than this process has changed its
// mind, or some time has passed.
func (g *Group) reconcile(ctx context.Context, state agreement) error {
	g.peers.(viewer).reconcile(ctx, state.dissenter)
	again := time.NewTimer(jitter(retellAfter))
	defer again.Stop()
	select {
	case <-state.next:
		return nil
	case <-again.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle waits until the peers have heard of the view.
//
// A value that is loaded under a new view is not kept before that. Else a peer that has
// the old one, and changes the key, would tell those that it takes for the candidates,
// be told that all is well, and the new owner would go on with the old value.
func (g *Group) settle(ctx context.Context) error {
	if v, ok := g.peers.(viewer); ok {
		return v.settled(ctx)
	}
	return nil
}

// previous returns the peer that owned key before the view changed, for a while after;
// nil, if there is none but this process.
func (g *Group) previous(key string) Peer {
	v, ok := g.peers.(viewer)
	if !ok {
		return nil
	}
	peer, since := v.before(key)
	if Now() >= since+Instant(g.times.standIn) {
		return nil
	}
	return peer
}

// handedOver gets key from its previous owner, if it is cached there: so a change of the
// view costs no loads.
func (g *Group) handedOver(ctx context.Context, key string, previous Peer) (Entry, bool) {
	asked := Now()
	ctx, cancel := context.WithTimeout(ctx, min(g.loadTimeout/4, mostHandover))
	defer cancel()
	a, err := previous.Get(ctx, Query{Group: g.name, Key: key, CachedOnly: true})
	if err != nil || a.TTL < 0 {
		return Entry{}, false
	}
	fresh := expiry(asked, a.TTL)
	if fresh != 0 && fresh <= Now() { // who has come meanwhile must not get it
		return Entry{}, false
	}
	e := Entry{View: viewOfOwn(a.Value)}
	e.Expires = g.times.end(e, fresh)
	g.stats.handovers.Add(1)
	return e, true
}

// mostHandover is how long a load waits for the previous owner, if a quarter of its time is
// more.
const mostHandover = time.Second

// viewChanged limits the time of the values that this process keeps as an owner and does
// not own any more. Until it is over, changes go to everybody, and the new owner may
// get the value from here.
func (g *Group) viewChanged(at Instant) {
	g.main.Range(func(key string, e Entry) bool {
		if e.Lease == 0 && g.rank(key) != asOwner {
			e.Lease, e.Former = at+Instant(g.times.standIn), true
			g.main.Renew(key, e)
		}
		return true
	})
}

// consent is what a pool knows of the views of its peers.
type consent struct {
	mu        sync.Mutex
	epoch     uint64            // guarded by mu
	since     Instant           // guarded by mu
	next      chan struct{}     // guarded by mu; closed and made anew with each epoch
	dissent   map[string]uint64 // guarded by mu; the views of peers that have another one
	agreed    map[string]bool   // guarded by mu; never written to, but swapped whole: the peers that have this one
	doubtful  atomic.Int64      // written with mu held: the Instant at which there was the first of these, or 0
	departed  map[Peer]Instant  // guarded by mu; peers that left the view, and when
	announced chan struct{}     // guarded by mu; closed when the peers have heard of the view
}

// newEpoch takes note of a change. c.mu is held.
func (c *consent) newEpoch() {
	c.epoch++
	c.since = Now()
	if c.next != nil {
		close(c.next)
	}
	c.next = make(chan struct{})
}

// longestDeparted is for how long a peer that left the view is told of changes.
const longestDeparted = 2 * longestParting

// newView puts a view in place, in one step with what agreement returns. The channel is
// to be closed when the peers have heard of the view; left are those that have no part
// in it any more.
func (p *HTTPPool) newView(v *view, left []Peer) (announced chan struct{}) {
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newEpoch()
	v.since = c.since
	p.view.Store(v)
	c.dissent, c.agreed = make(map[string]uint64), make(map[string]bool)
	c.doubtful.Store(0)
	c.announced = make(chan struct{})
	if c.departed == nil {
		c.departed = make(map[Peer]Instant)
	}
	for peer, at := range c.departed {
		if v.since > at+Instant(longestDeparted) || v.has(peer.Name()) != nil {
			delete(c.departed, peer)
		}
	}
	for _, peer := range left {
		c.departed[peer] = v.since
	}
	return c.announced
}

// has returns the peer of that name, or nil.
func (v *view) has(name string) *httpPeer {
	for _, p := range v.others {
		if p.Name() == name {
			return p.(*httpPeer)
		}
	}
	return nil
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

// announce tells the peers of the view, and learns which they have.
func (p *HTTPPool) announce(v *view, announced chan struct{}) {
	defer close(announced)
	ctx, cancel := context.WithTimeout(context.Background(), p.detectionTime())
	defer cancel()
	var all errgroup.Group
	all.SetLimit(announceAtOnce)
	for _, peer := range v.others {
		if p.compat {
			break // golang/groupcache knows of no views
		}
		all.Go(func() error {
			peer.Change(ctx, Change{Announced: true}) // who cannot be reached is not asked
			return nil
		})
	}
	all.Wait()
}

// announceAtOnce is how many peers are told of the view at the same time.
const announceAtOnce = 64

// heard takes note of the view that a peer has. If anew is true the peer has just begun
// to have it: it may be a process that has just started.
func (p *HTTPPool) heard(peer string, id uint64, anew bool) {
	if id == 0 || peer == p.self {
		return
	}
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	v := p.view.Load()
	h := v.has(peer)
	if h == nil {
		return // it has no part in what this process promises
	}
	was, dissented := c.dissent[peer]
	if id == v.id && !c.agreed[peer] {
		c.agreed = maps.Clone(c.agreed)
		c.agreed[peer] = true
	}
	if id == v.id {
		delete(c.dissent, peer)
	} else {
		c.dissent[peer] = id
		h.disagreements.Add(1)
	}
	switch {
	case len(c.dissent) == 0:
		c.doubtful.Store(0)
	case c.doubtful.Load() == 0:
		c.doubtful.Store(int64(Now()))
	}
	if anew || dissented != (id != v.id) || was != 0 && was != id {
		c.newEpoch()
	}
	if anew && h.link != nil {
		h.link.hurry()
	}
}

// agreement implements viewer.
func (p *HTTPPool) agreement() agreement {
	c := &p.consent
	c.mu.Lock()
	defer c.mu.Unlock()
	a := agreement{epoch: c.epoch, since: c.since, peers: p.view.Load().others, agreed: c.agreed, next: c.next}
	for peer := range c.dissent {
		if a.dissenter == "" || peer < a.dissenter {
			a.dissenter = peer
		}
	}
	for peer := range c.departed {
		a.departed = append(a.departed, peer)
	}
	return a
}

// doubtful implements viewer.
func (p *HTTPPool) doubtful() Instant { return Instant(p.consent.doubtful.Load()) }

// reconcile implements viewer.
func (p *HTTPPool) reconcile(ctx context.Context, peer string) {
	if h := p.view.Load().has(peer); h != nil {
		h.Change(ctx, Change{}) // what it says is heard, and if it says nothing, that is known
	}
}

// settled implements viewer.
func (p *HTTPPool) settled(ctx context.Context) error {
	p.consent.mu.Lock()
	announced := p.consent.announced
	p.consent.mu.Unlock()
	select {
	case <-announced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// before implements viewer.
func (p *HTTPPool) before(key string) (Peer, Instant) {
	v := p.view.Load()
	if p.compat { // golang/groupcache would load it
		return nil, 0
	}
	if v.before == nil {
		// A process that has just come owns what the next on the ring did.
		return p.Pick(key, 1), v.since
	}
	return v.before.peers[v.before.ring.OwnerIndex(key)], v.since
}
