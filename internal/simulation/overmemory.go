package simulation

import (
	"context"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/peer"
	"github.com/peercache/peercache/peertest"
)

// memoryNetwork carries what the processes say as Go values.
type memoryNetwork struct {
	*peertest.Network
	transport peer.Transport
}

func newMemoryNetwork(s *scenario) network {
	n := &memoryNetwork{Network: peertest.New(s.seed, peertest.WithDetection(s.detect), peertest.WithLarge(largeValue))}
	n.SetLatency(s.link.MinLatency, s.link.MaxLatency)
	if s.link.Loss > 0 { // what is lost is not sent again, as TCP does, but one process takes its time
		n.SetLoss(s.link.Loss)
		for i := range s.hosts {
			n.SetLinkLatency(nameOf(s.members[0]), nameOf(i), s.link.MinLatency, s.link.MaxLatency+s.link.RetransmitAfter)
		}
	}
	var opts []peertest.TransportOption
	if s.plain {
		opts = append(opts, peertest.WithoutStarter())
	}
	n.transport = n.Transport(opts...)
	return n
}

func (n *memoryNetwork) close() { n.Close() }

func (n *memoryNetwork) start(i int, opts []peercache.PoolOption, join func(pool) error) (pool, func(), error) {
	p, err := peercache.NewPool(nameOf(i), n.transport, opts...)
	if err != nil {
		return nil, nil, err
	}
	if err := join(p); err != nil {
		return nil, nil, err
	}
	return p, n.Serve(nameOf(i), p), nil
}

func (n *memoryNetwork) crash(i int) { n.Stop(nameOf(i)) }

func (n *memoryNetwork) powerOff(i int) { n.PowerOff(nameOf(i)) }

func (n *memoryNetwork) heal(hosts int) {
	n.HealAll()
	for i := range hosts {
		n.Resume(nameOf(i))
	}
}

// disturb does what comes next to what happens to a connection.
func (n *memoryNetwork) disturb(s step) {
	a, b := nameOf(s.host), nameOf(s.other)
	few := 1 + int(s.size/500)
	switch s.do {
	case doCut:
		n.CutBoth(a, b)
	case doCutOneWay:
		n.Cut(a, b)
	case doCutAfter:
		n.CutAfter(a, b, few)
	case doResetAfter:
		n.LoseAnswers(a, b, few)
		if s.size%2 == 0 {
			n.Refuse(b, a)
		}
	case doHeal:
		n.Heal(a, b)
	case doReset:
		n.Reset(a, b)
	case doFreeze:
		n.Hang(a)
	case doThaw:
		n.Resume(a)
	}
}

func (n *memoryNetwork) forge(ctx context.Context, to, as int, c *peer.Change) peer.State {
	conn := n.Transport(peertest.From("stranger")).Dial(stranger{nameOf(as)}, nameOf(to))
	defer conn.Close(ctx)
	changed, _ := conn.Change(ctx, c)
	return changed.State
}

// stranger is a process that says it is another one.
type stranger struct{ as string }

// Identity implements peer.Local.
func (s stranger) Identity() peer.Identity { return peer.Identity{Name: s.as} }

// Answered implements peer.Local.
func (stranger) Answered(peer.Identity, peer.Instant) error { return nil }

// Misconfigured implements peer.Local.
func (stranger) Misconfigured(peer.ConfigProblem, error) {}

// Degraded implements peer.Local.
func (stranger) Degraded(string, error) {}

// Counts implements peer.Local.
func (stranger) Counts() bool { return true }
