package httppeer

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

// A web page that somebody in the same network opens can make the browser send requests to a pool:
// those that any page may send to any site, and all others too if the page's own name resolves to
// the address of the pool (DNS rebinding). A page can set most headers, but not Origin, Host, or a
// name that begins with Sec-.

// peerOnlyHeader is sent by peers. No web page can set it.
const peerOnlyHeader = "Sec-Peercache"

var peerOnly = []string{"1"}

// HostName returns the name in a Host header without its port, in lower case and without a dot at
// the end, so that names can be compared.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// foreignPage returns an error if r may come from a web page of somebody else.
func (s *Server) foreignPage(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return errors.New("a browser sends the request for a page of another site")
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != s.process.Identity().Name {
		u, err := url.Parse(origin)
		if err != nil || !s.named(HostName(u.Host)) {
			return errors.New("a browser sends the request for a page of another origin")
		}
	}
	if r.Header[peerOnlyHeader] != nil {
		return nil
	}
	name := HostName(r.Host)
	if !strings.Contains(name, ".") || s.named(name) {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	return fmt.Errorf("this process is not known as %s: if it is, as behind a proxy, want that in WithHosts", quote.Key(name))
}

// named reports whether name is a host name of this process.
func (s *Server) named(name string) bool { return slices.Contains(s.cfg.Hosts, name) }
