package peercache

import "github.com/peercache/peercache/peer"

// What peers say to each other is defined in package peer, for those who write a transport.
type (
	// A Peer is another process of the cluster, as a Group sees it.
	Peer = peer.Peer
	// Query is what a peer is asked for.
	Query = peer.Query
	// Answer is a peer's answer to a Query.
	Answer = peer.Answer
	// Change tells a peer that values are not valid any more.
	Change = peer.Change
	// Holder is a peer that could not be told of a change.
	Holder = peer.Holder
	// Nesting says what a Get is made inside of.
	Nesting = peer.Nesting
)

// The Nestings.
const (
	TopLevel = peer.TopLevel // nothing that counts
	InLoad   = peer.InLoad   // a load
	InSlot   = peer.InSlot   // a load that holds a slot, or that such a load waits for
)

// A PeerPicker knows who the peers are. It is the seam between a Group and any
// transport; HTTPPool is one. Its methods are called concurrently, and must not panic, as
// those of a Cache.
type PeerPicker interface {
	// Register tells the picker of a group that is to answer the peers, before
	// the group's first Get. It answers them with ServeGet and ServeChange. An
	// error is NewGroup's: a second group of one name, for instance.
	Register(g *Group) error
	// Pick returns the n-th peer for key in the ring's order, 0 being its
	// owner. It returns nil where that is this process itself, and where there
	// are no more than n peers.
	Pick(key string, n int) Peer
	// Peers returns all peers but this process.
	Peers() []Peer
}
