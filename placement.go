package peercache

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/cluster"
	"github.com/peercache/peercache/internal/failpoint"
	"github.com/peercache/peercache/peer"
)

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

// placement knows whose key is whose, and whose it was before the view changed.
type placement struct {
	picker PeerPicker       // nil for a local cache
	peers  topology         // of picker
	home   *cluster.Cluster // with which the group is registered, also where picker only wraps its pool; may be nil

	consistent bool // see WithConsistency
	standIn    time.Duration
	pullTime   time.Duration // for which a load waits for the previous owner
	// changed is nil until the first change of a key within the stand-in time of a change of
	// the view.
	changed atomic.Pointer[changedKeys]
	planted failpoint.Bug
}

// alone reports whether the group is a local cache.
func (p *placement) alone() bool { return p.picker == nil }

// pick returns the n-th peer for key in the ring's order, or nil if the key is
// this process's to load.
func (p *placement) pick(key string, n int) Peer { return p.peers.Pick(key, n) }

// lapsed reports whether the caches must be bypassed, for reads and writes.
func (p *placement) lapsed() bool { return p.consistent && p.peers.Lapsed() }

// misplaced reports whether this process has the name of another one: what it keeps would not
// be dropped by the changes of others.
func (p *placement) misplaced() bool { return p.home != nil && p.home.Misplaced() }

// ownProblem returns what is wrong at the address of this process, or nil. Its peers cannot
// ask there whether what is said in its name is true, so they believe none of it.
func (p *placement) ownProblem() error {
	if p.home == nil {
		return nil
	}
	return p.home.OwnProblem()
}

// settle waits until the peers have heard of the view.
//
// A value that is loaded under a new view is not kept before that. Else a peer that has
// the old one, and changes the key, would tell those that are on its preference list, be told
// that all is well, and the new owner would go on with the old value.
func (p *placement) settle(ctx context.Context) error { return p.peers.Settled(ctx) }

// recordChange records a change for those who restart.
func (p *placement) recordChange(c *Change) {
	if p.home != nil {
		p.home.RecordChange(c)
	}
}

// peerNames returns the names of all peers but this process.
func (p *placement) peerNames() []string {
	var names []string
	for _, peer := range p.peers.Peers() {
		names = append(names, peer.Name())
	}
	return names
}

// WithoutOwnership makes this process one that asks and owns nothing, such as a gateway, a
// command-line tool, or a job that lives for a short time. It gets values from their owners, keeps
// copies of those that it asks for often, and may Remove, Set and Clear. No key is ever its own, so
// that no key moves when it comes or goes: it loads a key only if none of those that would can be
// reached, and keeps nothing then. Before its first list, all its Gets are of that kind.
//
// Its peers have to reach it, to tell it of changes. Therefore all of them know it as one that owns
// nothing, by their lists: it is listed as discovery.OwningNothing says, in its own list too, while
// the self of NewHTTPPool is its URL as ever. A discovery that registers the process does so by
// itself; for one that does not, see discovery.WithoutOwnership. Set refuses a list that has this
// process as an owner. If a discovery has it so, the list counts, because it is that of the others as
// well; Ready fails with a ConfigError meanwhile, and there is one warning.
//
// It is not for WithGroupcacheCompat, nor for groups with a WithSnapshot.
func WithoutOwnership() PoolOption {
	return func(o *poolOptions) error {
		o.cluster.OwnsNothing = true
		return nil
	}
}

// rank is what this process is to a key.
type rank int

const (
	asOwner      rank = iota
	asStandIn         // one of the next peers on the key's preference list
	asNonReplica      // not on that list: it keeps no value but as a copy
)

// rank returns what this process is to key, by the key's preference list: its owner and the
// peers that stand in for it.
func (p *placement) rank(key string) rank {
	if p.misplaced() || !p.peers.Owns() {
		return asNonReplica
	}
	for n := range cluster.Candidates {
		if p.pick(key, n) != nil {
			continue
		}
		if r, disputed := p.disputed(key, n == 0); disputed {
			return r
		}
		if n == 0 {
			return asOwner
		}
		return asStandIn
	}
	return asNonReplica
}

// disputed reports whether a peer with another view may consider another process the owner
// of key, and this process's role meanwhile.
//
// That peer would tell the other process of changes. So this process keeps nothing for the
// time of a stand-in: as a rule the views soon agree. If they do not, it keeps values for a
// time, so that the origin is not asked for each Get.
func (p *placement) disputed(key string, owner bool) (r rank, disputed bool) {
	since := p.peers.DisputedSince()
	if since == 0 {
		return 0, false
	}
	if before, _ := p.peers.Before(key); owner && before == nil {
		return 0, false // it was the owner under the view before as well
	}
	if clock.Now() < since.Plus(p.standIn) {
		return asNonReplica, true
	}
	return asStandIn, true
}

// topology is what a group needs of its peers: who they are, and how far they agree. A
// cluster is one. fixed is for a PeerPicker of the user's own, and none for a local cache.
type topology interface {
	// Pick returns the n-th peer for key in the ring's order, or nil if that is this process,
	// or there are no more than n.
	Pick(key string, n int) Peer
	// Peers returns all peers but this process.
	Peers() []Peer
	// Owns reports whether this process may own keys. If not, it is on no preference list.
	Owns() bool
	// Knows reports whether a peer of that name is in the view.
	Knows(name string) bool
	// Settled returns when the peers that can be reached have heard of the view, or ctx has
	// ended.
	Settled(ctx context.Context) error
	// IsSettled reports whether they have.
	IsSettled() bool
	// Agreement returns how far the peers agree now.
	Agreement() cluster.Agreement
	// DisputedSince returns since when a peer has been known to have another view. Zero means
	// that none has.
	DisputedSince() clock.Instant
	// Reconcile asks a peer that had another view which it has now, and returns what the
	// difference is, for people to read; empty, if there is none or it is not known.
	Reconcile(ctx context.Context, name string) (difference string)
	// Lapsed reports whether the peers may have a view without this process.
	Lapsed() bool
	// Before returns the peer that owned key until the view changed, and when that was. The
	// peer is nil if it is this process or not known.
	Before(key string) (Peer, clock.Instant)
	// TellDeparted tells peers that left the view of a change. The returned func waits for
	// those that have not failed before.
	TellDeparted(ctx context.Context, peers []Peer, c Change) (wait func())
}

// topologyOf returns the topology of a group's picker, which may be nil.
func topologyOf(p PeerPicker) topology {
	switch p := p.(type) {
	case nil:
		return none{}
	case *HTTPPool:
		return p.cluster
	case *Pool:
		return p.cluster
	case interface{ clustered() *cluster.Cluster }:
		return overridden{p.clustered(), p.(PeerPicker)}
	}
	return fixed{picker: p}
}

// overridden is a cluster whose peers are picked by a type of the user's own that embeds the
// pool.
type overridden struct {
	*cluster.Cluster
	picker PeerPicker
}

func (o overridden) Pick(key string, n int) Peer { return o.picker.Pick(key, n) }
func (o overridden) Peers() []Peer               { return o.picker.Peers() }

// agreeing is the part of a topology whose peers always agree.
type agreeing struct{}

func (agreeing) Owns() bool                                                 { return true }
func (agreeing) Settled(context.Context) error                              { return nil }
func (agreeing) IsSettled() bool                                            { return true }
func (agreeing) DisputedSince() clock.Instant                               { return 0 }
func (agreeing) Reconcile(context.Context, string) string                   { return "" }
func (agreeing) Lapsed() bool                                               { return false }
func (agreeing) Before(string) (Peer, clock.Instant)                        { return nil, 0 }
func (agreeing) TellDeparted(context.Context, []Peer, Change) (wait func()) { return func() {} }

// fixed is the topology of a PeerPicker that says only who the peers are.
type fixed struct {
	picker PeerPicker
	agreeing
}

func (f fixed) Pick(key string, n int) Peer  { return f.picker.Pick(key, n) }
func (f fixed) Peers() []Peer                { return f.picker.Peers() }
func (f fixed) Agreement() cluster.Agreement { return cluster.Agreement{Peers: f.Peers()} }

func (f fixed) Knows(name string) bool {
	for _, p := range f.Peers() {
		if p.Name() == name {
			return true
		}
	}
	return false
}

// none is the topology of a group without peers.
type none struct{ agreeing }

func (none) Pick(string, int) Peer        { return nil }
func (none) Peers() []Peer                { return nil }
func (none) Agreement() cluster.Agreement { return cluster.Agreement{} }
func (none) Knows(string) bool            { return false }

// poolOf returns the pool that a picker is, or nil.
func poolOf(p PeerPicker) *Pool {
	switch p := p.(type) {
	case *Pool:
		return p
	case *HTTPPool:
		if p != nil {
			return p.Pool
		}
	}
	return nil
}
