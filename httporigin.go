package peercache

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/peercache/peercache/internal/quote"
)

// A web page that somebody of the same network looks at can have the browser send requests to
// a pool: those that any page may send to any site, and, where the page's own name resolves to
// the address of the pool (DNS rebinding), all others too. A page can set most headers, but no
// Origin, no Host, and none that begins with Sec-.

// peerOnlyHeader is sent by peers, and can be set by no page.
const peerOnlyHeader = "Sec-Peercache"

var peerOnly = []string{"1"}

// WithHosts adds host names that requests may have in their Host header, without a port: for
// instance the name that a proxy writes there. The host of the pool's base URL, IP addresses
// and names without a dot are always allowed. The pool refuses any other name with HTTP
// status 403, because the request may come from a web page whose name resolves to this
// process. Peers may use any name, except those of golang/groupcache and of versions before
// this option.
func WithHosts(names ...string) PoolOption {
	return func(p *HTTPPool) error {
		for _, name := range names {
			if u, err := url.Parse("http://" + name); err != nil || name == "" || u.Host != name || u.Port() != "" || strings.Contains(name, ":") {
				return fmt.Errorf("WithHosts(%q): want host names without a port, such as cache.example", name)
			}
			p.hosts = append(p.hosts, hostName(name))
		}
		return nil
	}
}

// hostName is the name in a Host header, without its port, in the form in which names are
// compared.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// foreignPage returns why a request may come from a web page of somebody else, or nil.
func (p *HTTPPool) foreignPage(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errors.New("a browser sends the request for a page of another site")
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != p.self {
		u, err := url.Parse(origin)
		if err != nil || !p.named(hostName(u.Host)) {
			return errors.New("a browser sends the request for a page of another origin")
		}
	}
	if r.Header[peerOnlyHeader] != nil {
		return nil
	}
	name := hostName(r.Host)
	if !strings.Contains(name, ".") || p.named(name) {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	return fmt.Errorf("this process is not known as %s: if it is, as behind a proxy, want that in WithHosts", quote.Key(name))
}

// named reports whether a host name is one of this process.
func (p *HTTPPool) named(name string) bool { return slices.Contains(p.hosts, name) }
