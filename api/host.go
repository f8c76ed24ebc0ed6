package api

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/quote"
)

// WithHosts names the hosts by which the handler is reached, beside IP addresses, names without a dot and
// those below "localhost": "cache.example.com", as behind a proxy. Requests for other hosts get status 403.
// "*" stands for all hosts.
//
// Without the option, hosts are checked where the request came to a loopback address, unless there is a
// WithToken. Otherwise a web page whose own name resolves to that address could use the handler by the
// browser of somebody on this machine (DNS rebinding).
func WithHosts(names ...string) Option {
	return func(o *options) error {
		for _, name := range names {
			if name == "" || strings.ContainsAny(name, "/: ") || strings.Contains(name, "*") && name != "*" {
				return fmt.Errorf("WithHosts(%q): want the name of a host without its port, or *", name)
			}
			o.hosts = append(o.hosts, httppeer.HostName(name))
		}
		return nil
	}
}

// foreignHost returns a problem if a request is for a host as which the handler is not known.
func (h *Handler) foreignHost(r *http.Request) *problem {
	if h.hosts == nil && (h.access.tokens.Needed() || !cameByLoopback(r)) || slices.Contains(h.hosts, "*") {
		return nil
	}
	name := httppeer.HostName(r.Host)
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".localhost") || slices.Contains(h.hosts, name) {
		return nil
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return nil
	}
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	h.audits.Record(audit.Unauthorized, slog.LevelWarn, from, "a request over HTTP was refused: it is for another host, as that of a web page whose name resolves to this address; if the handler is known by it, want it in WithHosts",
		slog.String("from", r.RemoteAddr), slog.String("host", quote.Key(name)))
	return &problem{status: http.StatusForbidden, code: codeForbidden, detail: fmt.Sprintf("this is not known as the host %s", quote.Key(name))}
}

// cameByLoopback reports whether a request came to an address that only this machine reaches.
func cameByLoopback(r *http.Request) bool {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return at != nil && at.IP.IsLoopback()
}
