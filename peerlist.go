package peercache

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/peercache/peercache/internal/quote"
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
	return func(p *HTTPPool) error {
		if n < 1 || n > mostMaxPeers {
			return fmt.Errorf("WithMaxPeers(%d): want 1 to %d", n, mostMaxPeers)
		}
		p.maxPeers = n
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
	return func(p *HTTPPool) error {
		if allow == nil {
			return errors.New("WithPeerFilter(nil): want a func, such as FilterPorts(8001), or leave the option out")
		}
		p.filters = append(p.filters, allow)
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

// allowed returns an error if a filter refuses a peer.
func (p *HTTPPool) allowed(name string) error {
	for _, allow := range p.filters {
		if err := orError("it", func() error { return allow(name) }); err != nil {
			return fmt.Errorf("peer %q is refused by WithPeerFilter: %w", name, err)
		}
	}
	return nil
}

// checkPeer returns an error if name cannot be a peer of this pool, or this process itself.
func (p *HTTPPool) checkPeer(name string) error {
	if len(name) > longestPeerURL {
		return fmt.Errorf("peer %s: want at most %d bytes", quote.Key(name), longestPeerURL)
	}
	if err := p.checkSpelling(name); err != nil {
		return err
	}
	if name == p.self {
		return nil
	}
	return p.allowed(name)
}

// checkSpelling is checkPeerURL. Among peers of golang/groupcache, a name is what they have
// on their ring, which may have another spelling of the host or the port.
func (p *HTTPPool) checkSpelling(name string) error {
	if !p.compat {
		return checkPeerURL(name)
	}
	if _, err := spell(name); err != nil {
		return fmt.Errorf("peer %s: %w", shownURL(name), err)
	}
	if u, err := url.Parse(name); err != nil || name != strings.ToLower(u.Scheme+"://"+u.Host) {
		return checkPeerURL(name)
	}
	return nil
}

// checkPeers returns an error if peers cannot be a view of this process.
func (p *HTTPPool) checkPeers(peers []string) error {
	if len(peers) == 0 {
		return errors.New("an empty list of peers: want the base URLs of all of them, this process's among them")
	}
	if len(peers) > p.maxPeers {
		return fmt.Errorf("a list of more than %d peers: want no more, or another WithMaxPeers", p.maxPeers)
	}
	seen := make(map[string]string, len(peers)) // by the one way to spell them
	for _, name := range peers {
		if err := p.checkPeer(name); err != nil {
			return err
		}
		spelled := name
		if p.compat {
			spelled, _ = spell(name)
		}
		switch other, twice := seen[spelled]; {
		case twice && other == name:
			return fmt.Errorf("peer %q stands twice in the list", name)
		case twice:
			return fmt.Errorf("the peers %q and %q are one: want one of them in the list", other, name)
		}
		seen[spelled] = name
	}
	if !slices.Contains(peers, p.self) {
		return fmt.Errorf("the list of peers lacks this process, %q: %s", p.self, quote.Some(quote.All(peers)))
	}
	return nil
}

// warnOfReach warns if this process and others can hardly reach each other, because only one
// of them is at an address of one machine. It warns once.
func (p *HTTPPool) warnOfReach(peers []string) {
	own := reachOf(p.self)
	for _, name := range peers {
		switch other := reachOf(name); {
		case (own == oneMachine) == (other == oneMachine):
			continue
		case p.warnedOfReach.Swap(true):
		case own == oneMachine:
			p.log.Warn("the others cannot reach this process, whose address is one of its machine alone: want the one that they know",
				"self", p.self, "peer", name)
		default:
			p.log.Warn("a peer has an address of one machine alone, where each machine finds itself: want the one by which others know it",
				"self", p.self, "peer", name)
		}
		return
	}
}
