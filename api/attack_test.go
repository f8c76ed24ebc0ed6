package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// serverOf starts a server without timeouts, and with the context that ends when the handler returns.
func serverOf(t *testing.T, h http.Handler) *httptest.Server {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// send writes the beginning of a request to a server.
func send(t *testing.T, server *httptest.Server, text string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
	nc.SetReadDeadline(time.Now().Add(time.Minute))
	return nc
}

func answerOf(t *testing.T, nc net.Conn) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestAttackSlowBody: a client that does not send its body is not waited for, though the server has
// no timeouts. One whose body has arrived has all the time that the group takes.
func TestAttackSlowBody(t *testing.T) {
	f := newFake("g")
	server := serverOf(t, handlerOf(t, []door.Cache{f}, api.BodyTime(20*time.Millisecond)))
	for _, request := range []string{"PUT /v1/g/k", "POST /v1/g:batchGet", "POST /v1/g:remove", "POST /v1/g:clear"} {
		nc := send(t, server, request+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		want{408, "", "slow_body", headers{"Connection": ""}}.check(t, request, answerOf(t, nc))
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the connection stays open", request)
		}
	}
}

// deadlines is a ResponseWriter that records the deadlines that are set.
type deadlines struct {
	*httptest.ResponseRecorder
	reads, writes []time.Time
	flushed       int // how many of writes were set before the last Flush
}

func (d *deadlines) SetReadDeadline(t time.Time) error  { d.reads = append(d.reads, t); return nil }
func (d *deadlines) SetWriteDeadline(t time.Time) error { d.writes = append(d.writes, t); return nil }
func (d *deadlines) Flush()                             { d.flushed = len(d.writes) }

// TestDeadlines checks that the deadlines of a request end with it: the next one on the connection, and
// a group that takes its time, have none. If the server has timeouts, these count.
func TestDeadlines(t *testing.T) {
	h := handlerOf(t, []door.Cache{newFake("g", "large", strings.Repeat("x", 1<<20), "small", "x")})
	for _, tt := range []struct {
		request, header string
		reads, writes   bool
	}{
		{"GET /v1/g/small", "", false, false},
		{"GET /v1/g/large", "", false, true},
		{"GET /v1/g/large", "Range: bytes=1-", false, true},
		{"GET /v1/g/large", "Accept: application/json", false, true},
		{"HEAD /v1/g/large", "", false, false},
		{"POST /v1/g:batchGet", isJSON, true, true},
		{"POST /v1/g:remove", isJSON, true, false},
		{"PUT /v1/g/small", "", true, false},
	} {
		for _, server := range []*http.Server{{}, {ReadTimeout: time.Hour, WriteTimeout: time.Hour}} {
			method, target, _ := strings.Cut(tt.request, " ")
			name, value, _ := strings.Cut(tt.header, ": ")
			r := httptest.NewRequest(method, target, strings.NewReader(`{"keys":["large"]}`))
			r.Header.Set(name, value)
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, server)))
			without := server.ReadTimeout == 0
			if n := len(w.reads); n > 0 != (tt.reads && without) || n > 0 && (w.reads[0].IsZero() || !w.reads[n-1].IsZero()) {
				t.Errorf("%s %s: the deadlines for reading %v", tt.request, tt.header, w.reads)
			}
			if n := len(w.writes); n > 0 != (tt.writes && without) || n > 0 && (w.writes[0].IsZero() || !w.writes[n-1].IsZero() || w.flushed != n-1) {
				t.Errorf("%s %s: the deadlines for writing %v, flushed after %d", tt.request, tt.header, w.writes, w.flushed)
			}
			if w.Code >= 300 {
				t.Errorf("%s %s: status %d", tt.request, tt.header, w.Code)
			}
		}
	}
}

// TestAttackSlowReader: a client that does not read a large answer is not waited for.
func TestAttackSlowReader(t *testing.T) {
	f := newFake("g", "large", strings.Repeat("x", 32<<20))
	for _, request := range []string{
		"GET /v1/g/large HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /v1/g/large HTTP/1.1\r\nHost: h\r\nRange: bytes=1-\r\n\r\n",
		"GET /v1/g/large HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n",
		"POST /v1/g:batchGet HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n{\"keys\":[\"large\"]}",
	} {
		h := handlerOf(t, []door.Cache{f}, api.SendTime(20*time.Millisecond))
		begun := make(chan struct{})
		server := serverOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			h.ServeHTTP(w, r)
		}))
		send(t, server, request)
		<-begun
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Errorf("%s%v", request, err)
		}
	}
}

// TestLargeAnswers checks that clients that read get all of a large answer.
func TestLargeAnswers(t *testing.T) {
	large := strings.Repeat("0123456789", 1<<20)
	server := serverOf(t, handlerOf(t, []door.Cache{newFake("g", "large", large)}))
	for _, tt := range []struct{ header, value, want string }{
		{"Accept", "*/*", large},
		{"Range", "bytes=10-", large[10:]},
		{"Accept", "application/json", `{"group":"g","key":"large","value":"` + large + "\"}\n"},
	} {
		r, err := http.NewRequest("GET", server.URL+"/v1/g/large", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(tt.header, tt.value)
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := bodyOf(t, resp); got != tt.want {
			t.Errorf("%s: %s: %d bytes, want %d", tt.header, tt.value, len(got), len(tt.want))
		}
	}
}

// TestAttackHugeBatch: a body with very many keys takes little more memory than its own bytes.
func TestAttackHugeBatch(t *testing.T) {
	h := handlerOf(t, []door.Cache{newFake("g")})
	body := []byte(`{"keys":[` + strings.Repeat(`"",`, 10<<20))
	r := httptest.NewRequest("POST", "/v1/g:batchGet", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	want{413, "", "too_many_keys", nil}.check(t, "10 million keys", w.Result())
	if took := after.TotalAlloc - before.TotalAlloc; took > 3*uint64(len(body)) {
		t.Errorf("a body of %d bytes takes %d in all", len(body), took)
	}
	deep := strings.Repeat("[", 1<<20)
	want{400, "", "bad_request", nil}.check(t, "a deep body", ask(t, h, "POST", "/v1/g:batchGet", `{"keys":`+deep, isJSON))
	want{400, "", "bad_request", nil}.check(t, "a deep body", ask(t, h, "POST", "/v1/g:batchGet", deep, isJSON))
}

// TestAttackHeaders: headers of the size that servers allow take time in proportion to it.
func TestAttackHeaders(t *testing.T) {
	h := handlerOf(t, []door.Cache{scores()}, tokens(t, map[string]door.Rights{readToken: {May: door.RightGet}}))
	const n = 900 << 10
	for name, unit := range map[string]string{
		"Accept":        "application/json;q=0.1;a;b,",
		"If-None-Match": `W/"x",`,
		"If-Match":      `"`,
		"Range":         "0-0,",
		"Authorization": "Bearer ",
		"Content-Type":  "application/json;",
	} {
		began := time.Now()
		for _, method := range []string{"GET", "PUT"} {
			ask(t, h, method, "/v1/scores/Tom", "", "Authorization: Bearer "+readToken, name+": "+strings.Repeat(unit, n/len(unit)))
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s of %d bytes takes %v", name, n, took)
		}
	}
	server := serverOf(t, h)
	nc := send(t, server, "GET /v1/scores/Tom HTTP/1.1\r\nHost: h\r\nX: ")
	go io.CopyN(nc, zeros{}, 8<<20)
	if resp := answerOf(t, nc); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 8 MiB: status %d", resp.StatusCode)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// TestAttackBodies: the bodies of all requests together take no more memory than they may, and one
// that is refused is not read.
func TestAttackBodies(t *testing.T) {
	inside, until := make(chan struct{}, 100), make(chan struct{})
	f := newFake("g")
	f.block = func(context.Context) error { inside <- struct{}{}; <-until; return nil }
	server := serverOf(t, handlerOf(t, []door.Cache{f}, api.WithBodyMemory(3<<20), api.WithMaxBodyBytes(2<<20)))
	put := func(size int) net.Conn {
		return send(t, server, fmt.Sprintf("PUT /v1/g/k HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size)+strings.Repeat("x", min(size, 2<<20)))
	}
	first := put(2 << 20)
	<-inside
	second := put(1 << 10)
	<-inside
	want{503, "", "overloaded", headers{"Retry-After": "1"}}.check(t, "a body beyond the memory", answerOf(t, put(2<<20)))
	want{413, "", "body_too_large", nil}.check(t, "a body beyond the limit", answerOf(t, put(2<<20+1)))
	nc := send(t, server, "PUT /v1/g/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n200001\r\n")
	go io.CopyN(nc, zeros{}, 2<<20+1)
	resp := answerOf(t, nc)
	if resp.StatusCode != 413 && resp.StatusCode != 503 {
		t.Errorf("a body of chunks: status %d", resp.StatusCode)
	}
	close(until)
	want{204, "", "", nil}.check(t, "the first", answerOf(t, first))
	want{204, "", "", nil}.check(t, "the second", answerOf(t, second))
	want{204, "", "", nil}.check(t, "when there is room again", answerOf(t, put(2<<20)))
}

// TestHangUp checks that a client that hangs up ends its wait, and is not logged as a failure.
func TestHangUp(t *testing.T) {
	var log bytes.Buffer
	inside, ended := make(chan struct{}), make(chan error)
	f := newFake("g")
	f.block = func(ctx context.Context) error {
		inside <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	h := handlerOf(t, []door.Cache{f}, api.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	server := serverOf(t, h)
	for _, request := range []string{
		"GET /v1/g/k HTTP/1.1\r\nHost: h\r\n\r\n",
		"DELETE /v1/g/k HTTP/1.1\r\nHost: h\r\n\r\n",
		"PUT /v1/g/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
		"POST /v1/g:batchGet HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"keys\":[\"a\"]}",
	} {
		nc := send(t, server, request)
		<-inside
		nc.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the wait ends with %v", request, err)
		}
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if log.Len() > 0 {
		t.Errorf("it is logged:\n%s", &log)
	}
}

// TestShutdown checks that requests in progress are answered, and new ones are not.
func TestShutdown(t *testing.T) {
	inside, until := make(chan struct{}), make(chan struct{})
	f := newFake("g", "k", "v")
	f.block = func(context.Context) error { inside <- struct{}{}; <-until; return nil }
	h := handlerOf(t, []door.Cache{f}, api.WithMaxRequests(1))
	got := make(chan *http.Response)
	go func() { got <- ask(t, h, "GET", "/v1/g/k", "") }()
	<-inside
	want{503, "", "overloaded", headers{"Retry-After": "1"}}.check(t, "one too many", ask(t, h, "GET", "/v1/g/k", ""))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Shutdown(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "1 requests") {
		t.Errorf("Shutdown with a request in progress: %v", err)
	}
	want{503, "", "closed", headers{"Retry-After": "1"}}.check(t, "a new one", ask(t, h, "GET", "/v1/g/k", ""))
	close(until)
	want{200, "v", "", nil}.check(t, "that in progress", <-got)
	for range 2 {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := handlerOf(t, []door.Cache{f}).Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestPanics checks that a panic is answered, or ends the connection if the answer has begun.
func TestPanics(t *testing.T) {
	var log bytes.Buffer
	f := newFake("g")
	f.block = func(context.Context) error { panic("planted") }
	logger := api.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))
	h := handlerOf(t, []door.Cache{f}, logger)
	for _, request := range []string{"GET /v1/g/k", "PUT /v1/g/k", "POST /v1/g:batchGet", "POST /v1/g:clear"} {
		method, target, _ := strings.Cut(request, " ")
		want{500, "", "internal", nil}.check(t, request, ask(t, h, method, target, "{\"keys\":[\"a\"]}"[:map[bool]int{true: 0, false: 14}[strings.HasSuffix(target, "clear")]], isJSON))
	}
	if !strings.Contains(log.String(), "planted") || !strings.Contains(log.String(), "fake_test.go") {
		t.Errorf("the panic is not logged:\n%s", &log)
	}
	h = handlerOf(t, []door.Cache{scores()}, api.WithContext(func(*http.Request) context.Context { return nil }))
	want{500, "", "internal", nil}.check(t, "a context that is nil", ask(t, h, "GET", "/v1/scores/k", ""))

	late := &lateFake{fake: newFake("g")}
	server := serverOf(t, handlerOf(t, []door.Cache{late}))
	body := `{"keys":["a"` + strings.Repeat(`,"a"`, 99) + `]}`
	resp, err := server.Client().Post(server.URL+"/v1/g:batchGet", "application/json", strings.NewReader(body))
	if err == nil {
		_, err = io.ReadAll(resp.Body)
	}
	if err == nil {
		t.Error("an answer that a panic has cut looks whole")
	}
}

// lateFake panics with the second GetMulti.
type lateFake struct {
	*fake
	calls int
}

func (f *lateFake) GetMulti(_ context.Context, keys []string) []peercache.Result {
	if f.calls++; f.calls > 1 {
		panic("planted")
	}
	results := make([]peercache.Result, len(keys))
	for i := range results {
		results[i].View = peercache.ViewOfString(strings.Repeat("x", 64<<10))
	}
	return results
}
