package api

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/peercache/peercache/door"
	"github.com/peercache/peercache/internal/audit"
	"github.com/peercache/peercache/internal/quote"
)

// Right is what a client may do. Rights are joined with |.
type Right uint8

const (
	RightGet    Right = 1 << iota // read values
	RightChange                   // set and remove values
	RightClear                    // clear groups
)

// Access is what a request needs.
type Access struct {
	Group string
	Key   string // empty if the request is for many keys, or for a whole group
	Right Right  // one of them
}

// ErrUnauthenticated is returned by the function of WithAuthorizer, or wrapped, if the client has not
// said who it is. The status is then 401, otherwise 403.
var ErrUnauthenticated = errors.New("the client has to say who it is")

// token is what the bearer of a token may do.
type token struct {
	rights Right
	groups []string // nil: all
}

// access says who may do what.
type access struct {
	// tokens are found by a hash, so that the time which that takes says nothing about them.
	tokens    map[[sha256.Size]byte]token
	authorize func(*http.Request, Access) error // may be nil
}

// guarded reports whether some clients may do less than others.
func (a *access) guarded() bool { return a.tokens != nil || a.authorize != nil }

// check returns an error if a token names a group that is not there.
func (a *access) check(caches map[string]door.Cache) error {
	for _, t := range a.tokens {
		for _, group := range t.groups {
			if caches[group] == nil {
				return fmt.Errorf("WithToken: no group %s here", quote.Key(group))
			}
		}
	}
	return nil
}

// identify returns what the token of a request stands for. Without WithToken everybody may do
// everything.
func (a *access) identify(r *http.Request) (token, *problem) {
	if a.tokens == nil {
		return token{rights: RightGet | RightChange | RightClear}, nil
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return token{}, &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, detail: "want the header Authorization: Bearer …"}
	}
	t, ok := a.tokens[sha256.Sum256([]byte(strings.TrimSpace(secret)))]
	if !ok {
		return token{}, &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, detail: "the token is not known"}
	}
	return t, nil
}

// may returns a problem if the bearer of a token may not do what a request needs.
func (a *access) may(r *http.Request, t token, need Access) *problem {
	if t.rights&need.Right == 0 || t.groups != nil && !slices.Contains(t.groups, need.Group) {
		return &problem{status: http.StatusForbidden, code: codeForbidden, detail: "the token does not allow this"}
	}
	if a.authorize == nil {
		return nil
	}
	err := a.authorize(r, need)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnauthenticated):
		return &problem{status: http.StatusUnauthorized, code: codeUnauthenticated, detail: err.Error()}
	}
	return &problem{status: http.StatusForbidden, code: codeForbidden, detail: err.Error()}
}

// allowed returns a problem if a client may not do what it asks for. Whether the group exists does not
// matter.
func (h *Handler) allowed(r *http.Request, rt *route) *problem {
	if !h.access.guarded() {
		return nil
	}
	t, p := h.access.identify(r)
	if p == nil {
		p = h.access.may(r, t, Access{Group: rt.group, Key: rt.key, Right: rt.right(r.Method)})
	}
	if p != nil {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		h.audits.Record(audit.Unauthorized, slog.LevelWarn, from, "a request over HTTP was refused",
			slog.String("from", r.RemoteAddr), slog.String("method", r.Method), slog.String("group", quote.Key(rt.group)), slog.String("why", p.detail))
	}
	return p
}
