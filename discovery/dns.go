package discovery

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// lookupTimeout bounds one lookup, with all its repetitions.
const lookupTimeout = 10 * time.Second

// DNS finds the peers at the addresses of a name, such as that of a headless service of Kubernetes.
// pattern is the base URL of every peer, with the name in place of the address: for
// http://peers.shop.svc:8001, the address 10.0.0.7 is the peer http://10.0.0.7:8001. DNS looks the
// name up every DefaultDNSPoll (WithPoll). If a lookup fails or finds nothing, the last view stays.
//
// Each answer should have all addresses. If a name server gives only some of them, the view would
// change with each answer. So a peer that an answer lacks stays for DefaultKeepMissing
// (WithKeepMissing). If peers come back in several answers in a row, DNS logs one warning.
//
// The self of this process must have that form, with its address as the DNS gives it: in Kubernetes
// http://$(POD_IP):8001, without the port if it is the default of the scheme, 80 or 443. Run fails
// if the scheme or the port differs, or if the host of self is no address. DNS asks for A records
// only if that address is IPv4, and for AAAA records only if it is IPv6, so that a process with
// both is one peer.
//
// The error of DNS says what is wrong with pattern or an option.
func DNS(pattern string, opts ...Option) (Discovery, error) {
	d, err := newDNS("DNS", pattern, opts)
	if err != nil {
		return nil, err
	}
	if port, err := strconv.ParseUint(d.pattern.Port(), 10, 16); err != nil || port == 0 || d.pattern.Port()[0] == '0' {
		return nil, fmt.Errorf("discovery: DNS(%q): want the port of the peers as well, such as http://peers.example:8001", pattern)
	}
	if _, err := netip.ParseAddr(d.pattern.Hostname()); err == nil {
		return nil, fmt.Errorf("discovery: DNS(%q): want a name in place of the address", pattern)
	}
	return addresses{d}, nil
}

// SRV finds the peers by the SRV records of a name, each of which has a host and a port. With the
// pattern http://_peers._tcp.shop.svc.cluster.local, a record with the target
// a.shop.svc.cluster.local and the port 8001 is the peer http://a.shop.svc.cluster.local:8001.
// Targets are written in lower case and without the dot at the end. Priorities and weights have no
// effect. SRV looks as often as DNS does, and does the same if it finds nothing.
//
// The self of this process must have that form, with the target's name as the host: for a
// StatefulSet in Kubernetes http://$(POD_NAME).SERVICE.NAMESPACE.svc.cluster.local:8001, without
// the port if it is the default of the scheme. Run fails if the scheme differs.
//
// The error of SRV says what is wrong with pattern or an option.
func SRV(pattern string, opts ...Option) (Discovery, error) {
	d, err := newDNS("SRV", pattern, opts)
	if err != nil {
		return nil, err
	}
	if d.pattern.Port() != "" {
		return nil, fmt.Errorf("discovery: SRV(%q): want no port: the records have it", pattern)
	}
	return services{d}, nil
}

// dns is what DNS and SRV have in common.
type dns struct {
	settings
	pattern *url.URL
}

func newDNS(kind, pattern string, opts []Option) (dns, error) {
	if with, ok := withScheme(pattern); ok {
		return dns{}, fmt.Errorf("discovery: %s(%q): want http:// or https:// before it, such as %q", kind, pattern, with)
	}
	u, err := url.Parse(pattern)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || pattern != u.Scheme+"://"+u.Host {
		return dns{}, fmt.Errorf("discovery: %s(%q): want http:// or https:// and a name, no path", kind, pattern)
	}
	s, err := settle(DefaultDNSPoll, opts)
	if err != nil {
		return dns{}, err
	}
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	switch {
	case !s.keeps:
		s.keep = max(DefaultKeepMissing, s.poll)
	case s.keep > 0 && s.keep < s.poll:
		return dns{}, fmt.Errorf("discovery: WithKeepMissing(%v) and WithPoll(%v): want to keep for at least one poll, or 0", s.keep, s.poll)
	}
	s.log = s.log.With("name", u.Hostname())
	return dns{settings: s, pattern: u}, nil
}

// portOf has the default port of each scheme.
var portOf = map[string]string{"http": "80", "https": "443"}

// peer returns the base URL of the peer at a host and a port, as pools want it spelled: without the
// port if it is the default of the scheme.
func (d dns) peer(host, port string) string {
	if port == portOf[d.pattern.Scheme] {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return d.pattern.Scheme + "://" + host
	}
	return d.pattern.Scheme + "://" + net.JoinHostPort(host, port)
}

// addresses is what DNS makes.
type addresses struct{ dns }

func (a addresses) Run(ctx context.Context, self string, report func(View)) error {
	self, _ = SplitPeer(self) // the DNS does not say who owns what
	network, err := a.network(self)
	if err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	return a.follow(ctx, func(ctx context.Context) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		found, err := a.resolver.LookupNetIP(ctx, network, a.pattern.Hostname())
		var peers []string
		for _, addr := range found {
			peers = append(peers, a.peer(addr.Unmap().String(), a.pattern.Port()))
		}
		return peers, err
	}, report)
}

// network returns the family of self's address, which is looked for. The error says why the other
// processes would not find self.
func (a addresses) network(self string) (string, error) {
	u, err := url.Parse(self)
	if err != nil {
		return "", err
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("this process is %q: want an address in place of the name, because the DNS gives addresses", self)
	}
	addr = addr.Unmap()
	if want := a.peer(addr.String(), a.pattern.Port()); self != want {
		return "", fmt.Errorf("this process is %q, and its peers would know it as %q: want that, or another pattern than %q", self, want, a.pattern)
	}
	if addr.Is4() {
		return "ip4", nil
	}
	return "ip6", nil
}

// services is what SRV makes.
type services struct{ dns }

func (s services) Run(ctx context.Context, self string, report func(View)) error {
	self, _ = SplitPeer(self)
	if u, err := url.Parse(self); err != nil || self != s.peer(u.Hostname(), cmp.Or(u.Port(), portOf[u.Scheme])) {
		return fmt.Errorf("discovery: this process is %q, and its peers would know it as %s://TARGET:PORT: want that", self, s.pattern.Scheme)
	}
	return s.follow(ctx, func(ctx context.Context) ([]string, error) {
		ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		defer cancel()
		// Together with an error, there may be records: those that are well-formed.
		_, records, err := s.resolver.LookupSRV(ctx, "", "", s.pattern.Hostname())
		var peers []string
		for _, r := range records {
			target := strings.ToLower(strings.TrimSuffix(r.Target, "."))
			if target != "" { // else the name says that there is no such service
				peers = append(peers, s.peer(target, strconv.Itoa(int(r.Port))))
			}
		}
		return peers, err
	}, report)
}
