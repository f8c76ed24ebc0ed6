package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/peercache/peercache"
)

// newAPI makes the service that uses the cache:
//
//	GET /api?key=KEY   the value, whichever peer it comes from
//	GET /api/stats     what the group has counted in this process, as JSON
//	GET /api/peers     the base URLs of the view of this process, as JSON
func newAPI(group *peercache.Group, view func() []string, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		view, err := group.Get(r.Context(), query.Get("key"))
		if err != nil {
			status := statusOf(err)
			if status >= http.StatusInternalServerError {
				log.Warn("the API could not answer", "status", status, "err", err)
			}
			http.Error(w, err.Error(), status)
			return
		}
		// The values may be anything: let no browser take them for a page.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeContent(w, r, "", time.Time{}, view.Reader()) // copies nothing
	})
	mux.HandleFunc("GET /api/stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(group.Stats())
	})
	mux.HandleFunc("GET /api/peers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(view())
	})
	return mux
}

// statusOf returns the HTTP status of an error of Group.Get.
func statusOf(err error) int {
	switch {
	case errors.Is(err, peercache.ErrKeySize):
		return http.StatusBadRequest
	case errors.Is(err, peercache.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway // the origin failed
}
