package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// port is what WithPort says. Without it both are zero.
type port struct {
	name   string
	number int32
}

// form is what the base URLs of the peers have in common.
type form struct {
	scheme  string
	port    port
	address discoveryv1.AddressType // IPv4 or IPv6
}

// newForm returns the form of self. The error says why self is none of the base
// URLs that the endpoints give: the other pods would not know this one by it.
func newForm(self string, p port) (form, error) {
	u, err := url.Parse(self)
	if err != nil {
		return form{}, err
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "http" && u.Scheme != "https" || err != nil || addr.Zone() != "" {
		return form{}, errors.New("want http:// or https:// and the address of the pod, such as http://$(POD_IP):8001")
	}
	own, err := strconv.ParseUint(cmp.Or(u.Port(), strconv.Itoa(int(portOf[u.Scheme]))), 10, 16)
	if err != nil || own == 0 {
		return form{}, errors.New("want a port of 1 to 65535, such as http://$(POD_IP):8001")
	}
	f := form{scheme: u.Scheme, port: p, address: discoveryv1.AddressTypeIPv6}
	if addr.Is4() {
		f.address = discoveryv1.AddressTypeIPv4
	}
	if p == (port{}) {
		f.port.number = int32(own)
	}
	if n := f.port.number; n != 0 && n != int32(own) {
		return form{}, fmt.Errorf("its peers would look for it at port %d: want that, or another WithPort", n)
	}
	if want := f.peer(addr.String(), int32(own)); self != want {
		return form{}, fmt.Errorf("its peers would know it as %q: want that", want)
	}
	return f, nil
}

// portOf are the ports of the schemes.
var portOf = map[string]int32{"http": 80, "https": 443}

// peer returns the base URL of the peer at an address, in the one way that there is to spell
// it: with the shortest form of the address, and without the port of the scheme. What is no
// address stays as it is, for the pool to warn of.
func (f form) peer(addr string, port int32) string {
	if ip, err := netip.ParseAddr(addr); err == nil {
		addr = ip.Unmap().String()
	}
	if port == portOf[f.scheme] {
		if strings.Contains(addr, ":") {
			addr = "[" + addr + "]"
		}
		return f.scheme + "://" + addr
	}
	return f.scheme + "://" + net.JoinHostPort(addr, strconv.Itoa(int(port)))
}

// peers returns the base URLs of the peers in EndpointSlices, in order. While the
// pods of a service change, an endpoint may be in two slices.
func (f form) peers(slicesOf []any) []string {
	urls := []string{}
	for _, object := range slicesOf {
		slice, ok := object.(*discoveryv1.EndpointSlice)
		if !ok || slice.AddressType != f.address {
			continue
		}
		port, ok := f.portOf(slice)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			if owns(e.Conditions) && len(e.Addresses) > 0 {
				// Those after the first have no meaning, says the API.
				urls = append(urls, f.peer(e.Addresses[0], port))
			}
		}
	}
	slices.Sort(urls)
	return slices.Compact(urls)
}

// portOf returns the port at which the endpoints of a slice are peers.
func (f form) portOf(slice *discoveryv1.EndpointSlice) (int32, bool) {
	if f.port.name == "" {
		return f.port.number, true
	}
	for _, p := range slice.Ports {
		if p.Name != nil && *p.Name == f.port.name && p.Port != nil {
			return *p.Port, true
		}
	}
	return 0, false
}

// owns reports whether an endpoint is to own keys: it is ready, and not about to
// end. The latter is not part of the former where the service publishes addresses
// that are not ready. What is not said is ready, and not terminating.
func owns(c discoveryv1.EndpointConditions) bool {
	ready := c.Ready == nil || *c.Ready
	terminating := c.Terminating != nil && *c.Terminating
	return ready && !terminating
}
