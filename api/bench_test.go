package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// nowhere is a ResponseWriter that costs nothing.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }

// hitOf returns what answers a request for a hit of 1 KiB.
func hitOf(t testing.TB, header string, opts ...api.Option) func() {
	t.Helper()
	value := strings.Repeat("x", 1<<10)
	scores, err := peercache.NewGroup("scores", 1<<20, peercache.GetterFunc(func(context.Context, string) ([]byte, error) { return []byte(value), nil }))
	if err != nil {
		t.Fatal(err)
	}
	h := handlerOf(t, []door.Cache{scores}, opts...)
	r := httptest.NewRequest("GET", "/v1/scores/Tom", nil)
	if name, value, ok := strings.Cut(header, ": "); ok {
		r.Header.Set(name, value)
	}
	w := &nowhere{make(http.Header)}
	h.ServeHTTP(w, r)
	return func() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

func BenchmarkHit(b *testing.B) {
	for name, hit := range map[string]func(){
		"raw":   hitOf(b, ""),
		"304":   hitOf(b, "If-None-Match: *"),
		"JSON":  hitOf(b, "Accept: application/json"),
		"range": hitOf(b, "Range: bytes=1-"),
		"token": hitOf(b, "Authorization: Bearer "+readToken, tokens(b, map[string]door.Rights{readToken: {May: door.RightGet}}), api.WithRateLimit(1e6, 1e6)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hit()
			}
		})
	}
}

// TestAllocs checks what a hit allocates: the text of the headers, their values, and the writer.
func TestAllocs(t *testing.T) {
	for _, tt := range []struct {
		header string
		most   float64
	}{{"", 3}, {"If-None-Match: *", 3}, {"Accept: */*", 3}} {
		if got := testing.AllocsPerRun(100, hitOf(t, tt.header)); got > tt.most {
			t.Errorf("a hit with %q allocates %v times, want at most %v", tt.header, got, tt.most)
		}
	}
}
