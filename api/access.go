package api

import (
	"errors"
	"log/slog"
	"net"
	"net/http"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/quote"
)

// access says who may do what.
type access struct {
	tokens    *door.Tokens                           // nil: clients need none
	authorize func(*http.Request, door.Access) error // may be nil
}

// guarded reports whether some clients may do less than others.
func (a *access) guarded() bool { return a.tokens.Needed() || a.authorize != nil }

// identify returns what the token of a request allows.
func (a *access) identify(r *http.Request) (*door.Rights, *problem) {
	rights, err := a.tokens.Bearer(r.Header.Get("Authorization"))
	if err != nil {
		return nil, &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, detail: err.Error()}
	}
	return rights, nil
}

// may returns a problem if a client with these rights may not do what a request needs.
func (a *access) may(r *http.Request, rights *door.Rights, need door.Access) *problem {
	if !rights.Allow(need) {
		return &problem{status: http.StatusForbidden, code: codeForbidden, detail: "the token does not allow this"}
	}
	if a.authorize == nil {
		return nil
	}
	err := a.authorize(r, need)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, door.ErrUnauthenticated):
		return &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, detail: err.Error()}
	}
	return &problem{status: http.StatusForbidden, code: codeForbidden, detail: err.Error()}
}

// allowed returns a problem if a client may not do what it asks for. Whether the group exists does not
// matter.
func (h *Handler) allowed(r *http.Request, rt *route) *problem {
	rights, p := h.access.identify(r)
	if p == nil {
		p = h.access.may(r, rights, door.Access{Group: rt.group, Key: rt.key, Right: rt.right(r.Method)})
	}
	if p != nil {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		h.audits.Record(audit.Unauthorized, slog.LevelWarn, from, "a request over HTTP was refused",
			slog.String("from", r.RemoteAddr), slog.String("method", r.Method), slog.String("group", quote.Key(rt.group)), slog.String("why", p.detail))
	}
	return p
}
