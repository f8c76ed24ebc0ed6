package simnet

import (
	"math/rand/v2"
	"slices"
	"time"
)

// Link says how a link carries bytes in each direction. The zero Link carries
// them at once.
type Link struct {
	// A segment is under way for a time between MinLatency and MaxLatency, each
	// equally likely.
	MinLatency, MaxLatency time.Duration
	// Bandwidth is in bytes a second, shared by all connections over the link;
	// 0: no limit.
	Bandwidth int64
	// Loss is the share of segments that are lost and sent again, which costs
	// each of them, and all behind it on its connection, RetransmitAfter (0:
	// 200 ms, the least that Linux takes).
	Loss            float64
	RetransmitAfter time.Duration
	// Segment is how many bytes travel together at most; 0: what one Write gave,
	// or 16 KiB where the bandwidth is limited. A small one makes for short
	// reads.
	Segment int
}

const (
	leastRetransmit  = 200 * time.Millisecond
	segmentOnTheWire = 16 << 10
)

// SetLatency gives all links, but those set with SetLinkBetween, a latency
// between min and max. A host's link to itself has none.
func (n *Network) SetLatency(min, max time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.profile.MinLatency, n.profile.MaxLatency = min, max
}

// SetLink describes all links but those set with SetLinkBetween, and but those
// of a host to itself. It counts for what is sent from now on.
func (n *Network) SetLink(l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.profile = l
}

// SetLinkBetween describes the link between two hosts, in both directions.
func (n *Network) SetLinkBetween(a, b string, profile Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.pair(a, b) {
		l.own = &profile
	}
}

const noLimit = -1

// link carries bytes from one machine to another. All fields but the first are
// guarded by Network.mu.
type link struct {
	net      *Network
	from, to *machine
	hash     uint64

	own     *Link // nil: Network.profile
	cut     bool
	stopped bool  // cut by CutAfter: what is under way still arrives
	limit   int64 // bytes until something happens, or noLimit
	reset   bool  // what happens then is a reset, not a cut

	// What the pipes were last told of. A link that does not move takes what is
	// sent and holds it; one that is blocked holds what is under way, too.
	wasBlocked, wasMoving bool

	pipes  []*pipe
	opened uint64    // connections that were dialled over it
	busy   instant   // when the last byte that was sent has left, where bandwidth is limited
	rng    *rand.PCG // for handshakes
	stats  LinkStats
}

// settings returns the description that counts for the link.
func (l *link) settings() *Link {
	switch {
	case l.own != nil:
		return l.own
	case l.from == l.to:
		return &Link{}
	default:
		return &l.net.profile
	}
}

// blocked reports whether nothing gets through between the machines.
func (l *link) blocked() bool {
	return l.cut || l.from.off || l.to.off || l.from != l.to && (l.from.isolated || l.to.isolated)
}

// moving reports whether what is sent now gets on its way.
func (l *link) moving() bool { return !l.blocked() && !l.stopped && !l.from.frozen }

// heal ends what was done to this link, as opposed to its hosts.
func (l *link) heal() { l.cut, l.stopped, l.limit = false, false, noLimit }

// settle tells the pipes what has changed.
func (l *link) settle(now instant) {
	blocked, moving := l.blocked(), l.moving()
	if blocked && !l.wasBlocked {
		for _, p := range l.pipes {
			p.hold(now)
		}
	}
	if moving && !l.wasMoving {
		for _, p := range l.pipes {
			p.release(now)
		}
	}
	l.wasBlocked, l.wasMoving = blocked, moving
}

// trip does what was to happen after so many bytes, the last of which p has
// just taken.
func (l *link) trip(p *pipe, now instant) {
	l.limit = noLimit
	if l.reset {
		l.net.emit(WasReset, l.from.name, l.to.name)
		p.breakAt(now, max(now, p.last))
		return
	}
	l.stopped = true
	l.settle(now)
	l.net.emit(WasCut, l.from.name, l.to.name)
	l.net.ringDials()
}

// leave returns when size bytes that are sent now have left for the other side.
func (l *link) leave(now instant, size int) instant {
	s := l.settings()
	if s.Bandwidth <= 0 {
		return now
	}
	l.busy = max(l.busy, now) + time.Duration(float64(size)/float64(s.Bandwidth)*float64(time.Second))
	return l.busy
}

// delay draws the time that a segment is under way.
func (l *Link) delay(rng *rand.PCG) time.Duration {
	d := l.MinLatency
	if spread := l.MaxLatency - l.MinLatency; spread > 0 {
		d += time.Duration(rng.Uint64() % uint64(spread+1))
	}
	if l.Loss > 0 {
		again := l.RetransmitAfter
		if again <= 0 {
			again = leastRetransmit
		}
		for lost, n := chance(rng, l.Loss), 0; lost && n < 6; lost, n = chance(rng, l.Loss), n+1 {
			d += again << n // TCP doubles its patience each time
		}
	}
	return d
}

func chance(rng *rand.PCG, p float64) bool { return float64(rng.Uint64()>>11)/(1<<53) < p }

// segment returns how many of size bytes travel together.
func (l *Link) segment(size int) int {
	switch {
	case l.Segment > 0:
		return min(size, l.Segment)
	case l.Bandwidth > 0:
		return min(size, segmentOnTheWire)
	default:
		return size
	}
}

// forget drops a pipe that nobody holds an end of.
func (l *link) forget(p *pipe) {
	if i := slices.Index(l.pipes, p); i >= 0 {
		l.pipes = slices.Delete(l.pipes, i, i+1)
	}
}
