package api

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/body"
	"github.com/peercache/peercache/internal/quote"
)

// Handler serves groups. It is made by New.
type Handler struct {
	caches map[string]door.Cache // by name; not changed after New
	names  []string              // of caches, in order
	options
	audits *audit.Log // of refused requests
	faults faultLog   // of requests that failed

	// open is the number of requests in progress, plus closedBit once Shutdown was called.
	open   atomic.Int64
	idle   chan struct{} // closed when no request is in progress after Shutdown
	idling sync.Once     // closes idle

	bodies body.Budget // of the memory for bodies
}

// closedBit is larger than any number of requests.
const closedBit = 1 << 62

// New makes a handler that serves caches, each under its name. A *peercache.Group is a door.Cache.
func New(caches []door.Cache, opts ...Option) (*Handler, error) {
	named, err := door.ByName(caches)
	if err != nil {
		return nil, fmt.Errorf("peercache: api.New: %w", err)
	}
	h := &Handler{caches: named, names: slices.Sorted(maps.Keys(named)), options: defaults(), idle: make(chan struct{})}
	for _, name := range h.names {
		if name == "" || !utf8.ValidString(name) {
			return nil, fmt.Errorf("peercache: api.New: a group has the name %s: want text", quote.Key(name))
		}
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("peercache: api.New: option %d is nil", i)
		}
		if err := opt(&h.options); err != nil {
			return nil, fmt.Errorf("peercache: api.New: %w", err)
		}
	}
	if h.rate != nil && h.rate.interval == 0 {
		return nil, errors.New("peercache: api.New: WithClient without WithRateLimit has no effect: want both, or none")
	}
	if err := h.access.tokens.CheckGroups(named); err != nil {
		return nil, fmt.Errorf("peercache: api.New: %w", err)
	}
	h.bodies.Most = h.bodyMemory
	h.audits, h.faults.log = audit.New(h.log), h.log
	return h, nil
}

// Shutdown makes the handler answer new requests with status 503, and waits until those in progress
// are answered, or ctx ends. Call it before the Shutdown of the http.Server, if load balancers are
// to see the 503s; otherwise that of the http.Server is enough.
func (h *Handler) Shutdown(ctx context.Context) error {
	if h.open.Or(closedBit)&^closedBit == 0 {
		h.idling.Do(func() { close(h.idle) })
	}
	select {
	case <-h.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("peercache: api: %d requests are still in progress: %w", h.open.Load()&^closedBit, ctx.Err())
	}
}

// enter counts a request, and returns a problem if there are too many.
func (h *Handler) enter() *problem {
	switch n := h.open.Add(1); {
	case n&closedBit != 0:
		return &problem{status: http.StatusServiceUnavailable, code: codeClosed, detail: "this process is shutting down", retry: time.Second}
	case n > int64(h.maxRequests):
		return &problem{status: http.StatusServiceUnavailable, code: codeOverloaded, detail: "too many requests are in progress", retry: time.Second}
	}
	return nil
}

// leave is the end of a request that was counted.
func (h *Handler) leave() {
	if h.open.Add(-1) == closedBit {
		h.idling.Do(func() { close(h.idle) })
	}
}

// ServeHTTP implements http.Handler. A panic of a group or of an option's function is answered with
// status 500, and logged.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := h.enter()
	defer h.leave()
	started := answer{ResponseWriter: w}
	defer func() {
		if v := recover(); v != nil {
			h.panicked(&started, r, v)
		}
	}()
	if p == nil {
		p = h.serve(&started, r)
	}
	if p != nil {
		h.refuse(&started, r, p)
	}
}

// answer is a ResponseWriter that knows whether the answer has begun.
type answer struct {
	http.ResponseWriter
	begun    bool
	bodyRead bool // the body of the request was read to its end
}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// panicked ends a request whose handling has panicked with v. If the answer has begun, the
// connection is ended, so that nobody takes a part for the whole.
func (h *Handler) panicked(w *answer, r *http.Request, v any) {
	if v == http.ErrAbortHandler {
		panic(v)
	}
	h.faults.record(r, codeInternal, slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	clear(w.Header())
	h.refuse(w, r, &problem{status: http.StatusInternalServerError, code: codeInternal, detail: "the request could not be handled", logged: true})
}

// serve answers a request, or returns what is wrong with it.
func (h *Handler) serve(w *answer, r *http.Request) *problem {
	if p := h.foreignHost(r); p != nil {
		return p
	}
	if p := h.rated(r); p != nil {
		return p
	}
	rt, ok := routeOf(r.URL)
	if !ok {
		return &problem{status: http.StatusNotFound, code: codeNoRoute, detail: "there is no such path: a value is at /v1/{group}/{key}"}
	}
	if methods := rt.methods(h.readOnly); !slices.Contains(methods, r.Method) {
		if h.readOnly && slices.Contains(rt.methods(false), r.Method) {
			return &problem{status: http.StatusForbidden, code: codeReadOnly, detail: "nothing can be changed here"}
		}
		return &problem{status: http.StatusMethodNotAllowed, code: codeMethod, detail: "want one of the methods in the header Allow", allow: methods}
	}
	switch rt.kind {
	case toGroups:
		return h.serveGroups(w, r)
	case toOpenAPI:
		return h.serveOpenAPI(w, r)
	case toClassic:
		if p := h.classic(r, &rt); p != nil {
			return p
		}
	}
	return h.serveGroup(w, r, &rt)
}

// serveGroup answers a request for a group.
func (h *Handler) serveGroup(w *answer, r *http.Request, rt *route) (p *problem) {
	if p = h.allowed(r, rt); p != nil {
		return p.about(rt)
	}
	cache := h.caches[rt.group]
	if cache == nil {
		p = &problem{status: http.StatusNotFound, code: codeNoGroup, detail: "there is no such group here: GET /v1 lists them"}
		return p.about(rt)
	}
	ctx := r.Context()
	if h.context != nil {
		if ctx = h.context(r); ctx == nil {
			panic("the function of WithContext returned nil")
		}
	}
	switch {
	case rt.kind == toBatchGet:
		p = h.batchGet(ctx, w, r, cache)
	case rt.kind == toRemove:
		p = h.remove(ctx, w, r, cache)
	case rt.kind == toClear:
		p = h.clear(ctx, w, r, cache)
	case r.Method == http.MethodPut:
		p = h.put(ctx, w, r, cache, rt.key)
	case r.Method == http.MethodDelete:
		p = h.delete(ctx, w, r, cache, rt.key)
	default:
		p = h.get(ctx, w, r, cache, rt)
	}
	return p.about(rt)
}

// classic finds the group and the key of a request for /api.
func (h *Handler) classic(r *http.Request, rt *route) *problem {
	rt.kind, rt.query = toValue, true
	query, p := queryOf(r, "key", "group")
	if p != nil {
		return p
	}
	if rt.key = query.Get("key"); rt.key == "" {
		return badRequest("the key is missing: want /api?key=…")
	}
	rt.group = query.Get("group")
	if rt.group == "" {
		if len(h.names) > 1 {
			return &problem{status: http.StatusBadRequest, code: codeGroupNeeded, detail: "there are several groups here: want /api?group=…&key=…"}
		}
		rt.group = h.names[0]
	}
	return nil
}

// serveGroups lists the groups that the client may read.
func (h *Handler) serveGroups(w *answer, r *http.Request) *problem {
	if _, p := negotiate(r, typeJSON); p != nil {
		return p
	}
	rights, p := h.access.identify(r)
	if p != nil {
		return p
	}
	out := newStream(w, r, typeJSON)
	out.text(`{"groups":[`)
	first := true
	for _, name := range h.names {
		if h.access.may(r, rights, door.Access{Group: name, Right: door.RightGet}) != nil {
			continue
		}
		if !first {
			out.text(",")
		}
		first = false
		out.text(`{"name":`)
		out.quoted(name)
		out.text("}")
	}
	out.text("]}\n")
	out.end()
	return nil
}

//go:embed openapi.yaml
var openAPI []byte

// OpenAPI returns the OpenAPI description of what the handler answers, in YAML.
func OpenAPI() []byte { return slices.Clone(openAPI) }

func (h *Handler) serveOpenAPI(w *answer, r *http.Request) *problem {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method != http.MethodHead {
		w.Write(openAPI)
	}
	return nil
}
