package peercache

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
)

const (
	// DefaultMaxPeers is the default of WithMaxPeers.
	DefaultMaxPeers = 4096

	mostMaxPeers = 1<<16 - 1 // that a ring can have
)

// WithMaxPeers bounds the views of a pool to n processes, this one among them, from 1 to
// 65,535. Set fails if there are more. If a discovery gives more, the last view stands, with
// one warning. Each peer costs a connection and, while it cannot be reached, a goroutine
// that tries. The default is DefaultMaxPeers.
func WithMaxPeers(n int) PoolOption {
	return func(o *poolOptions) error {
		if n < 1 || n > mostMaxPeers {
			return fmt.Errorf("WithMaxPeers(%d): want 1 to %d", n, mostMaxPeers)
		}
		o.cluster.MaxPeers = n
		return nil
	}
}

// WithPeerFilter makes the pool accept only those peers for whose base URL allow returns nil.
// It is called before anything is sent to them, and not for this process. A peer of a
// discovery that allow refuses is left out of the view, with a warning; with one, Set fails.
// If there are several filters, all must allow a peer. allow must not block, and may be
// called concurrently. A panic is a refusal.
//
// Use a filter if others than your own processes can write what the discovery reads.
// FilterNetworks and FilterPorts make filters.
func WithPeerFilter(allow func(url string) error) PoolOption {
	return func(o *poolOptions) error {
		if allow == nil {
			return errors.New("WithPeerFilter(nil): want a func, such as FilterPorts(8001), or leave the option out")
		}
		o.cluster.Filters = append(o.cluster.Filters, allow)
		return nil
	}
}

// FilterNetworks returns a filter for WithPeerFilter that allows the peers whose host is an
// IP address in one of the networks, and no names.
func FilterNetworks(networks ...netip.Prefix) func(url string) error {
	return func(name string) error {
		u, err := url.Parse(name)
		if err != nil {
			return err
		}
		addr, err := netip.ParseAddr(u.Hostname())
		if err != nil {
			return fmt.Errorf("want an address in %v, not a name", networks)
		}
		if !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) }) {
			return fmt.Errorf("want an address in %v", networks)
		}
		return nil
	}
}

// FilterPorts returns a filter for WithPeerFilter that allows the peers at these ports. A
// URL without one has the port of its scheme, 80 or 443.
func FilterPorts(ports ...uint16) func(url string) error {
	return func(name string) error {
		u, err := url.Parse(name)
		if err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || !slices.Contains(ports, uint16(n)) {
			return fmt.Errorf("want one of the ports %v", ports)
		}
		return nil
	}
}
