package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/peercache/peercache"
)

func TestAPI(t *testing.T) {
	getter := func(ctx context.Context, key string) ([]byte, error) {
		switch key {
		case "broken":
			return nil, errors.New("the database is down")
		case "late":
			return nil, fmt.Errorf("no answer: %w", context.DeadlineExceeded)
		case "large":
			return make([]byte, 11), nil
		case "empty", "a b", "é+%2F":
			return nil, nil
		}
		return getScore(ctx, key)
	}
	group, err := peercache.NewGroup("test", 1<<20, peercache.GetterFunc(getter), peercache.WithMaxValueBytes(10))
	if err != nil {
		t.Fatal(err)
	}
	view := []string{"http://127.0.0.1:8001", "http://127.0.0.1:8002"}
	api := newAPI(group, func() []string { return view }, slog.New(slog.DiscardHandler))

	key := func(k string) string { return "/api?key=" + url.QueryEscape(k) }
	tests := []struct {
		method, target string
		status         int
		body           string // all of it for 200, a part for others
	}{
		{"GET", key("Tom"), 200, "630"},
		{"GET", key("Jack"), 200, "589"},
		{"HEAD", key("Sam"), 200, ""},
		{"GET", key("empty"), 200, ""},
		{"GET", key("a b"), 200, ""},
		{"GET", key("é+%2F"), 200, ""},
		{"GET", key("nobody"), 404, "not found"},
		{"GET", key("\x00\xff"), 404, "not found"},
		{"GET", key(""), 400, "empty key"},
		{"GET", "/api", 400, "empty key"},
		{"GET", "/api?key=%zz", 400, "invalid"},
		{"GET", key(strings.Repeat("x", 33<<10)), 400, "bad key size"},
		{"GET", key("broken"), 502, "the database is down"},
		{"GET", key("large"), 502, "too large"},
		{"GET", key("late"), 504, "no answer"},
		{"POST", key("Tom"), 405, ""},
		{"DELETE", key("Tom"), 204, ""},
		{"DELETE", key(""), 400, "empty key"},
		{"DELETE", "/api?key=%zz", 400, "invalid"},
		{"PUT", "/api/stats", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/api/", 404, ""},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%s %.40s", test.method, test.target), func(t *testing.T) {
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), test.method, test.target, nil))
			body := w.Body.String()
			if w.Code != test.status || !strings.Contains(body, test.body) || w.Code == http.StatusOK && body != test.body {
				t.Errorf("status %d, body %q: want %d, %q", w.Code, body, test.status, test.body)
			}
		})
	}

	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest("GET", "/api/peers", nil))
	var peers []string
	if err := json.Unmarshal(w.Body.Bytes(), &peers); err != nil || !slices.Equal(peers, view) {
		t.Errorf("GET /api/peers: %s, error %v: want %q", w.Body, err, view)
	}

	w = httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest("GET", "/api/stats", nil))
	var stats peercache.Stats
	if err := json.Unmarshal(w.Body.Bytes(), &stats); err != nil || stats != group.Stats() || stats.Loads == 0 {
		t.Errorf("GET /api/stats: %s, error %v: want %+v", w.Body, err, group.Stats())
	}
}

// A page of another site may not have a browser make the peers forget a key.
func TestAPIChangesNothingForOtherSites(t *testing.T) {
	group, err := peercache.NewGroup("test", 1<<20, peercache.GetterFunc(getScore))
	if err != nil {
		t.Fatal(err)
	}
	api := newAPI(group, func() []string { return nil }, slog.New(slog.DiscardHandler))
	const host = "127.0.0.1:9999"
	for name, c := range map[string]struct {
		host   string
		header http.Header
		status int
	}{
		"no browser":     {host, nil, 204},
		"its own page":   {host, http.Header{"Origin": {"http://" + host}, "Sec-Fetch-Site": {"same-origin"}}, 204},
		"another origin": {host, http.Header{"Origin": {"http://evil.example"}}, 403},
		"another site":   {host, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"another port":   {host, http.Header{"Origin": {"http://127.0.0.1:80"}}, 403},
		"a rebound name": {"evil.example:9999", http.Header{"Origin": {"http://evil.example:9999"}, "Sec-Fetch-Site": {"same-origin"}}, 403},
		"no origin":      {host, http.Header{"Origin": {"null"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest("DELETE", "http://"+c.host+"/api?key=Tom", nil)
			for key, values := range c.header {
				req.Header[key] = values
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, req)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
		})
	}
}
