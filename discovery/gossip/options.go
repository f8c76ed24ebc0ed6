package gossip

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hashicorp/memberlist"
)

const (
	// DefaultBind is where a process listens for gossip.
	DefaultBind = "0.0.0.0:7946"

	// DefaultCluster is the name of a cluster, see WithCluster.
	DefaultCluster = "peercache"
)

// An Option changes what New makes. New returns its error.
type Option func(*Gossip) error

// WithBind sets where this process listens for gossip, by TCP and by UDP:
// "10.0.0.1:7946". The host is an IP address; without it, as in ":7946", these
// are all IPv4 addresses, and with "[::]:7946" all of both families. Port 0 picks
// a free one, see Gossip.Addr. The default is DefaultBind.
func WithBind(addr string) Option {
	return func(g *Gossip) error {
		host, port, err := net.SplitHostPort(addr)
		if err == nil && host == "" {
			addr = net.JoinHostPort("0.0.0.0", port)
		}
		a, err := netip.ParseAddrPort(addr)
		if err != nil || a.Addr().Zone() != "" {
			return fmt.Errorf("WithBind(%q): want IP address and port, such as %q, or a port alone, such as %q", addr, DefaultBind, ":7946")
		}
		g.bind = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		return nil
	}
}

// WithAdvertise sets where the other processes reach the gossip of this one,
// if that is not where it listens: "10.0.0.1:7946". The host is an IP address;
// port 0 is the one that it listens on. The default is the address of WithBind;
// where that is all addresses, the host of the base URL if it is an IP address,
// else the first private IPv4 address of the machine.
func WithAdvertise(addr string) Option {
	return func(g *Gossip) error {
		a, err := netip.ParseAddrPort(addr)
		if err != nil || a.Addr().Zone() != "" || a.Addr().IsUnspecified() {
			return fmt.Errorf("WithAdvertise(%q): want an IP address that others reach, and a port, such as %q", addr, "10.0.0.1:7946")
		}
		g.advertise = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		return nil
	}
}

// WithJoin sets where other processes may be met: "10.0.0.1:7946", or a name
// that stands for one address or many, "cache.internal:7946". Two or three that
// are not all down at a time are enough. The address of this process may be
// among them, so that all processes may have the same list. The default is none:
// the process waits for others.
func WithJoin(addrs ...string) Option {
	return func(g *Gossip) error {
		for _, addr := range addrs {
			host, port, err := net.SplitHostPort(addr)
			if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || perr != nil || n == 0 {
				return fmt.Errorf("WithJoin(%q): want host and port, such as %q", addr, "10.0.0.1:7946")
			}
		}
		g.join = slices.Clone(addrs)
		return nil
	}
}

// WithKey encrypts all gossip with a key of 16, 24 or 32 bytes (AES-128, -192 or
// -256), the same in all processes. A process without it neither joins nor hears
// anything. What is encrypted with one of the previous keys is understood too. To replace a key,
// deploy the new one as a previous one first, then as the key with the old one as a previous one,
// then without the old one. The default is none: gossip is in the clear, and open to everybody
// who can reach the port. That is one warning, unless WithBind has a loopback address.
func WithKey(key []byte, previous ...[]byte) Option {
	return func(g *Gossip) error {
		keys := append([][]byte{key}, previous...)
		g.keys = nil
		for i, key := range keys {
			if err := memberlist.ValidateKey(key); err != nil {
				return fmt.Errorf("WithKey: key %d has %d bytes: want 16, 24 or 32", i, len(key))
			}
			g.keys = append(g.keys, slices.Clone(key))
		}
		return nil
	}
}

// WithName sets the name by which members tell this process from others. It
// must be its own. The default is the base URL.
func WithName(name string) Option {
	return func(g *Gossip) error {
		if name == "" || len(name) > longestName {
			return fmt.Errorf("WithName(%q): want a name of 1 to %d bytes", name, longestName)
		}
		g.name = name
		return nil
	}
}

// longestName is in bytes. The name is part of each probe, which is one packet.
const longestName = 255

// WithCluster sets the name of the cluster, the same in all its processes.
// Members of clusters of different names do not take notice of each other, even
// if one is told to join the other. Its length is 1 to 255 bytes. The default is
// DefaultCluster.
func WithCluster(name string) Option {
	return func(g *Gossip) error {
		if name == "" || len(name) > memberlist.LabelMaxSize {
			return fmt.Errorf("WithCluster(%q): want a name of 1 to %d bytes", name, memberlist.LabelMaxSize)
		}
		g.cluster = name
		return nil
	}
}

// WithProfile sets how often members probe each other and how long they wait.
// The default is LAN.
func WithProfile(p Profile) Option {
	return func(g *Gossip) error {
		if p < LAN || p > Local {
			return fmt.Errorf("WithProfile(%d): want LAN, WAN or Local", p)
		}
		g.profile = p
		return nil
	}
}

const (
	// DefaultMaxMembers is how many members a process knows, see WithMaxMembers. A pool
	// takes no view of so many, unless it is told to.
	DefaultMaxMembers = 8192

	mostMembers = 1 << 16
)

// WithMaxMembers bounds how many living members this process knows, itself among them, from
// 1 to 65,536. It ignores further ones, with one warning, until some of these have gone. The default is DefaultMaxMembers.
func WithMaxMembers(n int) Option {
	return func(g *Gossip) error {
		if n < 1 || n > mostMembers {
			return fmt.Errorf("WithMaxMembers(%d): want 1 to %d", n, mostMembers)
		}
		g.maxMembers = n
		return nil
	}
}

// WithLogger says where to log what goes wrong, and what memberlist does. By
// default, and with nil, nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(g *Gossip) error {
		if l == nil {
			l = slog.New(slog.DiscardHandler)
		}
		g.log = l
		return nil
	}
}
