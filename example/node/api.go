package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/peercache/peercache"
)

// newAPI makes the service that uses the cache:
//
//	GET /api?key=KEY      the value, whichever peer it comes from
//	DELETE /api?key=KEY   have all peers forget it, after the origin has changed
//	GET /api/stats        what the group has counted in this process, as JSON
//	GET /api/peers        the base URLs of the view of this process, as JSON
//
// A DELETE that a browser sends for a page of another site is refused.
func newAPI(group *peercache.Group, view func() []string, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		var view peercache.ByteView
		key, err := keyOf(r)
		if err == nil {
			view, err = group.Get(r.Context(), key)
		}
		if err != nil {
			fail(w, err, log)
			return
		}
		// The values may be anything: let no browser take them for a page.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, view.Reader()) // copies nothing
	})
	mux.HandleFunc("DELETE /api", func(w http.ResponseWriter, r *http.Request) {
		key, err := keyOf(r)
		if err == nil {
			err = group.Remove(r.Context(), key)
		}
		if err != nil {
			fail(w, err, log)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /api/stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(group.Stats())
	})
	mux.HandleFunc("GET /api/peers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(view())
	})
	return ownPages(mux)
}

// ownPages refuses what changes something and comes from a browser, for a page of another
// site. The name of such a page may resolve to this process (DNS rebinding), so that the
// browser takes the two for one site: an origin must be an address, or this machine's name.
func ownPages(h http.Handler) http.Handler {
	h = http.NewCrossOriginProtection().Handler(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		if origin := r.Header.Get("Origin"); origin != "" && !safe {
			u, err := url.Parse(origin)
			if err != nil || net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost" {
				http.Error(w, "a page of another site may change nothing here", http.StatusForbidden)
				return
			}
		}
		h.ServeHTTP(w, r)
	})
}

// errQuery says that a URL is not what the API understands.
var errQuery = errors.New("bad query")

// keyOf returns the key that a request is about.
func keyOf(r *http.Request) (string, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errQuery, err)
	}
	return query.Get("key"), nil
}

// fail answers with an error.
func fail(w http.ResponseWriter, err error, log *slog.Logger) {
	status := statusOf(err)
	if status >= http.StatusInternalServerError {
		log.Warn("the API could not answer", "status", status, "err", err)
	}
	http.Error(w, err.Error(), status)
}

// statusOf returns the HTTP status of an error of Group.Get or Group.Remove.
func statusOf(err error) int {
	if _, ok := errors.AsType[*peercache.InvalidationError](err); ok || errors.Is(err, peercache.ErrLapsed) {
		return http.StatusServiceUnavailable // not everybody was told: try again
	}
	switch {
	case errors.Is(err, errQuery), errors.Is(err, peercache.ErrKeySize):
		return http.StatusBadRequest
	case errors.Is(err, peercache.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway // the origin failed
}
