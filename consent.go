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

// agree waits until the peers that can be reached have heard of the view, and none is known
// to have another one; not longer than they need as a rule, because they may never agree.
func (p *HTTPPool) agree(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mostAgreeing)
	defer cancel()
	if p.settled(ctx) != nil {
		return
	}
	for {
		a := p.agreement()
		if a.dissenter == "" {
			return
		}
		select {
		case <-a.next:
		case <-ctx.Done():
			return
		}
	}
}

// mostAgreeing is how long Join waits for the peers to have its view. Until they have, the
// process keeps nothing of what it loads.
const mostAgreeing = time.Second

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
