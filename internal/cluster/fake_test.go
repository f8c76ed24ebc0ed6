package cluster

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
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
	names map[string]bool // guarded by mu; those that there is, or was, a Conn to
}

func (n *fakeNet) Check(name string) error { return peerurl.Check(name) }

func (n *fakeNet) Dial(_ peer.Local, name string) peer.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names == nil {
		n.names = make(map[string]bool)
	}
	n.names[name] = true
	return &fakeConn{net: n, name: name}
}

// dialled returns the names of all that there is, or was, a Conn to. This process itself does
// not count.
func (n *fakeNet) dialled() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := maps.Clone(n.names)
	delete(names, selfURL)
	return names
}

// fakeConn is a Conn of a fakeNet.
type fakeConn struct {
	net  *fakeNet
	name string

	closed atomic.Bool
}

var errNoNetwork = errors.New("there is no network")

func (c *fakeConn) unreachable() error { return &peer.PeerError{Peer: c.name, Err: errNoNetwork} }

func (c *fakeConn) Get(context.Context, *peer.Query) (peer.Answer, error) {
	return peer.Answer{}, c.unreachable()
}

func (c *fakeConn) Change(ctx context.Context, change *peer.Change) (peer.Changed, error) {
	if c.net.change == nil || ctx.Err() != nil {
		return peer.Changed{}, c.unreachable()
	}
	return c.net.change(c.name, change)
}

func (c *fakeConn) Ping(context.Context) (peer.Identity, error) {
	if c.net.ping == nil {
		return peer.Identity{}, c.unreachable()
	}
	return c.net.ping(c.name)
}

func (c *fakeConn) Wake()                 {}
func (c *fakeConn) Replaced(uint32)       {}
func (c *fakeConn) Close(context.Context) { c.closed.Store(true) }

// fakeGroup is a Group that caches nothing.
type fakeGroup struct {
	name    string
	dropAll func() // may be nil
}

func (g *fakeGroup) Name() string               { return g.name }
func (g *fakeGroup) Pick(string, int) peer.Peer { return nil }
func (g *fakeGroup) DropAll() {
	if g.dropAll != nil {
		g.dropAll()
	}
}
func (g *fakeGroup) Consistent() bool                                                    { return true }
func (g *fakeGroup) ViewChanged(clock.Instant, bool) []Moved                             { return nil }
func (g *fakeGroup) ServeChange(context.Context, peer.Change, func() bool) []peer.Holder { return nil }
func (g *fakeGroup) TakeOver(context.Context, string, peer.Peer, clock.Instant)          {}
func (g *fakeGroup) Drain(context.Context) error                                         { return nil }
func (g *fakeGroup) HasSnapshot() bool                                                   { return false }
func (g *fakeGroup) Restored() <-chan struct{}                                           { return nil }
func (g *fakeGroup) Save(uint64, func() ([]byte, error)) error                           { return nil }
func (g *fakeGroup) OutdateSnapshot() error                                              { return nil }
func (g *fakeGroup) OutOfTouch(bool)                                                     {}
func (g *fakeGroup) LeaseAll(string, time.Duration, uint64, uint64) (time.Duration, uint64) {
	return 0, 0
}

// fakeConfig returns a Config with the default options of a pool, and no limits that a test
// reaches.
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
		Handler: func(peer.Identity) peer.Handler { return nil },
	}
}

// newFake makes a cluster over net with a fakeConfig that change has changed; change may be
// nil.
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
