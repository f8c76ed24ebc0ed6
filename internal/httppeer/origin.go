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

// A web page that somebody of the same network looks at can have the browser send requests to
// a pool: those that any page may send to any site, and, where the page's own name resolves to
// the address of the pool (DNS rebinding), all others too. A page can set most headers, but no
// Origin, no Host, and none that begins with Sec-.

// peerOnlyHeader is sent by peers, and can be set by no page.
const peerOnlyHeader = "Sec-Peercache"

var peerOnly = []string{"1"}

// HostName is the name in a Host header, without its port, in the form in which names are
// compared.
func HostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// foreignPage returns why a request may come from a web page of somebody else, or nil.
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

// named reports whether a host name is one of this process.
func (s *Server) named(name string) bool { return slices.Contains(s.cfg.Hosts, name) }
