package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/httppeer"
	"github.com/peercache/peercache/internal/quote"
	"github.com/peercache/peercache/peer"
)

// Pool is what the handler asks. A *peercache.HTTPPool is one, and a *peercache.Pool.
type Pool interface {
	Identity() peer.Identity
	Ready(ctx context.Context) error
	Shutdown(ctx context.Context) error
	Stats() []peercache.PeerStats
	Ring() peercache.Ring
	Groups() []*peercache.Group
	Events() []peercache.Event
	OnEvent(f func(peercache.Event)) (stop func())
	Logger() *slog.Logger
}

// handler answers operators.
type handler struct {
	pool Pool
	self string // the name of this process among its peers
	page *pages
	past *history

	audits *audit.Log // of refused requests

	metrics    http.Handler // may be nil
	mayAct     func(*http.Request) error
	mayLook    func(*http.Request) error
	readOnly   bool
	showValues bool
	hosts      []string
	drainTime  time.Duration

	more []more // actions of the user's

	draining drain
	viewers  atomic.Int64 // of the page, live

	mu      sync.Mutex
	servers map[*http.Server]context.Context // guarded by mu; each ends when its server is shut down

	renderMu   sync.Mutex
	rendered   []section // guarded by renderMu; what all viewers are sent
	renderedAt time.Time // guarded by renderMu
}

// Handler makes a handler for a pool. It answers at the root of a host; elsewhere, mount it with
// http.StripPrefix at a path with a slash at its end.
//
// From then on it keeps figures of the last 15 minutes, for at most 256 groups, until nothing in
// memory holds the handler any more. That takes about 8 KiB a group.
func Handler(pool Pool, opts ...Option) (http.Handler, error) {
	if v := reflect.ValueOf(pool); pool == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("peercache: admin.Handler without a pool: want one that NewHTTPPool or NewPool made")
	}
	allow := func(*http.Request) error { return nil }
	a := &handler{pool: pool, self: pool.Identity().Name, mayAct: allow, mayLook: allow, audits: audit.New(pool.Logger()), drainTime: DefaultDrainTime, servers: make(map[*http.Server]context.Context)}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peercache: admin.Handler: option %d is nil", i)
		}
		if err := opt(a); err != nil {
			return nil, fmt.Errorf("peercache: admin.Handler: %w", err)
		}
	}
	var err error
	if a.page, err = newPages(); err != nil {
		return nil, fmt.Errorf("peercache: admin.Handler: %w", err)
	}
	a.past = startHistory(pool)
	return a.routes(), nil
}

// routes returns the handler of all paths.
func (a *handler) routes() http.Handler {
	looks := http.NewServeMux()
	looks.HandleFunc("GET /{$}", a.servePage)
	looks.HandleFunc("GET /assets/{name}", a.page.serveAsset)
	looks.HandleFunc("GET /api/v1/peers", a.servePeers)
	looks.HandleFunc("GET /api/v1/groups", a.serveGroups)
	looks.HandleFunc("GET /api/v1/ring", a.serveRing)
	looks.HandleFunc("GET /api/v1/key", a.serveKey)
	looks.HandleFunc("GET /api/v1/events", a.serveEvents)
	looks.HandleFunc("GET /api/v1/live", a.serveLive)
	if !a.readOnly {
		looks.Handle("POST /api/v1/remove", a.action(a.remove))
		looks.Handle("POST /api/v1/clear", a.action(a.clear))
		looks.Handle("POST /api/v1/drain", a.action(a.drain))
		for _, one := range a.more {
			looks.Handle("POST "+one.path, a.permitted(a.mayAct, one.handler))
		}
	}
	all := http.NewServeMux()
	all.HandleFunc("GET /livez", serveAlive)
	all.HandleFunc("GET /readyz", a.serveReady)
	if a.metrics != nil {
		all.Handle("/metrics", a.permitted(a.mayLook, a.metrics))
	}
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.refused(w, r, errors.New("the request comes from a page of another origin"))
	}))
	all.Handle("/", a.ownHost(crossOrigin.Handler(a.permitted(a.mayLook, looks))))
	return secured(all)
}

// policy lets the page use what the handler serves, and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// secured adds the headers that keep a browser to the handler's own page.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// ownHost refuses requests for hosts that this handler is not known as: see Hosts.
func (a *handler) ownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := httppeer.HostName(r.Host)
		_, err := netip.ParseAddr(strings.Trim(name, "[]"))
		if err != nil && strings.Contains(name, ".") && !slices.Contains(a.hosts, name) {
			a.refused(w, r, fmt.Errorf("this handler is not known as %s: if it is, as behind a proxy, want that in admin.Hosts", quote.Key(name)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// permitted asks may before each request.
func (a *handler) permitted(may func(*http.Request) error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := may(r); err != nil {
			a.refused(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refused answers that a request may not be made. It is logged within the limits of internal/audit, so
// that nobody can fill the log.
func (a *handler) refused(w http.ResponseWriter, r *http.Request, err error) {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	a.audits.Record(audit.Unauthorized, slog.LevelWarn, from, "an operator's request was refused",
		slog.String("path", shortPath(r.URL.Path)), slog.String("from", r.RemoteAddr), slog.Any("err", err))
	refuse(w, http.StatusForbidden, err)
}

// longestPath is how many bytes of a path are logged. Those of this handler are shorter.
const longestPath = 100

func shortPath(path string) string {
	if len(path) > longestPath {
		return path[:longestPath] + "…"
	}
	return path
}

// group returns the group of a name.
func (a *handler) group(name string) (*peercache.Group, error) {
	for _, g := range a.pool.Groups() {
		if g.Name() == name {
			return g, nil
		}
	}
	return nil, fmt.Errorf("no group %s here", quote.Key(name))
}
