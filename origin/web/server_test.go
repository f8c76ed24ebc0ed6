package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers requests in this process. It is a Transport, and records what it was asked.
type server struct {
	answer func(w http.ResponseWriter, r *http.Request)

	mu       sync.Mutex
	requests []*http.Request
	sent     int // bytes of bodies
}

// RoundTrip implements http.RoundTripper. The request and the answer pass through the wire format.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		return nil, err
	}
	came, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.requests = append(s.requests, came)
	s.mu.Unlock()
	w := httptest.NewRecorder()
	s.answer(w, came.WithContext(r.Context()))
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := w.Result()
	body := w.Body.Bytes()
	if resp.StatusCode == http.StatusNotModified && len(body) > 0 {
		return nil, fmt.Errorf("a 304 has a body of %d bytes", len(body))
	}
	s.mu.Lock()
	s.sent += len(body)
	s.mu.Unlock()
	resp.Body, resp.Request = io.NopCloser(bytes.NewReader(body)), r
	return resp, nil
}

// last returns the last request, and how many there were.
func (s *server) last() (*http.Request, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.requests) == 0 {
		return nil, 0
	}
	return s.requests[len(s.requests)-1], len(s.requests)
}

// newOrigin returns an origin that asks s.
func newOrigin(t testing.TB, s *server, c Config) *Origin {
	t.Helper()
	if c.URL == "" {
		c.URL = "http://api.example/users/{key}"
	}
	c.Transport = s
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// headers sets those that stand in lines of text.
func headers(w http.ResponseWriter, lines string) {
	for line := range strings.SplitSeq(lines, "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			w.Header().Add(strings.TrimSpace(name), strings.TrimSpace(value))
		}
	}
}
