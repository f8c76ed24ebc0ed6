package cluster

import (
	"errors"
	"fmt"
	"slices"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Knows reports whether the peer of that name is in the view.
func (c *Cluster) Knows(name string) bool { return c.view.Load().member(name) != nil }

// allowed returns an error if a filter refuses a peer.
func (c *Cluster) checkFilters(name string) error {
	for _, allow := range c.filters {
		if err := callFilter(allow, name); err != nil {
			return fmt.Errorf("peer %q is refused by WithPeerFilter: %w", name, err)
		}
	}
	return nil
}

// checkPeer returns an error if name cannot be a peer of this pool, or this process itself.
func (c *Cluster) checkPeer(name string) error {
	if len(name) > peerurl.Longest {
		return fmt.Errorf("peer %s: want at most %d bytes", quote.Key(name), peerurl.Longest)
	}
	if err := c.transport.Check(name); err != nil {
		return err
	}
	if name == c.self {
		return nil
	}
	return c.checkFilters(name)
}

// checkPeers returns an error if peers cannot be a view of this process.
func (c *Cluster) checkPeers(peers []string) error {
	if len(peers) == 0 {
		return errors.New("an empty list of peers: want the base URLs of all of them, this process's among them")
	}
	if len(peers) > c.maxPeers {
		return fmt.Errorf("a list of more than %d peers: want no more, or another WithMaxPeers", c.maxPeers)
	}
	seen := make(map[string]string, len(peers)) // by the one way to spell them
	for _, name := range peers {
		if err := c.checkPeer(name); err != nil {
			return err
		}
		spelled, err := peerurl.Spell(name)
		if err != nil { // another transport's name
			spelled = name
		}
		switch other, twice := seen[spelled]; {
		case twice && other == name:
			return fmt.Errorf("peer %q stands twice in the list", name)
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

// warnOfReach warns if this process and others can hardly reach each other, because only one
// of them is at an address of one machine. It warns once.
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

// allowed calls a filter, and makes an error of its panic.
func callFilter(allow func(name string) error, name string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked: %v", r)
		}
	}()
	return allow(name)
}

// Pick returns the n-th peer for key in the ring's order; nil, if that is this process, or there
// are no more than n.
func (c *Cluster) Pick(key string, n int) peer.Peer {
	v := c.view.Load()
	if n == 0 {
		return v.peers[v.ring.OwnerIndex(key)]
	}
	if n >= len(v.peers) {
		return nil
	}
	return v.peers[v.ring.AppendSuccessors(nil, key, n+1)[n]]
}

// Peers returns all peers but this process.
func (c *Cluster) Peers() []peer.Peer { return slices.Clone(c.view.Load().others) }

// Members returns all peers but this process, in the order of the list.
func (c *Cluster) Members() []*Member {
	others := c.view.Load().others
	all := make([]*Member, len(others))
	for i, p := range others {
		all[i] = p.(*Member)
	}
	return all
}

// IsPeer reports whether a process of that name is in the view, or has just left it.
func (c *Cluster) IsPeer(name string) bool {
	if name == "" {
		return false
	}
	p, _ := c.findPeer(name)
	return p != nil || c.view.Load().isAbsent(name)
}

// peer returns the peer of that name that is in the view, or was lately, and then when it
// left; nil if there is none.
func (c *Cluster) findPeer(name string) (other peer.Peer, left clock.Instant) {
	if m := c.view.Load().member(name); m != nil {
		return m, 0
	}
	c.agreement.mu.Lock()
	defer c.agreement.mu.Unlock()
	for departed, at := range c.agreement.departed {
		if departed.Name() == name {
			return departed, at
		}
	}
	return nil, 0
}
