package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Pick returns the n-th peer for key in the ring's order. nil means that it is this process, or
// that there are no more than n that own keys.
func (c *Cluster) Pick(key string, n int) peer.Peer {
	v := c.view.Load()
	if n >= len(v.owners) {
		return nil
	}
	if n == 0 {
		return v.owners[v.ring.OwnerIndex(key)]
	}
	return v.owners[v.ring.AppendSuccessors(nil, key, n+1)[n]]
}

// Peers returns all peers of the view but this process.
func (c *Cluster) Peers() []peer.Peer { return slices.Clone(c.view.Load().others) }

// Members returns what Peers does, as Members.
func (c *Cluster) Members() []*Member {
	others := c.view.Load().others
	all := make([]*Member, len(others))
	for i, p := range others {
		all[i] = p.(*Member)
	}
	return all
}

// Ring returns the ring of the view, which is nil if nobody owns anything, the names of its members,
// and of those that own nothing; the number of the view, since when it has been in place, and who is
// listed and is leaving, this process perhaps among them.
func (c *Cluster) Ring() (ring *consistenthash.Ring, owners, ownless []string, id uint64, since clock.Instant, leaving []string) {
	v := c.view.Load()
	owners = make([]string, len(v.owners))
	for i, p := range v.owners {
		if owners[i] = c.self; p != nil {
			owners[i] = p.Name()
		}
	}
	for _, name := range v.names {
		if v.nonOwners[name] {
			ownless = append(ownless, name)
		}
	}
	return v.ring, owners, ownless, v.id, v.since, slices.Sorted(slices.Values(v.absentNames))
}

// Knows reports whether the peer of that name is in the view.
func (c *Cluster) Knows(name string) bool { return c.view.Load().member(name) != nil }

// IsPeer reports whether the peer of that name is in the view, absent, or departed.
func (c *Cluster) IsPeer(name string) bool {
	if name == "" {
		return false
	}
	m, _ := c.findPeer(name)
	return m != nil || c.view.Load().isAbsent(name)
}

// findPeer returns the peer of that name that is in the view, or has departed, and then when it
// left the view. nil means that there is none.
func (c *Cluster) findPeer(name string) (m *Member, left clock.Instant) {
	if m := c.view.Load().member(name); m != nil {
		return m, 0
	}
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	for m, at := range c.agreement.departed {
		if m.name == name {
			return m, at
		}
	}
	return nil, 0
}

// checkFilters returns an error if a filter refuses a peer.
func (c *Cluster) checkFilters(name string) error {
	for _, allow := range c.filters {
		if err := callFilter(allow, name); err != nil {
			return fmt.Errorf("peer %q is refused by WithPeerFilter: %w", name, err)
		}
	}
	return nil
}

// checkPeer returns an error if name can be neither a peer nor this process itself.
func (c *Cluster) checkPeer(name string) error {
	if len(name) > peer.MaxPeerName {
		return fmt.Errorf("peer %s: want at most %d bytes", peerurl.Shown(name), peer.MaxPeerName)
	}
	if err := c.transport.Check(name); err != nil {
		return err
	}
	if len(name) < peer.MinPeerName {
		return fmt.Errorf("peer %q: want a name of at least %d bytes", name, peer.MinPeerName)
	}
	if name == c.self {
		return nil
	}
	return c.checkFilters(name)
}

// checkPeers returns an error if peers cannot be the list of this process.
func (c *Cluster) checkPeers(peers []string) error {
	if len(peers) == 0 {
		return errors.New("an empty list of peers: want the base URLs of all of them, this process's among them")
	}
	if len(peers) > c.maxPeers {
		return fmt.Errorf("a list of more than %d peers: want no more, or another WithMaxPeers", c.maxPeers)
	}
	seen := make(map[string]string, len(peers)) // by the spelling that all of one peer share
	for _, name := range peers {
		if err := c.checkPeer(name); err != nil {
			return err
		}
		spelled, err := peerurl.Spell(name)
		if err != nil { // it is no URL: another transport has other names
			spelled = name
		}
		switch other, twice := seen[spelled]; {
		case twice && other == name:
			return fmt.Errorf("peer %q stands twice in the list (what it owns does not make it two)", name)
		case twice:
			return fmt.Errorf("the peers %q and %q are one: want one of them in the list", other, name)
		}
		seen[spelled] = name
	}
	if !slices.Contains(peers, c.self) {
		return fmt.Errorf("the list of peers lacks this process, %q: %s", c.self, quote.Some(quote.All(peers)))
	}
	return nil
}

// checkOwners returns an error if nobody in a list owns anything, unless this process is alone and
// waits for its list.
func (c *Cluster) checkOwners(peers []string, owners int) error {
	if owners == 0 && (len(peers) > 1 || c.view.Load() != nil) {
		return errNobodyOwns
	}
	if owners < len(peers) && c.stateless {
		return errors.New("a peer in the list owns nothing: peers of golang/groupcache do not know of that")
	}
	return nil
}

// warnOfReach warns, once, if this process and a peer can hardly reach each other, because only
// one of them has an address of one machine.
func (c *Cluster) warnOfReach(peers []string) {
	own := peerurl.ReachOf(c.self)
	for _, name := range peers {
		switch other := peerurl.ReachOf(name); {
		case (own == peerurl.OneMachine) == (other == peerurl.OneMachine):
			continue
		case c.warnedOfReach.Swap(true):
		case own == peerurl.OneMachine:
			c.log.Warn("the others cannot reach this process, whose address is one of its machine alone: want the one that they know",
				"self", c.self, "peer", name)
		default:
			c.log.Warn("a peer has an address of one machine alone, where each machine finds itself: want the one by which others know it",
				"self", c.self, "peer", name)
		}
		return
	}
}

// callFilter calls a filter, and returns its panic as an error.
func callFilter(allow func(name string) error, name string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return allow(name)
}
