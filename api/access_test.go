package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

const (
	readToken  = "a-token-that-may-read"
	writeToken = "a-token-that-may-write"
	allToken   = "a-token-that-may-all"
)

func TestTokens(t *testing.T) {
	h := func(opts ...api.Option) *api.Handler {
		return handlerOf(t, []door.Cache{scores(), newFake("other", "Tom", "1")}, append(opts,
			tokens(t, map[string]door.Rights{
				readToken:  {May: door.RightGet, Groups: []string{"scores"}},
				writeToken: {May: door.RightGet | door.RightChange},
				allToken:   {May: door.AllRights},
			}))...)
	}
	private := headers{"Cache-Control": "private, max-age=90"}
	challenge := headers{"WWW-Authenticate": `Bearer realm="peercache"`}
	for _, tt := range []struct {
		request, token string
		want           want
	}{
		{"GET /v1/scores/Tom", "Bearer " + readToken, want{200, "630", "", private}},
		{"GET /v1/scores/Tom", "bearer  " + readToken, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", want{401, "", "unauthenticated", challenge}},
		{"GET /v1/scores/Tom", "Basic " + readToken, want{401, "", "unauthenticated", challenge}},
		{"GET /v1/scores/Tom", "Bearer " + readToken + "x", want{401, "", "unauthenticated", challenge}},
		{"GET /v1/scores/Tom", "Bearer " + readToken[1:], want{401, "", "unauthenticated", challenge}},
		{"GET /v1/other/Tom", "Bearer " + readToken, want{403, "", "forbidden", nil}},
		{"GET /v1/nothere/Tom", "Bearer " + readToken, want{403, "", "forbidden", nil}},
		{"GET /v1/nothere/Tom", "Bearer " + allToken, want{404, "", "no_group", nil}},
		{"PUT /v1/scores/Tom", "Bearer " + readToken, want{403, "", "forbidden", nil}},
		{"DELETE /v1/scores/Tom", "Bearer " + readToken, want{403, "", "forbidden", nil}},
		{"POST /v1/scores:remove", "Bearer " + readToken, want{403, "", "forbidden", nil}},
		{"POST /v1/scores:batchGet", "Bearer " + readToken, want{400, "", "bad_request", nil}},
		{"POST /v1/scores:clear", "Bearer " + writeToken, want{403, "", "forbidden", nil}},
		{"POST /v1/scores:remove", "Bearer " + writeToken, want{400, "", "bad_request", nil}},
		{"DELETE /v1/other/Tom", "Bearer " + writeToken, want{204, "", "", nil}},
		{"POST /v1/scores:clear", "Bearer " + allToken, want{204, "", "", nil}},
		{"GET /api?key=Tom&group=other", "Bearer " + readToken, want{403, "", "forbidden", nil}},
		{"GET /v1", "", want{401, "", "unauthenticated", challenge}},
		{"GET /v1", "Bearer " + readToken, want{200, `{"groups":[{"name":"scores"}]}` + "\n", "", nil}},
		{"GET /v1", "Bearer " + allToken, want{200, `{"groups":[{"name":"other"},{"name":"scores"}]}` + "\n", "", nil}},
		{"GET /v1/openapi.yaml", "", want{200, string(api.OpenAPI()), "", nil}},
	} {
		method, target, _ := strings.Cut(tt.request, " ")
		tt.want.check(t, tt.request+" as "+tt.token, ask(t, h(), method, target, "", "Authorization: "+tt.token, isJSON))
	}
	for _, request := range []string{"PUT /v1/scores/Tom", "DELETE /v1/scores/Tom", "POST /v1/scores:clear", "POST /v1/scores:remove"} {
		method, target, _ := strings.Cut(request, " ")
		want{status: 403, code: "read_only"}.check(t, request, ask(t, h(api.WithReadOnly()), method, target, "{}", "Authorization: Bearer "+allToken, isJSON))
	}
	want{200, "630", "", nil}.check(t, "read-only", ask(t, h(api.WithReadOnly()), "GET", "/v1/scores/Tom", "", "Authorization: Bearer "+allToken))
	want{405, "", "method_not_allowed", headers{"Allow": "GET, HEAD"}}.check(t, "read-only", ask(t, h(api.WithReadOnly()), "PATCH", "/v1/scores/Tom", ""))
}

func TestAuthorizer(t *testing.T) {
	var asked []string
	var log bytes.Buffer
	h := handlerOf(t, []door.Cache{scores(), newFake("other")}, api.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
		api.WithAuthorizer(func(r *http.Request, a door.Access) error {
			asked = append(asked, fmt.Sprintf("%s %q %d", a.Group, a.Key, a.Right))
			switch {
			case r.Header.Get("User") == "":
				return fmt.Errorf("want a user: %w", door.ErrUnauthenticated)
			case a.Group != "scores" || a.Right == door.RightClear:
				return errors.New("not for you")
			}
			return nil
		}))
	for _, tt := range []struct {
		request, user string
		status        int
		asked         string
	}{
		{"GET /v1/scores/a%2Fb", "ann", 200, `scores "a/b" 1`},
		{"GET /v1/scores/Tom", "", 401, `scores "Tom" 1`},
		{"GET /v1/nothere/Tom", "ann", 403, `nothere "Tom" 1`},
		{"PUT /v1/scores/Tom", "ann", 204, `scores "Tom" 2`},
		{"DELETE /v1/scores/Tom", "ann", 204, `scores "Tom" 2`},
		{"POST /v1/scores:batchGet", "ann", 200, `scores "" 1`},
		{"POST /v1/scores:remove", "ann", 204, `scores "" 2`},
		{"POST /v1/scores:clear", "ann", 403, `scores "" 4`},
		{"GET /api?group=scores&key=Sam", "ann", 200, `scores "Sam" 1`},
		{"GET /v1", "ann", 200, `other "" 1,scores "" 1`},
	} {
		asked = nil
		method, target, _ := strings.Cut(tt.request, " ")
		resp := ask(t, h, method, target, "{}", "User: "+tt.user, isJSON)
		if got := strings.Join(asked, ","); resp.StatusCode != tt.status || got != tt.asked {
			t.Errorf("%s as %q: status %d, asked %s; want %d, %s", tt.request, tt.user, resp.StatusCode, got, tt.status, tt.asked)
		}
	}
	if n := strings.Count(log.String(), "was refused"); n != 1 {
		t.Errorf("%d refusals of one sender are logged at once, want 1:\n%s", n, &log)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handlerOf(t, []door.Cache{scores()}, api.WithRateLimit(2, 3))
		from := func(addr string) *http.Response {
			r := httptest.NewRequest("GET", "/v1/scores/Tom", nil)
			r.RemoteAddr = addr
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Result()
		}
		some := func(addr string, n int, status int) {
			t.Helper()
			for i := range n {
				if resp := from(addr); resp.StatusCode != status {
					t.Fatalf("request %d of %s: status %d, want %d", i, addr, resp.StatusCode, status)
				}
			}
		}
		some("10.0.0.1:1", 3, 200)
		want{429, "", "rate_limited", headers{"Retry-After": "1"}}.check(t, "one too many", from("10.0.0.1:2"))
		some("[::ffff:10.0.0.1]:3", 1, 429)
		some("10.0.0.2:1", 3, 200)
		some("[2001:db8::1]:1", 2, 200)
		some("[2001:db8::ffff]:1", 1, 200)
		some("[2001:db8::2]:1", 1, 429)
		some("[2001:db8:0:1::2]:1", 3, 200)
		time.Sleep(500 * time.Millisecond) // of the bubble
		some("10.0.0.1:1", 1, 200)
		some("10.0.0.1:1", 5, 429)
		time.Sleep(time.Hour)
		some("10.0.0.1:1", 3, 200)
		some("10.0.0.1:1", 1, 429)

		// A batch is let in, and paid for later.
		time.Sleep(time.Hour)
		batch := func(status int) {
			t.Helper()
			resp := ask(t, h, "POST", "/v1/scores:batchGet", `{"keys":["a","b","c","d","e","f","g","h","i","j"]}`, isJSON)
			if resp.StatusCode != status {
				t.Errorf("a batch: status %d, want %d", resp.StatusCode, status)
			}
		}
		batch(200)
		want{429, "", "rate_limited", headers{"Retry-After": "4"}}.check(t, "after a batch", from("192.0.2.1:1234"))
		time.Sleep(4 * time.Second)
		batch(200)
	})
}

// TestRateLimitOfMany checks that many clients take no memory, and that those who keep to the limit
// are not held up by those who do not.
func TestRateLimitOfMany(t *testing.T) {
	name := ""
	h := handlerOf(t, []door.Cache{scores()}, api.WithRateLimit(0.001, 2), api.WithClient(func(*http.Request) string { return name }))
	requests := func(n int) (refused int) {
		for range n {
			r := httptest.NewRequest("GET", "/v1", nil)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code == 429 {
				refused++
			}
		}
		return refused
	}
	const busy, calm = 1000, 10000
	for i := range busy {
		name = fmt.Sprint("busy", i)
		if requests(5) < 3 {
			t.Fatal("a client makes more requests than it may")
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	refused := 0
	for i := range calm {
		name = fmt.Sprint("calm", i)
		refused += requests(1)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// A row has 32,768 slots, of which 1,000 are full and 10,000 fill: both slots of a client are
	// full for less than one in a hundred.
	if refused > calm/100 {
		t.Errorf("%d of %d calm clients are refused beside %d busy ones", refused, calm, busy)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 256<<10 {
		t.Errorf("%d clients take %d bytes", calm, grown)
	}
}

func TestContext(t *testing.T) {
	type key struct{}
	f := scores()
	h := handlerOf(t, []door.Cache{f}, api.WithContext(func(r *http.Request) context.Context {
		return context.WithValue(r.Context(), key{}, r.Header.Get("X-Tenant"))
	}))
	for _, request := range []string{"GET /v1/scores/Tom", "PUT /v1/scores/Tom", "DELETE /v1/scores/Tom", "POST /v1/scores:clear", "GET /api?key=x"} {
		f.ctx = nil
		method, target, _ := strings.Cut(request, " ")
		ask(t, h, method, target, "", "X-Tenant: blue", isJSON)
		if f.ctx == nil || f.ctx.Value(key{}) != "blue" {
			t.Errorf("%s: the context of the group does not have the value", request)
		}
		if _, limited := f.ctx.Deadline(); limited != !strings.HasPrefix(request, "GET") {
			t.Errorf("%s: the context has a deadline: %v", request, limited)
		}
	}
}

// TestErrorText checks that the text of an error stays inside, unless it is to be told.
func TestErrorText(t *testing.T) {
	var log bytes.Buffer
	logger := api.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))
	h := handlerOf(t, []door.Cache{scores()}, logger)
	for _, request := range []string{"GET /v1/scores/broken", "GET /v1/scores/lost", "GET /v1/scores/broken"} {
		method, target, _ := strings.Cut(request, " ")
		if body := bodyOf(t, ask(t, h, method, target, "")); strings.Contains(body, "10.0.0") {
			t.Errorf("%s is answered with %s", request, body)
		}
	}
	body := bodyOf(t, ask(t, h, "POST", "/v1/scores:batchGet", `{"keys":["broken"]}`, isJSON))
	if strings.Contains(body, "10.0.0") || !strings.Contains(body, "origin_error") {
		t.Errorf("a batch is answered with %s", body)
	}
	if n := strings.Count(log.String(), "secret"); n != 1 || strings.Count(log.String(), "lost") != 1 {
		t.Errorf("the error is logged %d times, want once in ten seconds, and the other one as well:\n%s", n, &log)
	}
	h = handlerOf(t, []door.Cache{scores()}, api.WithErrorText(func(err error) string { return "told: " + err.Error()[:7] }))
	if body := bodyOf(t, ask(t, h, "GET", "/v1/scores/broken", "")); !strings.Contains(body, `"detail":"told: dial db"`) {
		t.Errorf("an error that is to be told is answered with %s", body)
	}
}

func TestMaxAge(t *testing.T) {
	for _, tt := range []struct {
		most time.Duration
		want string
	}{{0, "no-cache"}, {30 * time.Second, "max-age=30"}, {time.Hour, "max-age=90"}} {
		h := handlerOf(t, []door.Cache{scores()}, api.WithMaxAge(tt.most))
		if got := ask(t, h, "GET", "/v1/scores/Tom", "").Header.Get("Cache-Control"); got != tt.want {
			t.Errorf("WithMaxAge(%v): %s, want %s", tt.most, got, tt.want)
		}
		if got := ask(t, h, "GET", "/v1/scores/q%22%0A", "").Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("WithMaxAge(%v), a value without end: %s", tt.most, got)
		}
	}
}

func TestOptions(t *testing.T) {
	for want, opt := range map[string]api.Option{
		"option 0 is nil":       nil,
		"WithTokens(nil)":       api.WithTokens(nil),
		"the group \"goals\"":   tokens(t, map[string]door.Rights{readToken: {May: door.RightGet, Groups: []string{"goals"}}}),
		"WithAuthorizer(nil)":   api.WithAuthorizer(nil),
		"WithRateLimit(0, 1)":   api.WithRateLimit(0, 1),
		"WithRateLimit(1, 0)":   api.WithRateLimit(1, 0),
		"WithClient(nil)":       api.WithClient(nil),
		"without WithRateLimit": api.WithClient(func(*http.Request) string { return "" }),
		"at most 1073741824":    api.WithMaxBodyBytes(1<<30 + 1),
		"WithMaxBodyBytes(0)":   api.WithMaxBodyBytes(0),
		"WithBodyMemory(1)":     api.WithBodyMemory(1),
		"WithMaxBatchKeys(0)":   api.WithMaxBatchKeys(0),
		"WithMaxBatchBytes(-1)": api.WithMaxBatchBytes(-1),
		"WithMaxRequests(0)":    api.WithMaxRequests(0),
		"WithMaxAge(-1ns)":      api.WithMaxAge(-1),
		"WithChangeTimeout(0s)": api.WithChangeTimeout(0),
		"WithContext(nil)":      api.WithContext(nil),
		"WithErrorText(nil)":    api.WithErrorText(nil),
		"WithLogger(nil)":       api.WithLogger(nil),
	} {
		if _, err := api.New([]door.Cache{scores()}, opt); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "peercache: api.New: ") {
			t.Errorf("%v: want an error with %s", err, want)
		}
	}
	for want, caches := range map[string][]door.Cache{
		"at least one":           nil,
		`the name "\xff"`:        {newFake("\xff")},
		`the name ""`:            {newFake("")},
		"group 1 is nil":         {scores(), nil},
		"group 0 is nil":         {(*fake)(nil)},
		`have the name "scores"`: {scores(), newFake("x"), scores()},
	} {
		if _, err := api.New(caches); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want an error with %s", err, want)
		}
	}
}
