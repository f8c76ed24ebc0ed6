package cluster

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/peercache/peercache/consistenthash"
	"github.com/peercache/peercache/internal/breaker"
	"github.com/peercache/peercache/internal/clock"
	"github.com/peercache/peercache/internal/peerurl"
	"github.com/peercache/peercache/peer"
)

// fakeNet is a Transport without a network. Whoever it has no answer for cannot be reached.
type fakeNet struct {
	// change and ping answer for the peer of that name; nil: it is not reached.
	change func(name string, c *peer.Change) (peer.Changed, error)
	ping   func(name string) (peer.Identity, error)

	mu    sync.Mutex
	conns map[string][]*fakeConn // guarded by mu; by the name of the peer, the first one first
}

func (n *fakeNet) Check(name string) error { return peerurl.Check(name) }

func (n *fakeNet) Dial(_ peer.Local, name string) peer.Conn {
	c := &fakeConn{net: n, name: name}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = make(map[string][]*fakeConn)
	}
	n.conns[name] = append(n.conns[name], c)
	return c
}

// dialled returns how many peers there were conns to, and asked how many of them were asked
// for anything. This process itself does not count.
func (n *fakeNet) dialled() (names, asked map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	names, asked = make(map[string]bool), make(map[string]bool)
	for name, conns := range n.conns {
		if name == selfURL {
			continue
		}
		names[name] = true
		for _, c := range conns {
			if c.wasAsked() {
				asked[name] = true
			}
		}
	}
	return names, asked
}

// fakeConn is a Conn of a fakeNet.
type fakeConn struct {
	net  *fakeNet
	name string

	mu     sync.Mutex
	asked  bool // guarded by mu
	closed bool // guarded by mu
	woken  int  // guarded by mu
}

var errNoNetwork = errors.New("there is no network")

func (c *fakeConn) unreachable() error { return &peer.PeerError{Peer: c.name, Err: errNoNetwork} }

func (c *fakeConn) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = true
}

func (c *fakeConn) wasAsked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *fakeConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *fakeConn) Get(context.Context, *peer.Query) (peer.Answer, error) {
	c.ask()
	return peer.Answer{}, c.unreachable()
}

func (c *fakeConn) Change(_ context.Context, change *peer.Change) (peer.Changed, error) {
	c.ask()
	if c.net.change == nil {
		return peer.Changed{}, c.unreachable()
	}
	return c.net.change(c.name, change)
}

func (c *fakeConn) Ping(context.Context) (peer.Identity, error) {
	c.ask()
	if c.net.ping == nil {
		return peer.Identity{}, c.unreachable()
	}
	return c.net.ping(c.name)
}

func (c *fakeConn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken++
}

func (c *fakeConn) Replaced(uint32) {}

func (c *fakeConn) Close(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// fakeGroup is a Group that caches nothing.
type fakeGroup struct {
	name    string
	dropAll func() // may be nil
}

func (g *fakeGroup) Name() string          { return g.name }
func (g *fakeGroup) Pick(string, int) Peer { return nil }
func (g *fakeGroup) DropAll() {
	if g.dropAll != nil {
		g.dropAll()
	}
}
func (g *fakeGroup) Consistent() bool                                      { return true }
func (g *fakeGroup) ViewChanged(clock.Instant) []Moved                     { return nil }
func (g *fakeGroup) ServeChange(context.Context, Change) []Holder          { return nil }
func (g *fakeGroup) TakeOver(context.Context, string, Peer, clock.Instant) {}
func (g *fakeGroup) Drain(context.Context) error                           { return nil }
func (g *fakeGroup) HasSnapshot() bool                                     { return false }
func (g *fakeGroup) Restored() <-chan struct{}                             { return nil }
func (g *fakeGroup) Save(uint64, func() ([]byte, error)) error             { return nil }
func (g *fakeGroup) OutdateSnapshot() error                                { return nil }

// fakeConfig is one of a pool with its default options, and no limits that a test reaches.
func fakeConfig() Config {
	return Config{
		Detection: 500 * time.Millisecond, MaxPeers: 4096, MaxUnproven: 64, ViewChangeRate: 1 << 20,
		HandoverBytes: 256 << 20, HandoverTime: 10 * time.Second,
		Pace: &breaker.Pace{Rate: 64},
		Log:  slog.New(slog.DiscardHandler),
		Ring: func(names []string) (*consistenthash.Ring, error) {
			members := make([]consistenthash.Member, len(names))
			for i, name := range names {
				members[i].Name = name
			}
			return consistenthash.New(members...)
		},
		Handler: func(string) peer.Handler { return nil },
	}
}

// newFake makes a cluster over net with a fakeConfig that change has changed; change may be nil.
func newFake(t *testing.T, self string, net *fakeNet, change func(*Config)) *Cluster {
	t.Helper()
	cfg := fakeConfig()
	if change != nil {
		change(&cfg)
	}
	c, err := New(self, net, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// shutdown ends a cluster as a pool does.
func shutdown(ctx context.Context, c *Cluster) error {
	left, drained := c.Leave(ctx), c.Drain(ctx)
	c.CloseConns(ctx)
	return errors.Join(left, drained)
}
