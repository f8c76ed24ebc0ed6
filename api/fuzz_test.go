package api_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/peercache/peercache"
	"github.com/peercache/peercache/api"
	"github.com/peercache/peercache/door"
)

// echo is a door.Cache whose values are the keys.
type echo struct{ *fake }

func (echo) GetWithTTL(_ context.Context, key string) (peercache.ByteView, time.Duration, error) {
	return peercache.ViewOfString(key), 0, nil
}

// FuzzKeys checks that any bytes that are sent as a key arrive as that key, directly and below a
// prefix in a mux.
func FuzzKeys(f *testing.F) {
	for _, key := range []string{"Tom", "a/b", "//", "..", "../..", "a/../b", "/", "a/", "%2F", "%", "?x=1", "#", "\x00", "\xff", "é", "a b", "+", ":clear", ";", "\r\n", "*"} {
		f.Add("scores", key)
		f.Add(key, key)
	}
	mux := http.NewServeMux()
	f.Fuzz(func(t *testing.T, group, key string) {
		if group == "" || key == "" {
			return
		}
		h := handlerOf(t, []door.Cache{echo{newFake(group)}})
		mux = http.NewServeMux()
		mux.Handle("/cache/", http.StripPrefix("/cache", h))
		all := encodeAll(key)
		for _, tt := range []struct {
			h      http.Handler
			target string
		}{
			{h, "/v1/" + url.PathEscape(group) + "/" + all},
			{h, "/v1/" + encodeAll(group) + "/" + url.PathEscape(key)},
			{h, "/v1/" + encodeAll(group) + "/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/")},
			{h, "/api?key=" + url.QueryEscape(key)},
			{mux, "/cache/v1/" + encodeAll(group) + "/" + all},
		} {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + tt.target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
			if err != nil {
				t.Fatalf("%q: %v", tt.target, err)
			}
			w := httptest.NewRecorder()
			tt.h.ServeHTTP(w, r)
			if w.Code != 200 || w.Body.String() != key {
				t.Errorf("group %q, key %q: %s is answered with %d %q", group, key, tt.target, w.Code, w.Body)
			}
		}
	})
}

// encodeAll percent-encodes each byte.
func encodeAll(key string) string {
	var b strings.Builder
	for i := range len(key) {
		fmt.Fprintf(&b, "%%%02X", key[i])
	}
	return b.String()
}

// FuzzRequests checks that no target and no header makes the handler panic or redirect, and that what
// it does not answer is a problem.
func FuzzRequests(f *testing.F) {
	for _, target := range []string{"/", "/v1", "/v1/", "//v1/scores/Tom", "/v1/scores/Tom", "/v1/scores:clear", "/v1/scores%3Aclear", "/v1/%2F/x", "/v1/scores/..", "/v1/../x", "/api?key=%00", "*", "http://h/v1/scores/x", "/v1/scores/a?ttl=1"} {
		f.Add("GET", target, "*/*", `"x", W/"y", *`, "bytes=0-1,-1")
		f.Add("PUT", target, "", "", "")
		f.Add("POST", target, "application/json;q=0.1,*/*;q=x", "W/", "bytes=")
	}
	f.Fuzz(func(t *testing.T, method, target, accept, tags, ranges string) {
		text := method + " " + target + " HTTP/1.1\r\nHost: h\r\nAccept: " + accept + "\r\nIf-None-Match: " + tags + "\r\nRange: " + ranges + "\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"keys\":[\"a\"]}"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil {
			return
		}
		h := handlerOf(t, []door.Cache{scores()}, api.WithLogger(failing(t)))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 300 && w.Code < 400 && w.Code != http.StatusNotModified {
			t.Errorf("%q is redirected: %d", text, w.Code)
		}
		if w.Code >= 400 && w.Result().Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q is answered with %d of the type %s", text, w.Code, w.Result().Header.Get("Content-Type"))
		}
	})
}

// FuzzKeysIn checks that no body of a batch makes the handler panic, and that what it takes for keys
// can be written as such again.
func FuzzBatch(f *testing.F) {
	for _, body := range []string{`{}`, `{"keys":[]}`, `{"keys":["a","é","\u0000"],"keysBase64":["/w=="]}`, `{"keys":["\ud800"]}`, `{"keys":[[`, `{"keys":{}}`, `{"keys":["a"]} x`, "\xff", `{"keys":["a"],"keys":["b"]}`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h := handlerOf(t, []door.Cache{echoes{echo{newFake("g")}}}, api.WithLogger(failing(t)), api.WithMaxBatchKeys(8))
		resp := ask(t, h, "POST", "/v1/g:batchGet", string(body), "Content-Type: application/json")
		if resp.StatusCode != 200 {
			return
		}
		for _, r := range resultsOf(t, bodyOf(t, resp)) {
			if r.key() != r.value() || r.key() == "" || r.Error != nil {
				t.Errorf("%q: the value of the key %q is %q, and the problem %v", body, r.key(), r.value(), r.Error)
			}
		}
	})
}
