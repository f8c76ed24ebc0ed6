// Package direct has clusters in one process, whose peers call each other and count the
// changes that they are told of. They are for statements about how many messages
// something costs, which holds on any transport: a cluster of 1,000 peers takes
// no connection.
//
// Nobody comes or leaves, so all peers always have the same view. A cluster of pools (package
// peertest) would have each of them watch all others: for 1,000 peers, a million of them, and as
// many messages about views among those that are counted.
package direct

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/consistenthash"
)

// Cluster is a number of peers with one group each.
type Cluster struct {
	ring  *consistenthash.Ring
	nodes []*node

	toCandidates, toHolders atomic.Int64
}

// Messages says how many peers were told of changes.
type Messages struct {
	ToCandidates int64 // and asked to tell the holders
	ToHolders    int64 // or to anybody else, without being asked for that
}

// New makes a cluster of n peers, whose groups NewGroup makes of the other arguments.
func New(n int, bytes int64, getter peercache.Getter, opts ...peercache.GroupOption) (*Cluster, error) {
	c := &Cluster{}
	members := make([]consistenthash.Member, n)
	for i := range members {
		members[i].Name = fmt.Sprintf("http://peer-%d", i)
		c.nodes = append(c.nodes, &node{cluster: c, at: i, name: members[i].Name})
	}
	ring, err := consistenthash.New(members...)
	if err != nil {
		return nil, err
	}
	c.ring = ring
	for _, n := range c.nodes {
		if _, err := peercache.NewGroup("direct", bytes, getter, append(slices.Clone(opts), peercache.WithPeers(n))...); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Group returns the group of the i-th peer.
func (c *Cluster) Group(i int) *peercache.Group { return c.nodes[i].group }

// InTurn returns all peers in the ring's order for key: its owner, those that stand in
// for it, and the others.
func (c *Cluster) InTurn(key string) []int { return c.ring.AppendSuccessors(nil, key, len(c.nodes)) }

// Messages returns how many there have been since it was last called.
func (c *Cluster) Messages() Messages {
	return Messages{c.toCandidates.Swap(0), c.toHolders.Swap(0)}
}

// node is a peer as its own group sees it: the PeerPicker.
type node struct {
	cluster *Cluster
	at      int
	name    string
	group   *peercache.Group

	once   sync.Once
	others []peercache.Peer // made when they are first asked for
}

// Register implements peercache.PeerPicker.
func (n *node) Register(g *peercache.Group) error {
	n.group = g
	return nil
}

// Pick implements peercache.PeerPicker.
func (n *node) Pick(key string, rank int) peercache.Peer {
	ring := n.cluster.ring
	if rank >= ring.Len() {
		return nil
	}
	at := ring.OwnerIndex(key)
	if rank > 0 {
		at = ring.AppendSuccessors(nil, key, rank+1)[rank]
	}
	if at == n.at {
		return nil
	}
	return peer{n, n.cluster.nodes[at]}
}

// Peers implements peercache.PeerPicker.
func (n *node) Peers() []peercache.Peer {
	n.once.Do(func() {
		for _, to := range n.cluster.nodes {
			if to != n {
				n.others = append(n.others, peer{n, to})
			}
		}
	})
	return n.others
}

// peer is a node as another one sees it.
type peer struct{ from, to *node }

// Name implements peercache.Peer.
func (p peer) Name() string { return p.to.name }

// Get implements peercache.Peer.
func (p peer) Get(ctx context.Context, q peercache.Query) (peercache.Answer, error) {
	q.From = p.from.name
	a, err := p.to.group.ServeGet(ctx, q)
	a.Value = slices.Clone(a.Value) // the caller's to keep
	return a, err
}

// Change implements peercache.Peer.
func (p peer) Change(ctx context.Context, c peercache.Change) ([]peercache.Holder, error) {
	c.From = p.from.name
	if c.Holders {
		p.from.cluster.toCandidates.Add(1)
	} else {
		p.from.cluster.toHolders.Add(1)
	}
	return p.to.group.ServeChange(ctx, c), nil
}
