package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tomETag     = `"` + tomHash + `-3"`
	tomJSONETag = `"` + tomHash + `-3j"`
	tomHash     = "da55012bddd05aad" // of 630
)

func scores() *fake {
	f := newFake("scores", "Tom", "630", "Sam", "\xff\x00", "a/b", "slash", "a//b", "slashes", "..", "dots", "x?y", "query", "q\"\n", "\"\n\\", "empty", "")
	f.ttls["Tom"] = 90*time.Second + time.Millisecond
	f.ttls["Sam"] = -1
	f.ttls["a/b"] = 999 * time.Millisecond
	f.errs["broken"] = errors.New("dial db:secret@10.0.0.1")
	f.errs["late"] = fmt.Errorf("x: %w", context.DeadlineExceeded)
	f.errs["closed"] = peercache.ErrClosed
	f.errs["large"] = fmt.Errorf("x: %w", peercache.ErrValueSize)
	f.errs["lost"] = &peercache.PeerError{Peer: "http://10.0.0.2", Err: errors.New("refused")}
	f.errs["long"] = peercache.ErrKeySize
	return f
}

// want is what an answer has to be. A header with an empty value must not be there.
type want struct {
	status  int
	body    string // all of it; for problems, see code
	code    string // of a problem
	headers map[string]string
}

func (tt want) check(t *testing.T, name string, resp *http.Response) {
	t.Helper()
	body := bodyOf(t, resp)
	if resp.StatusCode != tt.status {
		t.Errorf("%s: status %d, want %d: %s", name, resp.StatusCode, tt.status, body)
	}
	if tt.code != "" {
		var p struct {
			Title, Code, Detail string
			Status              int
		}
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Errorf("%s: %v: %s", name, err, body)
		}
		if p.Code != tt.code || p.Status != tt.status || p.Title == "" || p.Detail == "" {
			t.Errorf("%s: the problem %s, want one with the code %s and the status %d", name, body, tt.code, tt.status)
		}
		if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("%s: the Content-Type of a problem is %q", name, got)
		}
		if got := resp.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: the Cache-Control of a problem is %q", name, got)
		}
	} else if body != tt.body {
		t.Errorf("%s: the body is %q, want %q", name, body, tt.body)
	}
	for header, value := range tt.headers {
		if got := strings.Join(resp.Header.Values(header), ", "); got != value {
			t.Errorf("%s: %s is %q, want %q", name, header, got, value)
		}
	}
}

type headers = map[string]string

func TestRequests(t *testing.T) {
	raw := headers{"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff", "Vary": "Accept", "Accept-Ranges": "bytes", "Age": "0"}
	js := headers{"Content-Type": "application/json", "Vary": "Accept"}
	for _, tt := range []struct {
		request string   // method and target
		body    string   // of the request
		headers []string // of the request
		want    want
	}{
		// values
		{"GET /v1/scores/Tom", "", nil, want{200, "630", "", raw}},
		{"GET /v1/scores/Tom", "", nil, want{200, "630", "", headers{"ETag": tomETag, "Cache-Control": "max-age=90", "Content-Length": "3"}}},
		{"HEAD /v1/scores/Tom", "", nil, want{200, "", "", headers{"ETag": tomETag, "Cache-Control": "max-age=90", "Content-Length": "3"}}},
		{"GET /v1/scores/empty", "", nil, want{200, "", "", headers{"Content-Length": "0"}}},
		{"GET /v1/scores/Sam", "", nil, want{200, "\xff\x00", "", headers{"Cache-Control": "no-cache"}}},
		{"GET /v1/scores/a/b", "", nil, want{200, "slash", "", headers{"Cache-Control": "no-cache"}}},
		{"GET /v1/scores/a%2Fb", "", nil, want{200, "slash", "", nil}},
		{"GET /v1/scores/a//b", "", nil, want{200, "slashes", "", nil}},
		{"GET /v1/scores/..", "", nil, want{200, "dots", "", nil}},
		{"GET /v1/scores/%2e%2E", "", nil, want{200, "dots", "", nil}},
		{"GET /v1/scores/x%3Fy", "", nil, want{200, "query", "", nil}},
		{"GET /v1/scores/x?y", "", nil, want{400, "", "bad_request", nil}},
		{"GET /v1/scores/a/b/", "", nil, want{404, "", "not_found", nil}},
		{"GET /v1/scores/", "", nil, want{400, "", "bad_key", nil}},
		{"GET /v1/scores/nobody", "", nil, want{404, "", "not_found", headers{"ETag": "", "Age": ""}}},
		{"HEAD /v1/scores/nobody", "", nil, want{status: 404, code: "not_found"}},
		{"GET /v1/goals/Tom", "", nil, want{404, "", "no_group", nil}},
		{"GET /v1/scores/long", "", nil, want{400, "", "bad_key", nil}},
		{"GET /v1/scores/broken", "", nil, want{502, "", "origin_error", nil}},
		{"GET /v1/scores/large", "", nil, want{502, "", "value_too_large", nil}},
		{"GET /v1/scores/lost", "", nil, want{502, "", "peer_unreachable", nil}},
		{"GET /v1/scores/late", "", nil, want{504, "", "timeout", nil}},
		{"GET /v1/scores/closed", "", nil, want{503, "", "closed", headers{"Retry-After": "1"}}},
		// JSON
		{"GET /v1/scores/Tom", "", []string{"Accept: application/json"}, want{200, `{"group":"scores","key":"Tom","value":"630"}` + "\n", "", js}},
		{"GET /v1/scores/Tom", "", []string{"Accept: application/json, text/plain, */*"}, want{200, `{"group":"scores","key":"Tom","value":"630"}` + "\n", "", headers{"ETag": tomJSONETag}}},
		{"GET /v1/scores/Sam", "", []string{"Accept: application/json"}, want{200, `{"group":"scores","key":"Sam","valueBase64":"/wA="}` + "\n", "", nil}},
		{"GET /v1/scores/q%22%0A", "", []string{"Accept: application/json"}, want{200, `{"group":"scores","key":"q\"\n","value":"\"\n\\"}` + "\n", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8"}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Accept: application/json;q=0.5, application/octet-stream;q=0.6"}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Accept: application/*, application/octet-stream;q=0"}, want{200, `{"group":"scores","key":"Tom","value":"630"}` + "\n", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Accept: text/html"}, want{406, "", "not_acceptable", nil}},
		{"GET /v1/scores/Tom", "", []string{"Accept: */*;q=0"}, want{406, "", "not_acceptable", nil}},
		// conditions and ranges
		{"GET /v1/scores/Tom", "", []string{"If-None-Match: " + tomETag}, want{304, "", "", headers{"ETag": tomETag, "Cache-Control": "max-age=90", "Content-Length": ""}}},
		{"GET /v1/scores/Tom", "", []string{`If-None-Match: "x", W/` + tomETag}, want{304, "", "", nil}},
		{"GET /v1/scores/Tom", "", []string{`If-None-Match: "x"`, "If-None-Match: " + tomETag}, want{304, "", "", nil}},
		{"HEAD /v1/scores/Tom", "", []string{"If-None-Match: *"}, want{304, "", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"If-None-Match: " + tomJSONETag}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"If-None-Match: x, " + tomETag}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"If-Match: " + tomETag}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"If-Match: W/" + tomETag}, want{412, "", "precondition_failed", headers{"ETag": ""}}},
		{"GET /v1/scores/Tom", "", []string{"Range: bytes=1-"}, want{206, "30", "", headers{"Content-Range": "bytes 1-2/3", "ETag": tomETag, "Content-Length": "2"}}},
		{"GET /v1/scores/Tom", "", []string{"Range: bytes=-1", "If-Range: " + tomETag}, want{206, "0", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Range: bytes=-1", `If-Range: "x"`}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Range: bytes=3-"}, want{416, "", "bad_range", headers{"Content-Range": "bytes */3"}}},
		{"GET /v1/scores/Tom", "", []string{"Range: bytes=0-0" + strings.Repeat(",0-0", 20)}, want{200, "630", "", nil}},
		{"GET /v1/scores/Tom", "", []string{"Range: bytes=1-", "Accept: application/json"}, want{200, `{"group":"scores","key":"Tom","value":"630"}` + "\n", "", nil}},
		// the classic front end
		{"GET /api?key=Tom&group=scores", "", nil, want{200, "630", "", raw}},
		{"GET /api?key=a%2Fb&group=scores", "", []string{"Accept: application/json"}, want{200, `{"group":"scores","key":"a/b","value":"slash"}` + "\n", "", nil}},
		{"HEAD /api?key=Tom&group=scores", "", nil, want{200, "", "", headers{"ETag": tomETag}}},
		{"GET /api?key=Tom", "", nil, want{400, "", "group_needed", nil}},
		{"GET /api?key=Tom&group=goals", "", nil, want{404, "", "no_group", nil}},
		{"GET /api?group=scores", "", nil, want{400, "", "bad_request", nil}},
		{"GET /api", "", nil, want{400, "", "bad_request", nil}},
		{"GET /api?key=a&key=b&group=scores", "", nil, want{400, "", "bad_request", nil}},
		{"GET /api?key=%zz", "", nil, want{400, "", "bad_request", nil}},
		{"PUT /api?key=Tom", "x", nil, want{405, "", "method_not_allowed", headers{"Allow": "GET, HEAD"}}},
		// other paths
		{"GET /v1", "", nil, want{200, `{"groups":[{"name":"a:b/c"},{"name":"scores"}]}` + "\n", "", headers{"Content-Type": "application/json", "Cache-Control": "no-store"}}},
		{"GET /v1", "", []string{"Accept: text/html"}, want{406, "", "not_acceptable", nil}},
		{"POST /v1", "", nil, want{405, "", "method_not_allowed", headers{"Allow": "GET, HEAD"}}},
		{"GET /v1/", "", nil, want{404, "", "no_route", nil}},
		{"GET /v1//Tom", "", nil, want{404, "", "no_route", nil}},
		{"GET /", "", nil, want{404, "", "no_route", nil}},
		{"GET /v1/scores", "", nil, want{404, "", "no_route", nil}},
		{"GET /v1/scores:what", "", nil, want{404, "", "no_route", nil}},
		{"GET /v1/a%3Ab%2Fc/k", "", nil, want{200, "v", "", nil}},
		{"GET /v1/a:b%2Fc/k", "", nil, want{200, "v", "", nil}},
		{"GET /v1/scores:clear", "", nil, want{405, "", "method_not_allowed", headers{"Allow": "POST"}}},
		{"POST /v1/scores/Tom", "", nil, want{405, "", "method_not_allowed", headers{"Allow": "GET, HEAD, PUT, DELETE"}}},
		{"PATCH /v1/scores/Tom", "", nil, want{405, "", "method_not_allowed", nil}},
		{"GET /v1/openapi.yaml", "", nil, want{200, string(api.OpenAPI()), "", headers{"Content-Type": "application/yaml"}}},
		{"HEAD /v1/openapi.yaml", "", nil, want{200, "", "", nil}},
	} {
		h := handlerOf(t, []door.Cache{scores(), newFake("a:b/c", "k", "v")})
		method, target, _ := strings.Cut(tt.request, " ")
		tt.want.check(t, fmt.Sprintf("%s %q", tt.request, tt.headers), ask(t, h, method, target, tt.body, tt.headers...))
	}
}

// TestChanges checks requests that change something, and what they change.
func TestChanges(t *testing.T) {
	const isJSON = "Content-Type: application/json"
	until := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	incomplete := &peercache.InvalidationError{Group: "scores", Pending: []peercache.Pending{{Peer: "http://a", Until: until, Err: context.DeadlineExceeded}, {Peer: "http://b", Err: peercache.ErrClosed}}}
	for _, tt := range []struct {
		request string
		body    string
		headers []string
		fails   error // the change
		want    want
		changed string // keys removed, and what was set
	}{
		{"PUT /v1/scores/Tom", "631", nil, nil, want{204, "", "", headers{"ETag": `"333c37ce2198eda5-3"`}}, `Tom="631" 0s`},
		{"PUT /v1/scores/a%2F%00?ttl=90", "\x00\xff", []string{isJSON}, nil, want{204, "", "", nil}, `a/\x00="\x00\xff" 1m30s`},
		{"PUT /v1/scores/Tom?ttl=1h2m", "", nil, nil, want{204, "", "", nil}, `Tom="" 1h2m0s`},
		{"PUT /v1/scores/Tom?ttl=0", "x", nil, nil, want{400, "", "bad_request", nil}, ""},
		{"PUT /v1/scores/Tom?ttl=-1s", "x", nil, nil, want{400, "", "bad_request", nil}, ""},
		{"PUT /v1/scores/Tom?ttl=soon", "x", nil, nil, want{400, "", "bad_request", nil}, ""},
		{"PUT /v1/scores/Tom?ttl", "x", nil, nil, want{400, "", "bad_request", nil}, ""},
		{"PUT /v1/scores/Tom?tll=1s", "x", nil, nil, want{400, "", "bad_request", nil}, ""},
		{"PUT /v1/scores/Tom", "x", []string{"If-Match: *"}, nil, want{400, "", "condition_unsupported", nil}, ""},
		{"PUT /v1/scores/Tom", "x", []string{"If-None-Match: *"}, nil, want{400, "", "condition_unsupported", nil}, ""},
		{"PUT /v1/scores/Tom", "x", []string{"Content-Range: bytes 0-0/2"}, nil, want{400, "", "bad_request", nil}, ""},
		{"PUT /v1/scores/Tom", "x", []string{"Content-Encoding: gzip"}, nil, want{415, "", "unsupported_media_type", nil}, ""},
		{"PUT /v1/scores/Tom", "0123456789", nil, nil, want{413, "", "body_too_large", nil}, ""},
		{"PUT /v1/scores/Tom", "x", nil, peercache.ErrValueSize, want{413, "", "value_too_large", nil}, `Tom="x" 0s`},
		{"PUT /v1/scores/Tom", "x", nil, incomplete, want{503, "", "incomplete", headers{"Retry-After": "1"}}, `Tom="x" 0s`},
		{"DELETE /v1/scores/a/b", "", nil, nil, want{204, "", "", nil}, `-a/b`},
		{"DELETE /v1/scores/Tom", "", []string{"If-Match: " + tomETag}, nil, want{400, "", "condition_unsupported", nil}, ""},
		{"DELETE /v1/scores/Tom?x", "", nil, nil, want{400, "", "bad_request", nil}, ""},
		{"DELETE /v1/scores/Tom", "", nil, incomplete, want{503, "", "incomplete", nil}, `-Tom`},
		{"DELETE /v1/scores/Tom", "", nil, fmt.Errorf("x: %w", peercache.ErrLapsed), want{503, "", "lapsed", nil}, `-Tom`},
		{"DELETE /v1/scores/Tom", "", nil, fmt.Errorf("x: %w", context.DeadlineExceeded), want{504, "", "timeout", nil}, `-Tom`},
		{"DELETE /v1/goals/Tom", "", nil, nil, want{404, "", "no_group", nil}, ""},
		{"POST /v1/scores:clear", "", nil, nil, want{415, "", "unsupported_media_type", nil}, ""},
		{"POST /v1/scores:clear", "", []string{isJSON}, nil, want{204, "", "", nil}, "clear"},
		{"POST /v1/scores:clear", " { } ", []string{isJSON}, nil, want{204, "", "", nil}, "clear"},
		{"POST /v1/scores:clear", "[1]", []string{isJSON}, nil, want{400, "", "bad_request", nil}, ""},
		{"POST /v1/scores:clear", "", []string{isJSON}, incomplete, want{503, "", "incomplete", nil}, "clear"},
	} {
		f := scores()
		f.change = tt.fails
		h := handlerOf(t, []door.Cache{f, newFake("other")}, api.WithMaxBodyBytes(9))
		method, target, _ := strings.Cut(tt.request, " ")
		resp := ask(t, h, method, target, tt.body, tt.headers...)
		tt.want.check(t, fmt.Sprintf("%s %q", tt.request, tt.headers), resp)
		changed := ""
		for _, key := range f.removed {
			changed += "-" + key
		}
		if f.set.Value != nil {
			for key, value := range f.values {
				if value == string(f.set.Value) && (key == "Tom" || key == "a/\x00") {
					changed += fmt.Sprintf(`%s=%q %v`, strings.Trim(fmt.Sprintf("%q", key), `"`), value, f.set.TTL)
				}
			}
		}
		if len(f.values) == 0 {
			changed += "clear"
		}
		if changed != tt.changed {
			t.Errorf("%s %q: changed %s, want %s", tt.request, tt.headers, changed, tt.changed)
		}
	}

	f := scores()
	f.change = incomplete
	body := bodyOf(t, ask(t, handlerOf(t, []door.Cache{f}), "DELETE", "/v1/scores/a%FFb", ""))
	for _, part := range []string{`"group":"scores"`, `"keyBase64":"Yf9i"`, `"pending":[{"peer":"http://a","until":"2030-01-02T03:04:05Z"},{"peer":"http://b"}]`} {
		if !strings.Contains(body, part) {
			t.Errorf("a change that is not complete is answered with %s, want %s in it", body, part)
		}
	}
}
