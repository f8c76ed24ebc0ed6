package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-sockaddr"
	"github.com/hashicorp/memberlist"

	"github.com/peercache/peercache/discovery"
)

const (
	// firstJoin bounds how long the first view waits for the first attempt to join.
	firstJoin = time.Second

	// settle is how long a change waits for others that come with it, so that a
	// start of many processes is a few views and not one for each.
	settle = 20 * time.Millisecond

	// longestLeave bounds how long Run stays to tell the others that it leaves.
	longestLeave = 1500 * time.Millisecond
)

// Gossip is a discovery.Discovery that needs no server. It is made by New.
type Gossip struct {
	bind      netip.AddrPort // port 0 picks a free one
	advertise netip.AddrPort // the zero AddrPort: found out by Run; port 0: the bound one
	join      []string       // host:port
	keys      [][]byte       // the first encrypts, each decrypts; none: gossip is in the clear
	name      string         // "": the base URL
	cluster   string
	profile   Profile

	maxMembers int

	log *slog.Logger

	ran  atomic.Bool
	addr atomic.Pointer[string] // what Addr returns; nil until Run listens
}

var _ discovery.Discovery = (*Gossip)(nil)

// New makes a Gossip. Without options it listens on 0.0.0.0:7946, waits for
// others to join it, and lets everybody in.
func New(opts ...Option) (*Gossip, error) {
	g := &Gossip{
		bind:    netip.MustParseAddrPort(DefaultBind),
		cluster: DefaultCluster,
		log:     slog.New(slog.DiscardHandler),

		maxMembers: DefaultMaxMembers,
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("gossip: option %d is nil", i)
		}
		if err := opt(g); err != nil {
			return nil, fmt.Errorf("gossip: %w", err)
		}
	}
	if a, b := g.advertise.Addr(), g.bind.Addr(); a.IsValid() {
		if err := checkFamily(a, b); err != nil {
			return nil, fmt.Errorf("gossip: WithAdvertise(%q): %w", g.advertise, err)
		}
	}
	return g, nil
}

// Addr returns where the other processes reach the gossip of this one, host:port,
// for their WithJoin. It is "" before Run has reported its first view.
func (g *Gossip) Addr() string {
	if addr := g.addr.Load(); addr != nil {
		return *addr
	}
	return ""
}

// Run implements discovery.Discovery. An error tells that it cannot listen, or
// does not know which address to tell the others. When ctx ends, Run takes up to
// two seconds to tell the others that it leaves.
func (g *Gossip) Run(ctx context.Context, self string, report func(discovery.View)) error {
	if !g.ran.CompareAndSwap(false, true) {
		return errors.New("gossip: Run was called before: want a Gossip for each run")
	}
	if len(self) == 0 || len(self) > memberlist.MetaMaxSize {
		return fmt.Errorf("gossip: a base URL of %d bytes: want 1 to %d", len(self), memberlist.MetaMaxSize)
	}
	m := newMembers(self)
	m.most, m.log = g.maxMembers, g.log
	list, err := g.listen(ctx, self, m)
	if err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	addr := list.LocalNode().Address()
	g.addr.Store(&addr)
	g.log.Info("gossip: listening", "addr", addr)
	if len(g.keys) == 0 && !g.bind.Addr().IsLoopback() {
		g.log.Warn("gossip: without a key, whoever reaches this process can join, and gets a share of the keys: want WithKey", "addr", addr)
	}

	j := &joiner{list: list, members: m, addrs: g.join, own: addr, pace: g.profile.joinPace(), log: g.log}
	tried := make(chan struct{}) // the first attempt to join is over
	var joining sync.WaitGroup
	joining.Go(func() { j.run(ctx, tried) })

	wait(ctx, tried, firstJoin)
	m.follow(ctx, report)
	joining.Wait()
	g.leave(list)
	return nil
}

// wait returns when done is closed, ctx has ended or the time is over.
func wait(ctx context.Context, done <-chan struct{}, most time.Duration) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// listen makes this process a member, the only one it knows.
func (g *Gossip) listen(ctx context.Context, self string, m *members) (*memberlist.Memberlist, error) {
	c := g.profile.config()
	c.Name = g.name
	if c.Name == "" {
		c.Name, _ = discovery.SplitPeer(self)
	}
	c.Label = g.cluster
	if len(g.keys) > 0 {
		keyring, err := memberlist.NewKeyring(g.keys, g.keys[0])
		if err != nil {
			return nil, err
		}
		c.Keyring = keyring
	}
	c.Logger = newLog(g.log)
	c.Delegate = metadata(self)
	c.Events, c.Alive = m, m
	// The name of a dead member is free at once for one at another address: a
	// process may come back with another port. 0 would be never.
	c.DeadNodeReclaimTime = time.Nanosecond

	advertise, err := g.advertised(self)
	if err != nil {
		return nil, err
	}
	t, err := newTransport(ctx, g.bind, c.Logger)
	if err != nil {
		return nil, err
	}
	c.Transport = t
	c.AdvertiseAddr, c.AdvertisePort = advertise.Addr().String(), int(advertise.Port())
	if advertise.Port() == 0 {
		c.AdvertisePort = t.GetAutoBindPort()
	}
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, errors.Join(err, t.Shutdown())
	}
	return list, nil
}

// advertised works out the address that the other members are told. Its port is
// 0 where that is the one that is listened on.
func (g *Gossip) advertised(self string) (netip.AddrPort, error) {
	ip := g.bind.Addr()
	if g.advertise.IsValid() {
		return g.advertise, nil
	}
	if !ip.IsUnspecified() {
		return netip.AddrPortFrom(ip, 0), nil
	}
	// The others reach this process at the host of its base URL.
	if host := hostIP(self); host.IsValid() && !host.IsUnspecified() {
		return netip.AddrPortFrom(host, 0), checkFamily(host, ip)
	}
	if ip.Is4() {
		text, err := sockaddr.GetPrivateIP()
		if private, perr := netip.ParseAddr(text); err == nil && perr == nil {
			return netip.AddrPortFrom(private, 0), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no address to tell the others, the base URL %q has none: want WithAdvertise", self)
}

// hostIP returns the host of a base URL if that is an IP address, else the zero
// Addr.
func hostIP(base string) netip.Addr {
	u, err := url.Parse(base)
	if err != nil {
		return netip.Addr{}
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	return ip.Unmap()
}

// checkFamily returns an error if a member that listens on bind cannot be
// reached at addr: IPv4 and IPv6 do not mix, but on [::].
func checkFamily(addr, bind netip.Addr) error {
	if addr.Is4() == bind.Is4() || bind == netip.IPv6Unspecified() {
		return nil
	}
	return fmt.Errorf("gossip listens on %s, where %s is not reached: want both of one family, or WithBind(%q)", bind, addr, "[::]:7946")
}

// leave tells the others that this process leaves, and closes its gossip.
func (g *Gossip) leave(list *memberlist.Memberlist) {
	if err := list.Leave(longestLeave); err != nil {
		g.log.Warn("gossip: the others may not know that this process leaves, and will find out", "err", err)
	}
	if err := list.Shutdown(); err != nil {
		g.log.Warn("gossip: it was not closed", "err", err)
	}
}

// metadata is what a member carries, see memberlist.Delegate: its base URL. The
// members exchange nothing else.
type metadata string

// NodeMeta returns the base URL.
func (m metadata) NodeMeta(int) []byte { return []byte(m) }

// NotifyMsg ignores a message: peers send none.
func (metadata) NotifyMsg([]byte) {}

// GetBroadcasts returns nothing.
func (metadata) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState returns nothing.
func (metadata) LocalState(bool) []byte { return nil }

// MergeRemoteState ignores what is not known.
func (metadata) MergeRemoteState([]byte, bool) {}
